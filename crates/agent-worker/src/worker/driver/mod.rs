//! Carries out what the machine of `agent-core` decides: sockets, tasks and timers, no rules.
//!
//! One task per worker runs [`Driver::run`], each job has a task of its own (`attempt`). An `if` about jobs
//! belongs in `agent-core`.

mod alarm;
mod attempt;
mod cleanup;
mod executor;
mod job;
mod log;
mod losses;
mod setup;

pub(crate) use executor::{Executor, Tasks};
pub(crate) use setup::Setup;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use log::Log;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use agent_core::{
    Config, Descriptors, DrainReport, EndedJob, Input, Job, JobId, Lifecycle, LinkError, Notice, Output,
    SlotCounts, StopError, Time, Worker,
};
use agent_net::{
    AssignedUrlError, ConnectError as NetError, FrameSocket, SocketEvent, assigned_url, connect_websocket,
    worker_token,
};
use agent_proto::Secret;
use agent_proto::error_text::chain;
use agent_proto::text::name;
use agent_rtc::JoinRequest;

use crate::agent::AnyAgent;
use crate::job::attempt::AttemptLinks;
use crate::job::panics::{self, caught};
use crate::job::spec::{AttemptSpec, RoomGrant};
use crate::telemetry::Levels;
use crate::worker::descriptors::Share;
use crate::worker::failure::FailedJob;
use crate::worker::parts::Parts;
use crate::worker::server::Server;
use crate::worker::settings::RoomSettings;
use alarm::Alarm;
use attempt::Attempt;
use cleanup::Cleanup;
use executor::RunningAttempt;
use job::JobHandle;

/// What a [`WorkerHandle`](crate::WorkerHandle) may ask for.
pub(crate) enum Command {
    Drain { within: Duration },
    Stop,
    Lifecycle { job: JobId, answer: oneshot::Sender<Option<Lifecycle>> },
    Status { answer: oneshot::Sender<Status> },
}

/// A look at the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) registered: bool,
    pub(crate) draining: bool,
    pub(crate) slots: SlotCounts,
}

/// A token is made for each connection, and only looked at when it opens.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// How often the load function is asked.
const LOAD_INTERVAL: Duration = Duration::from_millis(500);
/// How long a stopped worker waits for its last frames, rooms and callbacks.
const LAST_WORDS: Duration = Duration::from_secs(10);

pub(crate) struct Driver {
    agent: Arc<dyn AnyAgent>,
    server: Server,
    parts: Arc<Parts>,
    executor: Arc<dyn Executor>,
    log: Arc<Log>,
    machine: Worker,
    started: Instant,
    socket: FrameSocket,
    jobs: HashMap<JobId, JobHandle>,
    levels: Levels,
    /// This worker's part of the process's jobs, if they take file descriptors.
    share: Option<Share>,
    /// Jobs whose room is to be left once what was sent before is on its way, or read if nothing is sent
    /// after it.
    leaving: Vec<JobHandle>,
    /// What job tasks have to say. At most a handful per job, so it is bounded by the slots.
    inputs: mpsc::UnboundedReceiver<Input>,
    tell: mpsc::UnboundedSender<Input>,
    /// For those who wait for the registration; dropped when the worker stops.
    registered: watch::Sender<bool>,
    /// Whether the machine has stopped, and only the rest is left in order.
    closing: watch::Sender<bool>,
    /// Calls of the user's request handler, which end with the worker.
    asking: JoinSet<()>,
    /// Cleanups, callbacks and rooms being left: waited for when the worker stops.
    last_words: JoinSet<()>,
}

