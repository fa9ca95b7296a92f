//! A worker whose jobs do everything that is counted, on virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use agent_testkit::{JobSpec, MockServer, ServerEvent};
use agent_worker::checkpoint::MemoryStore;
use agent_worker::coordination::{
    ChannelEvent, CoordinationError, Inbox, Leadership, MemoryCoordinator, MemoryPubSub, PubSub, Subscription,
};
use agent_worker::layers::{Layered, Measured};
use agent_worker::patterns::{Batches, Pipeline, Pool, StateMachine};
use agent_worker::room::{EncodedFrame, JoinError, JoinRequest, RoomConnector};
use agent_worker::{
    Agent, Answer, BoxFuture, Job, JobContext, JobError, JobResult, RetryPolicy, Room, WorkerHandle,
};

use crate::recorder::Recorded;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(3600);

/// Does what its job's metadata asks for.
#[derive(Clone)]
struct Scenario {
    pool: Pool<u32>,
    /// Jobs that keep their leases and channels until they are cancelled.
    holds: Arc<Semaphore>,
    bumps: Bumpy,
    taken_over: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[derive(Default, serde::Deserialize)]
struct Task {
    #[serde(rename = "do")]
    what: String,
}

impl Agent for Scenario {
    async fn on_request(&self, job: &Job) -> Answer {
        match job.room.name.as_str() {
            "declined" => Answer::Decline,
            "dismissed" => Answer::Dismiss,
            "panics" => panic!("planted"),
            "hush" => std::future::pending().await,
            "bad" => Answer::accept().identity(""),
            "slow" => {
                tokio::time::sleep(SECOND / 4).await;
                Answer::accept()
            }
            _ => Answer::accept(),
        }
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let Task { what } = ctx.metadata()?;
        match what.as_str() {
            "work" => tokio::time::sleep(MINUTE).await,
            "quota" => return Err(JobError::fatal("quota_exceeded")),
            "panic" => panic!("planted"),
            "flaky" if ctx.attempt() == 1 => return Err(JobError::retryable("once more", Duration::ZERO)),
            "busy" => return Err(JobError::retryable("busy", Duration::ZERO)),
            "late" => drop(ctx.cancelled().await),
            "untidy" => {
                drop(ctx.spawn(std::future::pending::<()>()));
                drop(ctx.spawn(std::future::pending::<()>()));
                ctx.on_cleanup(|_| std::future::pending());
                ctx.on_cleanup(async |_| panic!("planted"));
            }
            "silent" => {
                ctx.progress();
                tokio::time::sleep(2 * MINUTE).await;
            }
            "hold" => self.hold(ctx).await?,
            "save" => self.save(ctx).await?,
            "take over" => {
                ctx.checkpoint::<u32>().load().await?;
                self.taken_over.notify_one();
                self.go_on.notified().await;
            }
            "talk" => self.talk(ctx).await?,
            "shapes" => self.shapes().await?,
            _ => {}
        }
        Ok(())
    }
}

impl Scenario {
    async fn hold(&self, ctx: JobContext) -> JobResult {
        // Never read.
        let ada = ctx.room().participant("ada").unwrap();
        let microphone = ada.tracks.keys().next().unwrap();
        let _streams = (ctx.room().events(), ctx.room().data("flood"), ctx.room().encoded_audio(microphone)?);
        let Leadership::Leader(lease) = ctx.elect("the one").await? else {
            panic!("there is no other candidate")
        };
        let pooled = self.pool.acquire().await?;
        self.holds.add_permits(1);
        ctx.cancelled().await;
        drop(pooled);
        lease.release().await;
        Ok(())
    }

    /// Finds nothing, saves, finds that, and is superseded.
    async fn save(&self, ctx: JobContext) -> JobResult {
        let checkpoint = ctx.checkpoint::<u32>();
        assert_eq!(checkpoint.load().await?, None);
        checkpoint.save(&7).await?;
        assert_eq!(checkpoint.load().await?, Some(7));
        self.go_on.notify_one();
        self.taken_over.notified().await;
        let refused = checkpoint.save(&8).await;
        self.go_on.notify_one();
        Ok(refused?)
    }

