//! Carries out what the machine of `agent-core` decides: sockets, tasks and timers, no rules.
//!
//! One task per worker runs [`Driver::run`], each job has a task of its own (`attempt`). An `if` about jobs belongs in `agent-core`.

mod attempt;
mod log;

use crate::agent::AnyAgent;
use crate::context::CancelSignal;
use crate::net::{self, FrameSocket, NetOptions, SocketEvent};
use crate::room::{Room, RoomConnector};
use crate::secret::Secret;
use agent_core::{
    Answer, Config, ConnectError, DrainReport, EndedJob, Input, Job, JobId, Lifecycle, Output, SlotCounts,
    StopError, Time, Worker,
};
use attempt::AttemptSetup;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{SetOnce, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// Called with each step of each job.
pub(crate) type LifecycleHook = Arc<dyn Fn(&Job, Lifecycle) + Send + Sync>;
/// Samples the load of the machine: 0 idle, 1 full.
pub(crate) type LoadFn = Arc<dyn Fn() -> f32 + Send + Sync>;

/// Everything that a worker is made of.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) url: net::ServerUrl,
    pub(crate) api_key: String,
    pub(crate) api_secret: Secret,
    pub(crate) net: NetOptions,
    pub(crate) agent: Arc<dyn AnyAgent>,
    pub(crate) connector: Arc<dyn RoomConnector>,
    pub(crate) join_room: bool,
    pub(crate) join_timeout: Duration,
    pub(crate) reconnect_timeout: Duration,
    pub(crate) stay: bool,
    pub(crate) on_lifecycle: Option<LifecycleHook>,
    pub(crate) load: Option<LoadFn>,
    pub(crate) seed: u64,
}

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

/// The job of one assignment, as far as the driver holds something of it.
struct JobHandle {
    cancel: CancelSignal,
    abort: AbortHandle,
    room: Arc<SetOnce<Room>>,
}

pub(crate) struct Driver {
    setup: Setup,
    machine: Worker,
    started: Instant,
    socket: FrameSocket,
    jobs: HashMap<JobId, JobHandle>,
    /// What job tasks have to say. At most a handful per job, so it is bounded by the slots.
    inputs: mpsc::UnboundedReceiver<Input>,
    tell: mpsc::UnboundedSender<Input>,
    /// For those who wait for the registration; dropped when the worker stops.
    registered: watch::Sender<bool>,
    /// Callbacks and rooms being left: waited for when the worker stops.
    last_words: JoinSet<()>,
}

