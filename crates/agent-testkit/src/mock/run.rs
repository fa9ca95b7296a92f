//! One job, from start to end, without a network.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use agent_server::ApiCall;
use agent_worker::{Agent, Answer, EndedJob, Job, JobContext, JobResult, Outcome, WorkerBuilder};

use super::order::Order;
use super::sent::{SentAudio, SentBytes, SentCall, SentData, SentText, SentVideo};
use super::server::MockServer;
use super::spec::JobSpec;
use super::timeline::Timeline;

/// Time limit of a handler, on the clock of its run.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How long a job may take to end after its termination: after a fault the server may not know it any more,
/// and its room is deleted.
const TERMINATION: Duration = Duration::from_secs(30);

/// How long a room stays open that all but agents have left, as on the real server.
const DEPARTURE: Duration = Duration::from_secs(20);

/// The result of a job that [`run_job`] ran.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// The outcome of the job.
    pub outcome: Outcome,
    /// The time from its assignment to its outcome, on the clock of the run.
    pub duration: Duration,
    /// The messages sent in its room, by the agent and by others, oldest first.
    pub sent: Vec<SentData>,
    /// The text streams in its room that are over, by the agent and by others.
    pub texts: Vec<SentText>,
    /// The byte streams in its room that are over, by the agent and by others.
    pub byte_streams: Vec<SentBytes>,
    /// The frames of audio tracks that were sent in its room, by the agent and by others with
    /// [their rooms](crate::MockParticipant::room).
    pub audio: Vec<SentAudio>,
    /// The frames of video tracks, as `audio`.
    pub video: Vec<SentVideo>,
    /// The calls of methods in its room that have their result, by the agent and by others.
    pub rpc_calls: Vec<SentCall>,
    /// The calls of the server's API that the handler made ([`JobContext::api`]), oldest first. They had
    /// their effect in the room.
    pub api_calls: Vec<ApiCall>,
    /// The events on the server.
    pub timeline: Timeline,
    agent: String,
}

impl Run {
    /// The messages that the agent sent, oldest first.
    pub fn sent_by_agent(&self) -> impl Iterator<Item = &SentData> {
        self.sent.iter().filter(|sent| sent.sender.as_ref() == Some(&self.agent))
    }

    /// The text streams that the agent sent, oldest end first.
    pub fn texts_by_agent(&self) -> impl Iterator<Item = &SentText> {
        self.texts.iter().filter(|sent| sent.sender == self.agent)
    }

    /// The byte streams that the agent sent, oldest end first.
    pub fn byte_streams_by_agent(&self) -> impl Iterator<Item = &SentBytes> {
        self.byte_streams.iter().filter(|sent| sent.sender == self.agent)
    }

    /// The frames of audio tracks that the agent sent, oldest first.
    pub fn audio_by_agent(&self) -> impl Iterator<Item = &SentAudio> {
        self.audio.iter().filter(|sent| sent.sender == self.agent)
    }

    /// The frames of video tracks that the agent sent, oldest first.
    pub fn video_by_agent(&self) -> impl Iterator<Item = &SentVideo> {
        self.video.iter().filter(|sent| sent.sender == self.agent)
    }

    /// Returns if the job succeeded.
    ///
    /// # Panics
    /// If it failed, with its error and the timeline.
    #[track_caller]
    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub fn assert_success(&self) {
        if let Outcome::Failed { error } = &self.outcome {
            panic!("the job failed: {error}\n{}", self.timeline);
        }
    }
}