impl Driver {
    pub(crate) fn new(
        setup: Setup,
        registered: watch::Sender<bool>,
        closing: watch::Sender<bool>,
        descriptors: Option<Descriptors>,
    ) -> Self {
        let (tell, inputs) = mpsc::unbounded_channel();
        panics::remember_places();
        let Setup { agent, server, parts, executor, .. } = setup;
        let settings = &parts.settings;
        let seed = settings.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let mut machine = Worker::new(settings.rules.clone(), seed);
        if let Some(found) = descriptors {
            machine.handle_input(Input::DescriptorsFound(found), Time::ZERO);
        }
        Self {
            log: Arc::new(Log::new(&settings.rules.agent_name)),
            levels: parts.meter.levels(machine.capacity()),
            share: descriptors.filter(|found| found.per_job > 0).map(|_| Share::default()),
            machine,
            agent,
            server,
            parts,
            executor,
            started: Instant::now(),
            socket: FrameSocket::idle(),
            jobs: HashMap::new(),
            leaving: Vec::new(),
            inputs,
            tell,
            registered,
            closing,
            asking: JoinSet::new(),
            last_words: JoinSet::new(),
        }
    }

    /// Runs until the machine stops.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> Result<DrainReport, StopError> {
        let mut load = tokio::time::interval(LOAD_INTERVAL);
        load.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut alarm = Alarm::new();
        loop {
            if let Some(result) = self.carry_out() {
                self.closing.send_replace(true);
                self.say_last_words().await;
                return result;
            }
            let timeout = self.machine.poll_timeout().map(|(at, _)| self.started + (at - Time::ZERO));
            alarm.set(timeout.into_iter().chain(self.log.due()).min());
            tokio::select! {
                // The socket last: it writes while it is waited for, so all that is there to be done goes out
                // as one.
                biased;
                Some(input) = self.inputs.recv() => self.machine.handle_input(input, self.now()),
                Some(command) = commands.recv() => self.command(command),
                () = alarm.rings() => {
                    self.machine.handle_timeout(self.now());
                    self.log.sum_up();
                }
                _ = load.tick(), if self.parts.settings.hooks.load.is_some() => self.sample_load(),
                Some(_) = self.last_words.join_next() => {}
                Some(_) = self.asking.join_next() => {}
                event = self.socket.next() => self.on_socket(event),
            }
        }
    }

    fn on_socket(&mut self, event: SocketEvent) {
        let now = self.now();
        // An offer may be in it: what other workers of this process have taken is known then.
        if let Some(share) = &mut self.share {
            let count = share.update(self.machine.used_slots());
            self.machine.handle_input(Input::OtherJobs { count }, now);
        }
        if let SocketEvent::NotOpened(NetError::TooManyOpenFiles { .. }) = &event {
            self.machine.handle_input(Input::DescriptorsExhausted, now);
        }
        self.machine.handle_input(socket_input(event), now);
    }

    /// Does what the machine wants, in its order; the result once it has stopped.
    fn carry_out(&mut self) -> Option<Result<DrainReport, StopError>> {
        while let Some(output) = self.machine.poll_output() {
            self.write_log(&output);
            match output {
                Output::Connect => self.socket = self.connect(),
                Output::Disconnect => self.disconnect(),
                Output::Send(frame) => self.socket.send(frame),
                Output::Ask { offer, job } => self.ask(offer, job),
                Output::Start { job, token, url, waited } => {
                    self.parts.meter.assigned(waited);
                    self.start(job, token, url);
                }
                Output::Retry { job, attempt } => {
                    self.parts.meter.retry();
                    if let Some(handle) = self.jobs.get_mut(&job) {
                        handle.renew(attempt);
                    }
                    self.start_attempt(&job);
                }
                Output::Cancel { job, reason } => {
                    if let Some(handle) = self.jobs.get(&job) {
                        handle.cancel.set(reason);
                    }
                }
                Output::Abort { job } => {
                    if let Some(handle) = self.jobs.get_mut(&job) {
                        handle.aborted = true;
                        handle.attempt.iter().for_each(RunningAttempt::abort);
                    }
                }
                Output::Clean { job, attempt, within } => self.clean(&job, attempt, within),
                Output::Leave { job } => self.leaving.extend(self.jobs.remove(&job)),
                Output::Ended(ended) => self.ended(ended),
                Output::Moved { job, to } => {
                    let hooks = &self.parts.settings.hooks;
                    if let Some(hook) = &hooks.on_lifecycle {
                        hooks.redaction.sync_scope(|| guarded("the lifecycle hook", || hook(&job, to)));
                    }
                }
                Output::Notice(notice) => self.notice(&notice),
                Output::Stopped(result) => {
                    self.levels.show(&self.machine);
                    self.log.finish();
                    if let Ok(report) = &result {
                        self.log.stopped(report, &self.parts.meter.stats());
                    }
                    return Some(result);
                }
            }
        }
        if !self.leaving.is_empty() {
            self.leave_after(self.socket.flushed());
        }
        let registered = self.machine.is_confirmed();
        self.registered.send_if_modified(|was| std::mem::replace(was, registered) != registered);
        self.levels.show(&self.machine);
        if let Some(share) = &mut self.share {
            share.update(self.machine.used_slots());
        }
        None
    }

    /// Counts what there is to count.
    fn notice(&self, notice: &Notice) {
        let meter = &self.parts.meter;
        match notice {
            Notice::Registered { worker_id, again, .. } => {
                self.parts.set_worker_id(worker_id);
                if *again {
                    meter.reconnected();
                }
            }
            Notice::ConnectionLost { .. } => meter.connection_failed(),
            Notice::OfferAnswered { answer, after, .. } => meter.offer_answered(*answer, *after),
            Notice::NotAssigned { .. } => meter.not_assigned(),
            Notice::Stuck { .. } => meter.stuck(),
            Notice::Stale { .. } => meter.stale(),
            Notice::CleanupStuck { .. } => meter.stuck_cleanup(),
            Notice::Violation(violation) => meter.violation(*violation),
            Notice::UnknownKind { .. }
            | Notice::BadAnswer { .. }
            | Notice::Retrying { .. }
            | Notice::ShortRoom { .. }
            | Notice::ClosedUnconfirmed { .. }
            | Notice::DescriptorsExhausted { .. }
            | Notice::Full(_)
            | Notice::Draining { .. } => {}
        }
    }

    /// Within the span of the job that it is about, if the driver has that.
    fn write_log(&self, output: &Output) {
        if let Output::Ended(ended) = output {
            let aborted = self.jobs.get(&ended.job.id).is_some_and(|handle| handle.aborted);
            return self.log.ended(ended, aborted);
        }
        match log::job(output).and_then(|job| self.jobs.get(job)) {
            Some(handle) => handle.scope.span().in_scope(|| self.log.output(output)),
            None => self.log.output(output),
        }
    }

    fn connect(&self) -> FrameSocket {
        let Server { url, api_key, api_secret, net } = &self.server;
        let token = worker_token(api_key, api_secret, TOKEN_LIFE);
        let (url, options) = (url.agent_url(), net.clone());
        FrameSocket::connect(async move { connect_websocket(&url, Some(&token?), &options).await })
    }

    /// Closes the connection; what was sent before still goes out. The server answers the close when it has
    /// read all that.
    fn disconnect(&mut self) {
        let socket = std::mem::replace(&mut self.socket, FrameSocket::idle());
        let (closing, closed) = oneshot::channel::<()>();
        self.in_background(async move {
            socket.close().await;
            drop(closing);
        });
        // The other end is gone when it is closed: that is all.
        self.leave_after(async move { drop(closed.await) });
    }

    fn ask(&mut self, offer: agent_core::OfferId, job: Arc<Job>) {
        let (agent, tell) = (Arc::clone(&self.agent), self.tell.clone());
        let counted = self.parts.tasks.counted();
        // The machine has declined for us when this takes too long; the task must not outlive that by much.
        let limit = self.parts.settings.rules.answer_timeout * 2;
        let (log, span) = (Arc::clone(&self.log), self.log.job_span(&job));
        let asking = async move {
            let _counted = counted;
            let asked = AssertUnwindSafe(async { agent.on_request(&job).await }).catch_unwind();
            let job = job.id.clone();
            let input = match tokio::time::timeout(limit, asked).await {
                Ok(Ok(answer)) => Input::Answered { offer, job, answer },
                Ok(Err(panic)) => {
                    log.request_panicked(&caught(panic.as_ref()));
                    Input::RequestPanicked { offer, job }
                }
                Err(_) => {
                    log.request_silent(limit / 2);
                    return;
                }
            };
            let _ = tell.send(input);
        };
        self.asking.spawn(self.parts.settings.hooks.redaction.scope(asking).instrument(span));
    }

    fn start(&mut self, job: Arc<Job>, token: Secret, url: Option<String>) {
        let id = job.id.clone();
        let spec = AttemptSpec { job, number: 1, room: RoomGrant { url, token } };
        let request = self.join_request(&spec);
        let handle = JobHandle::new(spec, Arc::clone(&self.parts), request, self.tell.clone());
        self.jobs.insert(id.clone(), handle);
        self.levels.active += 1;
        self.start_attempt(&id);
    }

    /// How the job's room is joined.
    fn join_request(&self, spec: &AttemptSpec) -> Result<JoinRequest, AssignedUrlError> {
        let AttemptSpec { job, room: RoomGrant { url, token }, .. } = spec;
        let RoomSettings { auto_subscribe, refuse_other_servers, join_timeout, reconnect_timeout, .. } =
            self.parts.settings.rooms;
        let assigned = assigned_url(&self.server.url, url.as_deref(), refuse_other_servers)?;
        if let Some(server) = assigned.other {
            self.log
                .job_span(job)
                .in_scope(|| tracing::info!(server = %name(&server), "the job's room is on another server than the worker"));
        }
        let mut request = JoinRequest::new(assigned.url.to_string(), token.clone());
        request.auto_subscribe = auto_subscribe;
        request.timeout = join_timeout;
        request.reconnect_timeout = reconnect_timeout;
        request.reconnect_when = Some(self.registered.subscribe());
        Ok(request)
    }

    fn start_attempt(&mut self, job: &JobId) {
        let Some(handle) = self.jobs.get_mut(job) else { return };
        let links = AttemptLinks {
            parts: Arc::clone(&self.parts),
            room: Arc::clone(&handle.room),
            cancel: handle.cancel.clone(),
            scope: Arc::clone(&handle.scope),
            checkpoints: handle.checkpoints.clone(),
            tell: self.tell.clone(),
        };
        let (agent, texts) = (Arc::clone(&self.agent), Arc::clone(&handle.texts));
        let attempt = Attempt::new(agent, job.clone(), links, handle.assigned, texts);
        handle.attempt = Some(self.executor.start(handle.spec.clone(), attempt));
    }

    fn clean(&mut self, job: &JobId, attempt: u32, within: Duration) {
        let Some(handle) = self.jobs.get_mut(job) else { return };
        let scope = Arc::clone(&handle.scope);
        let span = scope.span().clone();
        let (tell, meter) = (self.tell.clone(), Arc::clone(&self.parts.meter));
        let (cancelled, redaction) = (Arc::clone(&scope), scope.redaction().clone());
        let leftovers = cleanup::find_leftovers(cancelled, Arc::clone(&meter));
        let callback_timeout = self.parts.settings.rules.cleanup_callback_timeout;
        let (job, room) = (job.clone(), Arc::clone(&handle.room));
        let cleanup = Cleanup { job, attempt, scope, room, within, callback_timeout, tell, meter };
        // Most attempts leave nothing behind, and the end of this is told when it is dropped.
        if !handle.scope.end_if_clean() {
            let begun = handle.begin_cleanup(within);
            let task = async move {
                cleanup.run().await;
                drop(begun);
                leftovers.await;
            };
            self.in_background(redaction.scope(task).instrument(span));
        }
    }

    /// Runs a task that a worker that stops still waits for.
    fn in_background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = self.parts.tasks.counted();
        self.last_words.spawn(async move {
            let _counted = counted;
            task.await;
        });
    }

    /// Leaves the rooms of jobs that are over, after this.
    fn leave_after(&mut self, sent: impl Future<Output = ()> + Send + 'static) {
        if self.leaving.is_empty() {
            return;
        }
        let rooms: Vec<_> = self.leaving.drain(..).filter_map(JobHandle::into_leaving).collect();
        self.in_background(async move {
            sent.await;
            futures_util::future::join_all(rooms).await;
        });
    }

    fn ended(&mut self, ended: EndedJob) {
        self.parts.meter.ended(&ended);
        // One that was failed without an attempt was never started.
        if ended.attempts > 0 {
            self.levels.active = self.levels.active.saturating_sub(1);
        }
        let span = self.log.job_span(&ended.job);
        let handle = self.jobs.get(&ended.job.id);
        let restore =
            |told: &str| handle.map_or_else(|| told.to_owned(), |handle| handle.texts.restore(told));
        let failed = FailedJob::of(&ended, restore);
        if let Some(checkpoints) = handle.and_then(|handle| handle.checkpoints.clone()) {
            self.in_background(async move { checkpoints.finish().await }.instrument(span.clone()));
        }
        if let (Some(hook), Some(failed)) = (&self.parts.settings.hooks.on_failure, failed) {
            let hook = Arc::clone(hook);
            self.tell_user("the failure hook", span.clone(), async move { hook(failed).await });
        }
        let agent = Arc::clone(&self.agent);
        self.tell_user("on_ended", span, async move { agent.on_ended(&ended).await });
    }

    /// Runs a callback of the user on a task of its own.
    fn tell_user(&mut self, what: &'static str, span: Span, told: impl Future<Output = ()> + Send + 'static) {
        let telling = async move {
            match tokio::time::timeout(LAST_WORDS, AssertUnwindSafe(told).catch_unwind()).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => tracing::error!("{what} panicked: {}", caught(panic.as_ref())),
                Err(_) => tracing::warn!("{what} took more than 10 s and was dropped"),
            }
        };
        self.in_background(self.parts.settings.hooks.redaction.scope(telling).instrument(span));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Drain { within } => {
                self.machine.handle_input(Input::DrainRequested { within }, self.now())
            }
            Command::Stop => self.machine.handle_input(Input::StopRequested, self.now()),
            Command::Lifecycle { job, answer } => {
                let _ = answer.send(self.machine.lifecycle(&job));
            }
            Command::Status { answer } => {
                let status = Status {
                    registered: self.machine.is_registered(),
                    draining: self.machine.is_draining(),
                    slots: self.machine.slots(),
                };
                let _ = answer.send(status);
            }
        }
    }

    fn sample_load(&mut self) {
        let hooks = &self.parts.settings.hooks;
        let sample = || hooks.load.as_ref().and_then(|load| guarded("the load function", || load()));
        let sampled = hooks.redaction.sync_scope(sample);
        if let Some(load) = sampled {
            self.machine.handle_input(Input::LoadSampled(load), self.now());
        }
    }

    async fn say_last_words(mut self) {
        self.disconnect();
        let parts = Arc::clone(&self.parts);
        let all = async {
            while self.last_words.join_next().await.is_some() {}
            // The program may end with the worker, and a lead that is not given back then keeps everybody
            // waiting.
            parts.releases.done().await;
        };
        if tokio::time::timeout(close_timeout(&parts.settings.rules), all).await.is_err() {
            tracing::warn!("stopped without waiting longer for rooms and callbacks");
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }
}