    async fn talk(&self, ctx: JobContext) -> JobResult {
        let (here, mut there) = (ctx.channel("topic").await?, ctx.channel("topic").await?);
        here.announce("write").await?;
        for _ in 0..1030 {
            here.publish("a line").await?;
        }
        // 1,031 events are there, 1,024 are kept.
        assert_eq!(there.next().await, Some(ChannelEvent::Lagged { missed: 7 }));
        self.bumps.lose(1);
        here.publish("lost").await?;
        here.publish("not lost").await?;
        self.bumps.interrupt();
        Ok(())
    }

    async fn shapes(&self) -> JobResult {
        let all: Vec<_> = [self.pool.acquire().await?, self.pool.acquire().await?].into();
        assert!(self.pool.acquire_within(SECOND).await.is_err(), "there are two");
        drop(all);

        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let items = stream::unfold(receiver, |mut from| async { Some((from.recv().await?, from)) });
        let mut batches = Batches::new(items, 2, SECOND);
        (0..3).for_each(|n| sender.send(n).unwrap());
        assert_eq!(batches.next().await, Some(vec![0, 1]));
        assert_eq!(batches.next().await, Some(vec![2]), "nothing more has come in time");
        sender.send(3).unwrap();
        drop(sender);
        assert_eq!(batches.next().await, Some(vec![3]));

        let fails_at = |n| {
            move |item: u32| {
                std::future::ready(if item == n { Err(JobError::fatal("rejected")) } else { Ok(item) })
            }
        };
        let never = std::future::pending::<()>;
        Pipeline::new(stream::iter(0..4), never()).stage("check", fails_at(9)).run().await?;
        let failing = Pipeline::new(stream::iter(0..4), never()).stage("check", fails_at(0)).run();
        assert!(failing.await.is_err());

        let states = StateMachine::new(1).on(1, 'a', 2);
        assert_eq!(states.run(stream::iter(['x', 'a', 'y']), never()).await.unwrap().unknown, 2);
        Ok(())
    }
}

/// Topics in memory, and ways to lose something.
#[derive(Clone, Default)]
struct Bumpy {
    memory: MemoryPubSub,
    inboxes: Arc<Mutex<Vec<Inbox>>>,
    to_lose: Arc<Mutex<u32>>,
}

impl Bumpy {
    fn lose(&self, messages: u32) {
        *self.to_lose.lock().unwrap() = messages;
    }

    fn interrupt(&self) {
        self.inboxes.lock().unwrap().drain(..).for_each(|inbox| inbox.interrupted());
    }
}

impl PubSub for Bumpy {
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>> {
        self.inboxes.lock().unwrap().push(inbox.clone());
        Box::pin(async move {
            let subscription = self.memory.subscribe(topic, inbox).await?;
            Ok(Box::new(Lossy { subscription, to_lose: self.to_lose.clone() }) as Box<dyn Subscription>)
        })
    }
}

struct Lossy {
    subscription: Box<dyn Subscription>,
    to_lose: Arc<Mutex<u32>>,
}

impl Subscription for Lossy {
    fn send(&self, frame: bytes::Bytes) -> BoxFuture<'_, Result<(), CoordinationError>> {
        let mut to_lose = self.to_lose.lock().unwrap();
        if *to_lose > 0 {
            *to_lose -= 1;
            return Box::pin(std::future::ready(Ok(())));
        }
        self.subscription.send(frame)
    }
}

/// A worker that runs, and its server.
struct Stage {
    server: MockServer,
    agent_name: &'static str,
    worker: WorkerHandle,
    running: JoinHandle<()>,
}