/// Runs one job on a mock server, in a mock room, on virtual time: sleeping for an hour takes no time, and
/// nothing leaves the process.
///
/// The whole worker is real, from its registration to the outcome. It has a thread and a runtime of its own,
/// whose clock advances when nothing is left to do; for a handler that does real I/O there is
/// [`run_job_in_real_time`].
///
/// ```
/// use agent_testkit::{JobSpec, run_job};
/// use agent_worker::{JobContext, JobResult, Outcome};
///
/// #[derive(Default, serde::Deserialize)]
/// struct Greeting { name: String }
///
/// async fn greet(ctx: JobContext) -> JobResult {
///     let Greeting { name } = ctx.metadata()?;
///     ctx.room().publish_data("chat", format!("Hello, {name}!")).await?;
///     ctx.cancelled().await;
///     Ok(())
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let run = run_job(greet, JobSpec::room("lobby").metadata(r#"{"name":"Ada"}"#)).await;
/// assert_eq!(run.outcome, Outcome::Success);
/// assert_eq!(run.sent[0].text(), "Hello, Ada!");
/// # });
/// ```
///
/// # Determinism
/// The same [seed](JobSpec::seed) gives the same run: the same order of everything that happens, also in one
/// moment of virtual time, and the same timeline. Another seed lets the scripts, the handler and the
/// participants of the room give way to each other at other times, so that what is free happens in another
/// order: run a handler under some hundred seeds to find its races. Tasks that a handler or a script spawns
/// run in the order in which they become ready.
///
/// What the handler's own code draws is not under control: the order of a `HashMap` or `HashSet`, random
/// numbers, the system's clock, threads (`spawn_blocking`), and two sources of tokio: `tokio::select!`
/// without `biased;` polls its branches in a random order, and the tasks that wait for one change of a
/// `tokio::sync::watch` are woken in one. Tokio seeds both for each runtime, but takes a seed only when it is
/// built with `RUSTFLAGS="--cfg tokio_unstable"`; then `run_job` seeds them, too. Without it, write `biased;`
/// where a test has to be repeatable. What stays different is the time of day: it is in the room's
/// description, and in tokens.
///
/// # Panics
/// If the job cannot be run: no worker accepts it, or it has not ended after a day.
pub async fn run_job<A: Agent>(agent: A, spec: JobSpec) -> Run {
    run_on_thread(UnderTest::new(agent), spec).await
}

/// As [`run_job`], for a test that is not async, such as one of proptest.
///
/// ```
/// use agent_testkit::{JobSpec, run_job_blocking};
/// use agent_worker::JobContext;
///
/// let run = run_job_blocking(|_: JobContext| async { Ok(()) }, JobSpec::room("lobby"));
/// run.assert_success();
/// ```
///
/// # Panics
/// As [`run_job`].
pub fn run_job_blocking<A: Agent>(agent: A, spec: JobSpec) -> Run {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = start(UnderTest::new(agent), spec, move |run| drop(sender.send(run)));
    match receiver.recv() {
        Ok(run) => run,
        Err(_) => ended_without_run(thread),
    }
}

async fn run_on_thread(agent: UnderTest, spec: JobSpec) -> Run {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = start(agent, spec, move |run| drop(sender.send(run)));
    match receiver.await {
        Ok(run) => run,
        Err(_) => ended_without_run(thread),
    }
}

/// Runs a job on a thread of its own, on virtual time.
fn start(
    agent: UnderTest,
    spec: JobSpec,
    done: impl FnOnce(Run) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("run_job".to_owned()).spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true);
        #[cfg(tokio_unstable)]
        builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&spec.seed.to_le_bytes()));
        #[expect(clippy::expect_used, reason = "a test without a runtime fails")]
        done(builder.build().expect("a runtime").block_on(run_here(agent, spec)));
    })
}

/// A panic of that thread is the failure of this test, with its text.
fn ended_without_run(thread: std::io::Result<JoinHandle<()>>) -> ! {
    match thread.map(JoinHandle::join) {
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Ok(Ok(())) => unreachable!("a thread that ends has sent its run"),
        Err(error) => failed(&format!("the thread for the job could not be started: {error}")),
    }
}

/// As [`run_job`], on the caller's runtime and with its clock: for handlers that do real I/O.
///
/// # Panics
/// As [`run_job`].
pub async fn run_job_in_real_time<A: Agent>(agent: A, spec: JobSpec) -> Run {
    run_here(UnderTest::new(agent), spec).await
}

