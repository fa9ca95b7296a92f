//! Performs the decisions of `agent-core`'s worker machine: sockets, tasks and timers, no rules.
//!
//! One task per worker runs [`Driver::run`], each job has its own task (`attempt`). An `if` about jobs
//! belongs in `agent-core`.

mod alarm;
mod attempt;
mod blocking;
mod cleanup;
mod executor;
mod job;
mod log;
mod losses;
mod setup;
mod snapshot;

pub(crate) use executor::{Executor, Tasks};
#[cfg(feature = "otel")]
pub(crate) use log::SPAN_TARGET as LOG_SPAN_TARGET;
pub(crate) use setup::Setup;
pub(crate) use snapshot::Snapshot;
#[cfg(feature = "http")]
pub(crate) use snapshot::{JobPage, Page};

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use log::Log;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use agent_core::{
    CancelReason, Config, DescriptorBudget, DrainReport, EndedJob, Input, Job, JobId, Lifecycle, LinkError,
    Notice, Output, StopError, Time, Worker,
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
use crate::job::contain::{contain, contain_sync};
use crate::job::panics::{self, caught, log_caught};
use crate::job::spec::{AttemptSpec, RoomGrant};
use crate::telemetry::WorkerGauges;
use crate::worker::failure::FailedJob;
use crate::worker::fd_limit::Share;
use crate::worker::parts::Parts;
use crate::worker::server::Server;
use crate::worker::settings::RoomSettings;
use alarm::Alarm;
use attempt::Attempt;
use blocking::BlockingThread;
use cleanup::Cleanup;
use job::JobHandle;

/// Requests of a [`WorkerHandle`](crate::WorkerHandle).
pub(crate) enum Command {
    Drain {
        within: Duration,
    },
    Stop,
    /// Accept no new jobs (`true`), or jobs again.
    Quiet(bool),
    /// Cancel a job; the answer is whether the worker has it.
    Cancel {
        job: JobId,
        reason: CancelReason,
        answer: oneshot::Sender<bool>,
    },
    Lifecycle {
        job: JobId,
        answer: oneshot::Sender<Option<Lifecycle>>,
    },
    Status {
        answer: oneshot::Sender<Snapshot>,
    },
    #[cfg(feature = "http")]
    Jobs {
        page: Page,
        answer: oneshot::Sender<JobPage>,
    },
}

/// Lifetime of a token, which is created for each connection and only checked when it opens.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// Interval of the load function's calls.
const LOAD_INTERVAL: Duration = Duration::from_millis(500);
/// How long a stopped worker waits for its last frames, rooms and callbacks; also the limit of the callbacks.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

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
    gauges: WorkerGauges,
    /// This worker's share of the process's jobs, if they use file descriptors.
    share: Option<Share>,
    /// Jobs whose rooms are left once the frames before that are sent, or, at the end of the connection, read
    /// by the server.
    leaving: Vec<JobHandle>,
    /// Inputs of job tasks: a few per job, so bounded by the slots.
    inputs: mpsc::UnboundedReceiver<Input>,
    input_sender: mpsc::UnboundedSender<Input>,
    /// Whether the worker is registered; dropped when it stops.
    registered: watch::Sender<bool>,
    /// Whether the machine has stopped, and only background tasks remain.
    closing: watch::Sender<bool>,
    /// Calls of the user's start hook and request handler, aborted at the end of the worker.
    asking: JoinSet<()>,
    /// Cleanups, callbacks and leaving rooms, which a stopping worker waits for.
    background: JoinSet<()>,
}