impl Driver {
    pub(crate) fn new(setup: Setup, registered: watch::Sender<bool>) -> Self {
        let (tell, inputs) = mpsc::unbounded_channel();
        Self {
            machine: Worker::new(setup.config.clone(), setup.seed),
            setup,
            started: Instant::now(),
            socket: FrameSocket::idle(),
            jobs: HashMap::new(),
            inputs,
            tell,
            registered,
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
        loop {
            if let Some(result) = self.carry_out() {
                self.say_last_words().await;
                return result;
            }
            let wake =
                self.machine.poll_timeout().map(|(at, _)| self.started + Duration::from_nanos(at.as_nanos()));
            tokio::select! {
                Some(input) = self.inputs.recv() => self.machine.handle_input(input, self.now()),
                event = self.socket.next() => self.machine.handle_input(socket_input(event), self.now()),
                Some(command) = commands.recv() => self.command(command),
                () = sleep_until(wake) => self.machine.handle_timeout(self.now()),
                _ = load.tick(), if self.setup.load.is_some() => self.sample_load(),
                Some(_) = self.last_words.join_next() => {}
            }
        }
    }

    /// Does what the machine wants, in its order; the result once it has stopped.
    fn carry_out(&mut self) -> Option<Result<DrainReport, StopError>> {
        while let Some(output) = self.machine.poll_output() {
            log::output(&output);
            match output {
                Output::Connect => self.socket = self.connect(),
                Output::Disconnect => self.disconnect(),
                Output::Send(frame) => self.socket.send(frame),
                Output::Ask { offer, job } => self.ask(offer, job),
                Output::Start { job, token, url, attempt } => {
                    let setup = AttemptSetup {
                        agent: Arc::clone(&self.setup.agent),
                        connector: Arc::clone(&self.setup.connector),
                        join: self.setup.join_room,
                        join_timeout: self.setup.join_timeout,
                        reconnect_timeout: self.setup.reconnect_timeout,
                        stay: self.setup.stay,
                        url: url.unwrap_or_else(|| self.setup.url.to_string()),
                        token: Secret::from(token.expose()),
                        number: attempt,
                        tell: self.tell.clone(),
                        worker_known: self.registered.subscribe(),
                    };
                    let id = job.id.clone();
                    let (cancel, room, abort) = attempt::spawn(job, setup);
                    self.jobs.insert(id, JobHandle { cancel, abort, room });
                }
                Output::Cancel { job, reason } => {
                    if let Some(handle) = self.jobs.get(&job) {
                        handle.cancel.set(reason);
                    }
                }
                Output::Abort { job } => {
                    if let Some(handle) = self.jobs.get(&job) {
                        handle.abort.abort();
                    }
                }
                Output::Leave { job } => self.leave(&job),
                Output::Ended(ended) => self.ended(ended),
                Output::Moved { job, to } => {
                    if let Some(hook) = &self.setup.on_lifecycle {
                        guarded("the lifecycle hook", || hook(&job, to));
                    }
                }
                Output::Notice(_) => {}
                Output::Stopped(result) => return Some(result),
                _ => tracing::error!("the machine asks for something that this driver does not know"),
            }
        }
        let registered = self.machine.is_registered();
        self.registered.send_if_modified(|was| std::mem::replace(was, registered) != registered);
        None
    }

    fn connect(&self) -> FrameSocket {
        let token = net::worker_token(&self.setup.api_key, &self.setup.api_secret, TOKEN_LIFE);
        let (url, options) = (self.setup.url.agent_url(), self.setup.net.clone());
        FrameSocket::connect(async move { net::connect_websocket(&url, Some(&token?), &options).await })
    }

    /// Closes the connection; what was sent before still goes out.
    fn disconnect(&mut self) {
        let socket = std::mem::replace(&mut self.socket, FrameSocket::idle());
        self.last_words.spawn(socket.close());
    }

    fn ask(&self, offer: agent_core::OfferId, job: Arc<Job>) {
        let (agent, tell) = (Arc::clone(&self.setup.agent), self.tell.clone());
        // The machine has declined for us when this takes too long; the task must not outlive that by much.
        let limit = self.setup.config.answer_timeout * 2;
        tokio::spawn(async move {
            let asked = AssertUnwindSafe(async { agent.on_request(&job).await }).catch_unwind();
            let answer = match tokio::time::timeout(limit, asked).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(panic)) => {
                    let message = attempt::panic_message(panic.as_ref());
                    tracing::error!(job_id = %job.id, "on_request panicked, the job is declined: {message}");
                    Answer::Decline
                }
                Err(_) => {
                    tracing::warn!(job_id = %job.id, "on_request took too long, the job was declined");
                    return;
                }
            };
            let _ = tell.send(Input::Answered { offer, job: job.id.clone(), answer });
        });
    }

    fn leave(&mut self, job: &JobId) {
        let Some(handle) = self.jobs.remove(job) else { return };
        let Some(room) = handle.room.get().cloned() else { return };
        let flushed = self.socket.flushed();
        self.last_words.spawn(async move {
            flushed.await;
            room.leave().await;
        });
    }

    fn ended(&mut self, ended: EndedJob) {
        let agent = Arc::clone(&self.setup.agent);
        self.last_words.spawn(async move {
            let told = AssertUnwindSafe(async { agent.on_ended(&ended).await }).catch_unwind();
            match tokio::time::timeout(LAST_WORDS, told).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => {
                    let message = attempt::panic_message(panic.as_ref());
                    tracing::error!(job_id = %ended.job.id, "on_ended panicked: {message}");
                }
                Err(_) => {
                    tracing::warn!(job_id = %ended.job.id, "on_ended took more than 10 s and was dropped")
                }
            }
        });
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
        let sampled = self.setup.load.as_ref().and_then(|load| guarded("the load function", || load()));
        if let Some(load) = sampled {
            self.machine.handle_input(Input::LoadSampled(load), self.now());
        }
    }

    async fn say_last_words(mut self) {
        self.disconnect();
        let all = async { while self.last_words.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("stopped without waiting longer for rooms and callbacks");
        }
    }

    fn now(&self) -> Time {
        Time::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

fn socket_input(event: SocketEvent) -> Input {
    match event {
        SocketEvent::Opened => Input::Connected,
        SocketEvent::NotOpened(error) => {
            let message = with_sources(&error);
            Input::ConnectFailed(match error.status() {
                Some(status) => ConnectError::Refused { status, message },
                None => ConnectError::Failed { message },
            })
        }
        SocketEvent::Received(frame) => Input::FrameReceived(frame),
        SocketEvent::ReceivedText => Input::TextReceived,
        SocketEvent::Heard => Input::Heard,
        SocketEvent::Closed(reason) => Input::Disconnected { reason },
    }
}

/// The text of an error and of those behind it.
fn with_sources(error: &net::ConnectError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text
}

/// Calls the user's code on the driver's own task: a panic in it must not stop the jobs.
fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(call))
        .inspect_err(|panic| tracing::error!("{what} panicked: {}", attempt::panic_message(panic.as_ref())))
        .ok()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