impl Stage {
    async fn new(
        agent_name: &'static str,
        agent: impl Agent,
        change: impl FnOnce(agent_worker::WorkerBuilder) -> agent_worker::WorkerBuilder,
    ) -> Self {
        let server = MockServer::builder().room_timeouts(LONG, LONG).start_in_process();
        let policy = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
        let builder = server.worker(agent).agent_name(agent_name).retry(policy).seed(7);
        let worker = change(builder).build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(async {
            worker.run().await.expect("it ends well");
        });
        assert!(handle.registered().await);
        Self { server, agent_name, worker: handle, running }
    }

    async fn dispatch(&self, room: &str, metadata: &str) -> agent_testkit::MockJob {
        let spec = JobSpec::room(room).metadata(metadata).agent_name(self.agent_name);
        self.server.dispatch(spec).await.expect("there is a worker")
    }

    /// Has a job do this, and waits until it is over.
    async fn job(&self, what: &str) {
        let job = self.dispatch(what, &format!(r#"{{"do":"{what}"}}"#)).await;
        job.outcome_within(LONG).await.expect("an outcome");
    }

    async fn drain(self, recorded: &mut Recorded) {
        self.worker.drain(LONG).await;
        self.running.await.unwrap();
        recorded.look();
    }
}

pub(crate) async fn plays_everything(recorded: &mut Recorded) {
    jobs_of_all_kinds(recorded).await;
    an_offer_without_a_slot(recorded).await;
    an_acceptance_without_an_assignment(recorded).await;
    a_room_that_cannot_be_joined(recorded).await;
}

async fn jobs_of_all_kinds(recorded: &mut Recorded) {
    let scenario = Scenario {
        pool: Pool::bounded(2, || std::future::ready(Ok(0))).named("pens"),
        holds: Arc::new(Semaphore::new(0)),
        bumps: Bumpy::default(),
        taken_over: Arc::default(),
        go_on: Arc::default(),
    };
    let bumps = scenario.bumps.clone();
    let stage = Stage::new("scenario", scenario.clone().layer(Measured::named("scenario")), |builder| {
        let builder = builder.max_jobs(5).max_job_timeout(LONG).coordinator(MemoryCoordinator::new());
        builder.checkpoints(MemoryStore::default()).pubsub(bumps)
    })
    .await;

    for room in ["declined", "dismissed", "panics", "hush", "bad"] {
        // No worker accepts it, or it counts as done.
        let _ = stage.dispatch(room, "").await.outcome_within(LONG).await;
    }
    for what in
        ["work", "slow", "quota", "quota", "panic", "flaky", "busy", "untidy", "silent", "talk", "shapes"]
    {
        stage.job(what).await;
    }
    let late = stage.dispatch("late", r#"{"do":"late","timeout":5}"#).await;
    late.outcome_within(LONG).await.unwrap();
    let invalid = stage.dispatch("invalid", r#"{"do":1}"#).await;
    invalid.outcome_within(LONG).await.unwrap();

    let save = stage.dispatch("notes", r#"{"do":"save"}"#).await;
    scenario.go_on.notified().await;
    let other = stage.dispatch("notes", r#"{"do":"take over"}"#).await;
    save.outcome_within(LONG).await.unwrap();
    other.outcome_within(LONG).await.unwrap();

    stage.server.send_garbage();
    stage.server.cut_workers();
    stage.server.wait_for_count(2, |event| matches!(event, ServerEvent::Registered { .. })).await;

    // In the middle of it.
    let ada = stage.server.room("held").join("ada");
    let microphone = ada.publish_microphone();
    let held = stage.dispatch("held", r#"{"do":"hold"}"#).await;
    scenario.holds.acquire().await.unwrap().forget();
    (0..1030).for_each(|_| held.room().send_data("flood", ""));
    (0..56).for_each(|n| ada.send_frame(&microphone, EncodedFrame::new("", n, 0)));
    // One event more: the subscription of the track.
    while stage.worker.stats().dropped_room_events < 7 + 6 + 6 {
        tokio::task::yield_now().await;
    }
    recorded.look();
    for (gauge, level) in [
        ("active_job_count scenario", 1.0),
        ("slots_used scenario", 1.0),
        ("worker_max_jobs scenario", 5.0),
        ("worker_load scenario", f64::from(0.2_f32)),
        ("worker_registered scenario", 1.0),
        ("worker_draining scenario", 0.0),
        ("leads scenario", 1.0),
        ("pool_in_use pens", 1.0),
        ("handlers_running scenario", 1.0),
    ] {
        assert_eq!(recorded.gauge(gauge), level, "{gauge}");
    }
    stage.worker.quiet();
    while !stage.worker.status().await.unwrap().quiet {}
    recorded.look();
    assert_eq!(recorded.gauge("worker_quiet scenario"), 1.0);
    stage.worker.start_drain(LONG);
    while !stage.worker.status().await.unwrap().draining {}
    recorded.look();
    assert_eq!(recorded.gauge("worker_draining scenario"), 1.0);
    held.terminate();
    held.outcome_within(LONG).await.unwrap();
    let worker = stage.worker.clone();
    stage.drain(recorded).await;
    let stats = worker.stats();

    assert_eq!(recorded.counted("scenario"), COUNTED, "{:#?}", recorded.counted("scenario"));
    assert_eq!((stats.succeeded, stats.failed()), (9, 7), "the handle reports the same");
    let by_reason =
        ["quota_exceeded", "checkpoint_superseded", "job_timeout", "invalid_input", "panicked", "retryable"]
            .map(|reason| stats.failed_for(reason));
    assert_eq!(by_reason, [2, 1, 1, 1, 1, 1], "{stats:?}");
    let counts =
        [stats.retries, stats.stale, stats.leftover_tasks, stats.cleanup_overruns, stats.cleanup_panics];
    assert_eq!(counts, [2, 1, 0, 1, 1], "tasks that end when they are cancelled are not left over");

    // The one that was silent took a second, the one that was slow a quarter.
    let mut answers = recorded.millis("offer_answer_seconds scenario");
    answers.sort_unstable();
    assert_eq!((answers.len(), &answers[answers.len() - 2..]), (21, [250, 1000].as_slice()));
    assert_eq!(recorded.millis("assignment_wait_seconds scenario").len(), 16);
    assert_eq!(recorded.millis("job_launch_seconds scenario").len(), 16);
    assert_eq!(recorded.millis("room_join_seconds scenario ok").len(), 16);
    let mut durations = recorded.millis("job_duration_seconds scenario success");
    durations.sort_unstable();
    assert_eq!(durations[durations.len() - 3..], [10_000, 60_000, 120_000], "untidy, work, silent");
    assert_eq!(recorded.millis("job_duration_seconds scenario failed").len(), 7);
    assert_eq!(recorded.millis("handler_seconds scenario ok").iter().max(), Some(&120_000));
    assert_eq!(recorded.histograms["batch_items full"], [2.0]);
    assert_eq!(recorded.histograms["batch_items waited"], [1.0]);
    assert_eq!(recorded.histograms["batch_items ended"], [1.0]);
    assert_eq!(recorded.millis("pool_wait_seconds pens").len(), 3);
    assert_eq!(recorded.counted("pens"), ["pool_timeouts_total: 1"]);
    assert_eq!(recorded.counters["pipeline_items_total "], 4);
    assert_eq!(recorded.counters["pipeline_failures_total check"], 1);
    assert_eq!(recorded.counters["unknown_events_total "], 2);
}

/// 16 jobs, and 5 that it declined; of 1,031 messages of a channel 7 did not fit, of the next 3 one was lost
/// on the way.
const COUNTED: &[&str] = &[
    "channel_interruptions_total: 2",
    "channel_messages_missed_total backend: 1",
    "channel_messages_missed_total reader: 10",
    "channel_messages_published_total: 1033",
    "channel_messages_received_total: 1032",
    "checkpoint_loads_total found: 2",
    "checkpoint_loads_total nothing: 1",
    "checkpoint_saves_total ok: 1",
    "checkpoint_saves_total superseded: 1",
    "cleanup_overruns_total: 1",
    "cleanup_panics_total: 1",
    "connection_losses_total: 1",
    "elections_won_total: 1",
    "job_failures_total fatal checkpoint_superseded: 1",
    "job_failures_total fatal job_timeout: 1",
    "job_failures_total fatal quota_exceeded: 2",
    "job_failures_total invalid invalid_input: 1",
    "job_failures_total panicked panicked: 1",
    "job_failures_total retryable retryable: 1",
    "job_retries_total: 2",
    "jobs_total failed: 7",
    "jobs_total success: 9",
    "leases_lost_total released: 1",
    "offers_total accepted: 16",
    "offers_total declined bad_answer: 1",
    "offers_total declined handler: 1",
    "offers_total declined panicked: 1",
    "offers_total declined silent: 1",
    "offers_total dismissed: 1",
    "protocol_violations_total bad_frame: 1",
    "reconnects_total: 1",
    "room_events_dropped_total data: 6",
    "room_events_dropped_total events: 7",
    "room_events_dropped_total frames: 6",
    "room_paths_total udp: 16",
    "stale_jobs_total: 1",
];

/// Two offers at once, and one slot.
async fn an_offer_without_a_slot(recorded: &mut Recorded) {
    let agent = |ctx: JobContext| async move {
        ctx.cancelled().await;
        Ok(())
    };
    let stage = Stage::new("single", agent, |builder| builder.max_jobs(1)).await;
    stage.server.freeze(true);
    let jobs = [stage.dispatch("one", "").await, stage.dispatch("two", "").await];
    tokio::time::sleep(SECOND / 10).await;
    stage.server.freeze(false);
    let answers = |event: &ServerEvent| matches!(event, ServerEvent::Answered { .. });
    stage.server.wait_for_count(2, answers).await;
    jobs.iter().for_each(agent_testkit::MockJob::terminate);
    stage.drain(recorded).await;
    let counted = recorded.counted("single");
    for line in ["offers_total accepted: 1", "offers_total declined no_slot: 1", "jobs_total success: 1"] {
        assert!(counted.iter().any(|counted| counted == line), "{line} is not in {counted:?}");
    }
}

/// The server falls silent between the acceptance and the assignment.
async fn an_acceptance_without_an_assignment(recorded: &mut Recorded) {
    let (asked, muted) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let agent = Muted { asked: asked.clone(), muted: muted.clone() };
    let stage = Stage::new("mute", agent, |builder| builder).await;
    stage.dispatch("lobby", "").await;
    asked.notified().await;
    stage.server.mute(true);
    muted.notify_one();
    while stage.worker.status().await.unwrap().slots.accepted == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.worker.status().await.unwrap().slots.used(), 1);
    tokio::time::sleep(8 * SECOND).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.used(), 0);
    stage.worker.stop();
    stage.drain(recorded).await;
    assert!(
        recorded.counted("mute").contains(&"unassigned_offers_total: 1".to_owned()),
        "{:?}",
        recorded.counted("mute")
    );
}

/// Answers when its server sends nothing more.
struct Muted {
    asked: Arc<Notify>,
    muted: Arc<Notify>,
}

impl Agent for Muted {
    async fn on_request(&self, _: &Job) -> Answer {
        self.asked.notify_one();
        self.muted.notified().await;
        Answer::accept()
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

async fn a_room_that_cannot_be_joined(recorded: &mut Recorded) {
    struct Nowhere;
    impl RoomConnector for Nowhere {
        fn connect(&self, _: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
            Box::pin(std::future::ready(Err(JoinError::Url)))
        }
    }
    let agent = |_: JobContext| async { Ok(()) };
    let stage = Stage::new("unlucky", agent, |builder| builder.connector(Nowhere)).await;
    stage.job("join").await;
    stage.drain(recorded).await;
    assert_eq!(recorded.histograms["room_join_seconds unlucky failed"].len(), 1);
    assert!(recorded.histograms["job_launch_seconds unlucky"].is_empty(), "its handler was never called");
}