impl Driver {
    pub(crate) fn new(
        setup: Setup,
        registered: watch::Sender<bool>,
        closing: watch::Sender<bool>,
        descriptors: Option<DescriptorBudget>,
    ) -> Self {
        let (input_sender, inputs) = mpsc::unbounded_channel();
        panics::record_locations();
        let Setup { agent, server, parts, executor, .. } = setup;
        let settings = &parts.settings;
        let seed = settings.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let mut machine = Worker::new(settings.rules.clone(), seed);
        if let Some(found) = descriptors {
            machine.handle_input(Input::DescriptorsFound(found), Time::ZERO);
        }
        Self {
            log: Arc::new(Log::new(&settings.rules.agent_name)),
            gauges: parts.meter.gauges(machine.capacity()),
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
            input_sender,
            registered,
            closing,
            asking: JoinSet::new(),
            background: JoinSet::new(),
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
        let Parts { tasks, settings, meter, .. } = &*self.parts;
        let _watching = BlockingThread::start(tasks.clone(), settings.blocked_after, Arc::clone(meter));
        loop {
            if let Some(result) = self.carry_out() {
                // The last failure is no loss of which a notice tells.
                if let Err(StopError::Refused { .. } | StopError::GaveUp { .. }) = &result {
                    self.parts.meter.connection_failed();
                }
                self.closing.send_replace(true);
                self.shut_down(commands).await;
                return result;
            }
            let timeout = self.machine.poll_timeout().map(|(at, _)| self.started + (at - Time::ZERO));
            alarm.set(timeout.into_iter().chain(self.log.due()).min());
            tokio::select! {
                // The socket last: it writes while it is polled, so that the outputs of all pending inputs
                // are sent together.
                biased;
                Some(input) = self.inputs.recv() => self.machine.handle_input(input, self.now()),
                Some(command) = commands.recv() => self.command(command),
                () = alarm.fired() => {
                    self.machine.handle_timeout(self.now());
                    self.log.sum_up();
                }
                _ = load.tick(), if self.parts.settings.hooks.load.is_some() => self.sample_load(),
                Some(_) = self.background.join_next() => {}
                Some(_) = self.asking.join_next() => {}
                event = self.socket.next() => self.on_socket(event),
            }
        }
    }

    fn on_socket(&mut self, event: SocketEvent) {
        let now = self.now();
        // The event may be an offer, which needs the current number of jobs of the other workers in this
        // process.
        if let Some(share) = &mut self.share {
            let count = share.update(self.machine.used_slots());
            self.machine.handle_input(Input::OtherJobs { count }, now);
        }
        if let SocketEvent::NotOpened(NetError::TooManyOpenFiles { .. }) = &event {
            self.machine.handle_input(Input::DescriptorsExhausted, now);
        }
        self.machine.handle_input(socket_input(event), now);
    }

    /// Performs the machine's outputs in order; returns the result once it has stopped.
    fn carry_out(&mut self) -> Option<Result<DrainReport, StopError>> {
        while let Some(output) = self.machine.poll_output() {
            self.write_log(&output);
            match output {
                Output::Prepare => self.prepare(),
                Output::Connect => self.socket = self.connect(),
                Output::Disconnect => self.disconnect(),
                Output::Send(frame) => self.socket.send(frame),
                Output::Ask { offer, job } => self.ask(offer, job),
                Output::Start { job, token, url, answered, waited } => {
                    self.parts.meter.assigned(waited);
                    self.start(job, token, url, answered.zip(waited));
                }
                Output::Retry { job, attempt } => {
                    self.parts.meter.retry();
                    if let Some(handle) = self.jobs.get_mut(&job) {
                        handle.prepare_attempt(attempt);
                    }
                    self.start_attempt(&job);
                }
                Output::Cancel { job, reason } => {
                    if let Some(handle) = self.jobs.get(&job) {
                        handle.cancel.set(reason);
                    }
                }
                Output::Abort { job, cause } => {
                    if let Some(handle) = self.jobs.get_mut(&job) {
                        handle.abort(cause);
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
                    self.gauges.update(&self.machine);
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
        self.gauges.update(&self.machine);
        if let Some(share) = &mut self.share {
            share.update(self.machine.used_slots());
        }
        None
    }

    /// Updates the counters.
    fn notice(&self, notice: &Notice) {
        let meter = &self.parts.meter;
        match notice {
            Notice::Registered { worker_id, reregistered, .. } => {
                self.parts.set_worker_id(worker_id);
                if *reregistered {
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
            | Notice::Quiet { .. }
            | Notice::StillDraining { .. }
            | Notice::Draining { .. } => {}
        }
    }

    /// Logs an output, within the span of its job if the driver has it.
    fn write_log(&self, output: &Output) {
        if let Output::Ended(ended) = output {
            let aborted = self.jobs.get(&ended.job.id).and_then(|handle| handle.aborted);
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

    /// Closes the connection after the pending frames are sent. The server answers the close once it has read
    /// them.
    fn disconnect(&mut self) {
        let socket = std::mem::replace(&mut self.socket, FrameSocket::idle());
        let (closing, closed) = oneshot::channel::<()>();
        self.in_background(async move {
            socket.close().await;
            drop(closing);
        });
        // The other end is dropped once the socket is closed.
        self.leave_after(async move { drop(closed.await) });
    }

    /// Calls the user's start hook.
    fn prepare(&mut self) {
        let inputs = self.input_sender.clone();
        let hooks = &self.parts.settings.hooks;
        let hook = hooks.on_start.clone();
        let preparing = async move {
            let prepared = async {
                match hook {
                    Some(hook) => hook().await,
                    None => Ok(()),
                }
            };
            let result = match contain(prepared).await {
                Ok(result) => {
                    result.map_err(|error| format!("the `on_start` hook failed: {}", chain(&*error)))
                }
                Err(panic) => Err(format!("the `on_start` hook panicked: {}", caught(panic.as_ref()))),
            };
            let _ = inputs.send(Input::Prepared(result));
        };
        let span = Span::current();
        let preparing = self.parts.tasks.watched("`on_start`".into(), &span, preparing);
        self.asking.spawn(hooks.redaction.scope(preparing).instrument(span));
    }

    fn ask(&mut self, offer: agent_core::OfferId, job: Arc<Job>) {
        let (agent, inputs) = (Arc::clone(&self.agent), self.input_sender.clone());
        let counted = self.parts.tasks.counted();
        // The machine declines the offer after the answer timeout; the task is dropped at twice that time.
        let limit = self.parts.settings.rules.answer_timeout * 2;
        let (log, span) = (Arc::clone(&self.log), self.log.job_span(&job));
        let asking = async move {
            let _counted = counted;
            let asked = contain(async { agent.on_request(&job).await });
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
            let _ = inputs.send(input);
        };
        let asking = self.parts.tasks.watched("`on_request`".into(), &span, asking);
        self.asking.spawn(self.parts.settings.hooks.redaction.scope(asking).instrument(span));
    }

    /// `times`: how long the answer to its offer took, and the assignment after that.
    fn start(
        &mut self,
        job: Arc<Job>,
        token: Secret,
        url: Option<String>,
        times: Option<(Duration, Duration)>,
    ) {
        let id = job.id.clone();
        let spec = AttemptSpec { job, number: 1, room: RoomGrant { url, token } };
        let request = self.join_request(&spec);
        let handle = JobHandle::new(spec, Arc::clone(&self.parts), request, self.input_sender.clone());
        if let Some((answered, waited)) = times {
            handle.scope.trace().assigned(answered, waited);
        }
        self.jobs.insert(id.clone(), handle);
        self.gauges.active += 1;
        self.start_attempt(&id);
    }

    /// The request to join the job's room.
    fn join_request(&self, spec: &AttemptSpec) -> Result<JoinRequest, AssignedUrlError> {
        let AttemptSpec { job, room: RoomGrant { url, token }, .. } = spec;
        let rooms = &self.parts.settings.rooms;
        let RoomSettings { auto_subscribe, refuse_other_servers, join_timeout, reconnect_timeout, .. } =
            *rooms;
        let assigned = assigned_url(&self.server.url, url.as_deref(), refuse_other_servers)?;
        if let Some(server) = assigned.other {
            self.log
                .job_span(job)
                .in_scope(|| tracing::info!(server = %name(&server), "the job's room is on another server than the worker"));
        }
        let mut request = JoinRequest::new(assigned.url.to_string(), token.clone());
        request.auto_subscribe = auto_subscribe;
        request.e2ee.clone_from(&rooms.e2ee);
        request.force_relay = rooms.force_relay;
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
            inputs: self.input_sender.clone(),
        };
        let (agent, texts) = (Arc::clone(&self.agent), Arc::clone(&handle.texts));
        let attempt = Attempt::new(agent, job.clone(), links, handle.assigned, texts);
        handle.attempt = Some(self.executor.start(handle.spec.clone(), attempt));
    }

    fn clean(&mut self, job: &JobId, attempt: u32, within: Duration) {
        let Some(handle) = self.jobs.get_mut(job) else { return };
        let scope = Arc::clone(&handle.scope);
        let cancel = handle.cancel.clone();
        let trace = scope.trace().shutdown(cancel.reason());
        let span = handle.cleanup_span(trace.as_ref());
        let (inputs, meter) = (self.input_sender.clone(), Arc::clone(&self.parts.meter));
        let (cancelled, redaction) = (Arc::clone(&scope), scope.redaction().clone());
        let leftovers = cleanup::find_leftovers(cancelled, Arc::clone(&meter));
        let callback_timeout = self.parts.settings.rules.cleanup_callback_timeout;
        let (job, room) = (job.clone(), Arc::clone(&handle.room));
        let cleanup =
            Cleanup { job, attempt, scope, trace, cancel, room, within, callback_timeout, inputs, meter };
        // Most attempts have nothing to clean up: then dropping the cleanup reports its end.
        if !handle.scope.end_if_clean() {
            let begun = handle.begin_cleanup(within);
            let task = async move {
                cleanup.run().await;
                drop(begun);
                leftovers.await;
            };
            let task = self.parts.tasks.watched("the cleanup".into(), &span, task);
            self.in_background(redaction.scope(task).instrument(span));
        }
    }

    /// Runs a task in the background, which a stopping worker waits for.
    fn in_background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = self.parts.tasks.counted();
        self.background.spawn(async move {
            let _counted = counted;
            task.await;
        });
    }

    /// Leaves the rooms of ended jobs after `sent` completes.
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
        // A job without an attempt was never started.
        if ended.attempts > 0 {
            self.gauges.active = self.gauges.active.saturating_sub(1);
        }
        let span = self.log.job_span(&ended.job);
        let handle = self.jobs.get(&ended.job.id);
        let restore =
            |text: &str| handle.map_or_else(|| text.to_owned(), |handle| handle.texts.restore(text));
        let failed = FailedJob::of(&ended, restore);
        if let Some(checkpoints) = handle.and_then(|handle| handle.checkpoints.clone()) {
            self.in_background(async move { checkpoints.finish().await }.instrument(span.clone()));
        }
        if let (Some(hook), Some(failed)) = (&self.parts.settings.hooks.on_failure, failed) {
            let hook = Arc::clone(hook);
            self.notify_user("the failure hook", span.clone(), async move { hook(failed).await });
        }
        let agent = Arc::clone(&self.agent);
        self.notify_user("on_ended", span, async move { agent.on_ended(&ended).await });
    }

    /// Runs a callback of the user on its own task.
    fn notify_user(
        &mut self,
        what: &'static str,
        span: Span,
        callback: impl Future<Output = ()> + Send + 'static,
    ) {
        let call = async move {
            match tokio::time::timeout(SHUTDOWN_TIMEOUT, contain(callback)).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => log_caught(what, panic.as_ref()),
                Err(_) => tracing::warn!("{what} took more than 10 s and was dropped"),
            }
        };
        let call = self.parts.tasks.watched(what.into(), &span, call);
        self.in_background(self.parts.settings.hooks.redaction.scope(call).instrument(span));
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Drain { within } => {
                self.machine.handle_input(Input::DrainRequested { within }, self.now())
            }
            Command::Stop => self.machine.handle_input(Input::StopRequested, self.now()),
            Command::Quiet(true) => self.machine.handle_input(Input::QuietRequested, self.now()),
            Command::Quiet(false) => self.machine.handle_input(Input::UndrainRequested, self.now()),
            Command::Cancel { job, reason, answer } => {
                let found = self.machine.has_job(&job);
                let _ = answer.send(found);
                if found {
                    self.machine.handle_input(Input::CancelRequested { job, reason }, self.now());
                }
            }
            Command::Lifecycle { job, answer } => {
                let _ = answer.send(self.machine.lifecycle(&job));
            }
            Command::Status { answer } => {
                let (settings, worker_id) = (&self.parts.settings, self.parts.worker_id());
                let server = &self.server.url;
                let _ = answer.send(Snapshot::of(&self.machine, settings, server, worker_id, self.now()));
            }
            #[cfg(feature = "http")]
            Command::Jobs { page, answer } => {
                let _ = answer.send(JobPage::of(&self.machine, page, self.now()));
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

    /// Waits for the background tasks, and answers commands meanwhile.
    async fn shut_down(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        self.disconnect();
        let parts = Arc::clone(&self.parts);
        let all = async {
            loop {
                tokio::select! {
                    biased;
                    Some(command) = commands.recv() => self.command(command),
                    Some(_) = self.background.join_next() => {}
                    // The program may end with the worker, and followers would wait for an unreleased lease.
                    () = parts.releases.done(), if self.background.is_empty() => break,
                }
            }
        };
        if tokio::time::timeout(close_timeout(&parts.settings.rules), all).await.is_err() {
            tracing::warn!("stopped without waiting for the remaining rooms and callbacks");
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }
}

/// A worker that is dropped while it runs aborts its handlers, and drops their tasks and callbacks.
impl Drop for Driver {
    fn drop(&mut self) {
        for handle in self.jobs.values() {
            handle.abandon();
        }
    }
}

/// Time limit of a stopped worker for its background tasks.
pub(crate) fn close_timeout(config: &Config) -> Duration {
    SHUTDOWN_TIMEOUT.max(config.cleanup_timeout)
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

/// Calls the user's code on the driver's task and contains its panics, which must not stop the jobs.
fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Option<T> {
    contain_sync(call).inspect_err(|panic| log_caught(what, panic.as_ref())).ok()
}