async fn run_here(agent: UnderTest, mut spec: JobSpec) -> Run {
    // Only people who leave close the room: it stays open in a test without people.
    let server = MockServer::builder().seed(spec.seed).room_timeouts(LIMIT, DEPARTURE).start_in_process();
    let (sender, mut ended) = mpsc::unbounded_channel();
    let configure = spec.worker.take().unwrap_or_else(|| Box::new(|builder: WorkerBuilder| builder));
    let builder = agent.worker_of(&server, spec.seed, sender).agent_name("agent-under-test");
    let mut builder = configure(builder.job_kind(spec.kind).seed(spec.seed));
    if let Some(name) = &spec.agent_name {
        builder = builder.agent_name(name);
    }
    if !spec.deployment.is_empty() {
        builder = builder.deployment(&spec.deployment);
    }
    let worker = match builder.build() {
        Ok(worker) => worker,
        Err(error) => failed(&format!("the worker's settings are invalid: {error}")),
    };
    spec.agent_name = Some(worker.agent_name().to_owned());
    spec.deployment = worker.deployment().to_owned();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let (scripts, lasts) = (std::mem::take(&mut spec.scripts), spec.lasts);
    let faults = std::mem::take(&mut spec.faults);
    let target = spec.target.clone();
    let job = match server.dispatch(spec).await {
        Ok(job) => job,
        Err(error) => failed(&format!("{error}\n{}", server.timeline())),
    };
    let playing: Vec<_> = scripts
        .into_iter()
        .map(|script| {
            let (order, script) = (server.order.clone(), script(job.room()));
            tokio::spawn(async move { order.run(script).await })
        })
        .collect();
    let played = async {
        for script in playing {
            if let Err(error) = script.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    };
    let failing = async {
        if !faults.is_empty() {
            job.room().wait_for_agent().await;
        }
        for (after, fault) in &faults {
            tokio::time::sleep(*after).await;
            server.inject(fault).await;
        }
    };
    let terminating = async {
        tokio::join!(played, failing);
        tokio::time::sleep(lasts).await;
        job.terminate();
        if !faults.is_empty() {
            tokio::time::sleep(TERMINATION).await;
            job.room().delete();
        }
        std::future::pending::<()>().await;
    };
    let nobody = async {
        match job.outcome_within(LIMIT).await {
            Err(error) => error.to_string(),
            Ok(_) if !job.was_assigned() => format!(
                "the agent dismissed the job, so that no handler ran: run it with `MockServer::dispatch` to see its outcome\n{}",
                server.timeline()
            ),
            Ok(_) => std::future::pending().await,
        }
    };
    let end: EndedJob = tokio::select! {
        biased;
        end = end_of(&mut ended, target.as_deref()) => match end {
            Some(end) => end,
            None => failed(&format!("the worker stopped without an outcome\n{}", server.timeline())),
        },
        () = terminating => unreachable!("it waits forever"),
        reason = nobody => failed(&reason),
    };
    let agent = server.hub().inspect(|server| server.identity_of(end.job.id.as_str())).unwrap_or_default();
    handle.drain(Duration::ZERO).await;
    // The agent is dropped with the worker, which is when a mock reports missing calls.
    if let Err(error) = running.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
    while let Ok(report) = ended.try_recv() {
        if let Report::Panicked(panic) = report {
            std::panic::resume_unwind(panic);
        }
    }
    let timeline = server.timeline();
    let room = job.room();
    Run {
        outcome: end.outcome,
        duration: end.duration,
        sent: room.sent(),
        texts: room.texts(),
        byte_streams: room.byte_streams(),
        audio: room.audio(),
        video: room.video(),
        rpc_calls: room.rpc_calls(),
        api_calls: timeline.api_calls().cloned().collect(),
        timeline,
        agent,
    }
}

/// The end of the job, of the target's one if there are several; `None` if the worker has stopped before.
async fn end_of(reports: &mut mpsc::UnboundedReceiver<Report>, target: Option<&str>) -> Option<EndedJob> {
    loop {
        match reports.recv().await? {
            Report::Ended(ended) => {
                let of = ended.job.target.as_ref().map(|target| target.identity.as_str());
                if target.is_none() || of == target {
                    return Some(ended);
                }
            }
            Report::Panicked(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// What the agent under test reports of its jobs.
enum Report {
    Ended(EndedJob),
    /// Its own callback for the end of a job panicked, with this.
    Panicked(Box<dyn Any + Send>),
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn failed(reason: &str) -> ! {
    panic!("{reason}")
}

/// The agent under test as one type, so that what runs it is compiled once and not for each agent.
struct UnderTest(Box<WorkerOf>);

type WorkerOf = dyn FnOnce(&MockServer, u64, mpsc::UnboundedSender<Report>) -> WorkerBuilder + Send;

impl UnderTest {
    fn new(agent: impl Agent) -> Self {
        Self(Box::new(|server, seed, sender| {
            server.worker(Watched { agent: Arc::new(agent), order: Order::of(seed), sender })
        }))
    }

    /// The settings of its worker, which sends the outcome of its job.
    fn worker_of(
        self,
        server: &MockServer,
        seed: u64,
        sender: mpsc::UnboundedSender<Report>,
    ) -> WorkerBuilder {
        (self.0)(server, seed, sender)
    }
}

/// The agent under test, and a channel for the outcome of its job.
struct Watched<A> {
    agent: Arc<A>,
    order: Order,
    sender: mpsc::UnboundedSender<Report>,
}

impl<A: Agent> Agent for Watched<A> {
    async fn on_request(&self, job: &Job) -> Answer {
        self.agent.on_request(job).await
    }

    fn check(&self, job: &Job) -> JobResult {
        self.agent.check(job)
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        self.order.run(Arc::clone(&self.agent).run(ctx)).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        // First, as the callback may panic, or take too long.
        let _ = self.sender.send(Report::Ended(ended.clone()));
        if let Err(panic) = AssertUnwindSafe(self.agent.on_ended(ended)).catch_unwind().await {
            let _ = self.sender.send(Report::Panicked(panic));
        }
    }
}