/// A worker that is dropped in the middle leaves nothing behind: its handlers, their tasks and callbacks go
/// with it.
impl Drop for Driver {
    fn drop(&mut self) {
        for handle in self.jobs.values() {
            handle.abandon();
        }
    }
}

/// How long a worker that has stopped takes to leave everything in order.
pub(crate) fn close_timeout(config: &Config) -> Duration {
    LAST_WORDS.max(config.cleanup_timeout)
}

fn socket_input(event: SocketEvent) -> Input {
    match event {
        SocketEvent::Opened => Input::Connected,
        SocketEvent::NotOpened(error) => {
            let message = chain(&error);
            Input::ConnectFailed(match error.status() {
                Some(status) => LinkError::Refused { status, message, retry_after: error.retry_after() },
                None => LinkError::Failed { message },
            })
        }
        SocketEvent::Received(frame) => Input::FrameReceived(frame),
        SocketEvent::ReceivedText => Input::TextReceived,
        SocketEvent::KeepAlive => Input::Activity,
        SocketEvent::Closed(reason) => Input::Disconnected { reason },
    }
}

/// Calls the user's code on the driver's own task: a panic in it must not stop the jobs.
fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(call))
        .inspect_err(|panic| tracing::error!("{what} panicked: {}", caught(panic.as_ref())))
        .ok()
}
