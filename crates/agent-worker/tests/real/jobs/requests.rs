//! Valid and invalid answers to an offer, and the callback at the end, on a real livekit-server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use agent_testkit::{DispatchRequest, JobEndStatus, JobState, RealServer};
use agent_worker::job::Lifecycle;
use agent_worker::room::{AgentPermissions, JoinError, JoinRequest, RoomConnector, TrackSource, WebRtc};
use agent_worker::{
    Agent, Answer, BoxFuture, EndedJob, Job, JobContext, JobResult, Room, Worker, WorkerHandle,
};

const AGENT: &str = "asker";
const SOON: Duration = Duration::from_secs(30);

/// The answer of an agent to each offer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Accepts,
    Dismisses,
    Panics,
    Hangs,
}

/// The calls of its callbacks.
#[derive(Debug, PartialEq)]
enum Report {
    Ran(String),
    Ended(EndedJob),
    Moved(Lifecycle),
}

struct Asked {
    manner: Manner,
    asked: Arc<AtomicUsize>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Agent for Asked {
    async fn on_request(&self, _: &Job) -> Answer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.manner {
            Manner::Accepts => Answer::accept()
                .identity("the-agent")
                .name("The Agent")
                .metadata("chosen")
                .attributes([("k", "v")]),
            Manner::Dismisses => Answer::Dismiss,
            Manner::Panics => panic!("what is this room"),
            Manner::Hangs => std::future::pending().await,
        }
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let me = ctx.room().local_participant();
        let attributes = me.attributes.get("k").cloned().unwrap_or_default();
        self.reports
            .send(Report::Ran(format!("{} {} {} {attributes}", me.identity, me.name, me.metadata)))?;
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.reports.send(Report::Ended(ended.clone()));
        panic!("of this, too, the worker takes no notice");
    }
}

struct Running {
    handle: WorkerHandle,
    task: JoinHandle<Result<agent_worker::stats::DrainReport, agent_worker::WorkerError>>,
    asked: Arc<AtomicUsize>,
    received: mpsc::UnboundedReceiver<Report>,
}

impl Running {
    async fn start(server: &RealServer, manner: Manner) -> Self {
        let (reports, received) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let moved = reports.clone();
        let worker = Worker::builder(Asked { manner, asked: Arc::clone(&asked), reports })
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .agent_name(AGENT)
            .on_lifecycle(move |_, state| {
                let _ = moved.send(Report::Moved(state));
                panic!("nor of this");
            })
            .build()
            .expect("the settings are complete");
        let handle = worker.handle();
        let task = tokio::spawn(worker.run());
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
        Self { handle, task, asked, received }
    }

    async fn next(&mut self) -> Report {
        tokio::time::timeout(SOON, self.received.recv()).await.expect("in time").expect("the worker runs")
    }

    async fn stop(self) {
        self.handle.drain(Duration::from_secs(1)).await;
        self.task.await.expect("the worker does not panic").expect("the worker ends well");
    }
}

async fn dispatch(server: &RealServer, room: &str) {
    server.api().create_dispatch(DispatchRequest::new(AGENT, room)).await.expect("the server takes it");
}

#[tokio::test]
async fn the_identity_is_that_of_the_answer_and_the_end_is_reported_once() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let mut worker = Running::start(&server, Manner::Accepts).await;
    dispatch(&server, "accepted").await;
    let (mut moves, mut ran, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    // The hook and the handler are on tasks of their own, so there is an order only within each.
    while moves.len() < 4 || ran.is_empty() || ends.is_empty() {
        match worker.next().await {
            Report::Moved(state) => moves.push(state),
            Report::Ran(who) => ran.push(who),
            Report::Ended(ended) => ends.push(ended),
        }
    }
    assert_eq!(moves, [Lifecycle::Created, Lifecycle::Assigned, Lifecycle::Running, Lifecycle::Success]);
    assert_eq!(ran, ["the-agent The Agent chosen v"]);
    let [ended] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((ended.job.room.name.as_str(), ended.outcome.is_success()), ("accepted", true));
    assert!(ended.duration > Duration::ZERO && ended.duration < SOON, "{:?}", ended.duration);
    let job = ended.job.id.as_str();
    assert_eq!(server.log().outcome(job, SOON).await.expect("recorded").status, JobEndStatus::Success);
    // Once: everything that could report more has ended with the worker.
    let mut received = std::mem::replace(&mut worker.received, mpsc::unbounded_channel().1);
    worker.stop().await;
    assert_eq!(tokio::time::timeout(SOON, received.recv()).await.expect("the worker is gone"), None);
}

#[tokio::test]
async fn a_dismissed_job_never_runs_and_is_recorded_as_success() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let mut worker = Running::start(&server, Manner::Dismisses).await;
    dispatch(&server, "dismissed").await;
    // The only kind of end that the server does not log but shows in its API.
    let ended = async {
        loop {
            let dispatches = server.api().list_dispatches("dismissed").await.expect("a list");
            let states: Vec<_> = dispatches.iter().flat_map(|d| &d.jobs).map(|job| job.state).collect();
            if states == [JobState::Success] {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("the job ends");
    assert_eq!(worker.next().await, Report::Moved(Lifecycle::Created));
    assert!(server.log().assignments().is_empty());
    worker.stop().await;
}

/// A request handler that panics or hangs declines: the server asks another worker within its 3 s, and the
/// job runs there.
#[tokio::test]
async fn an_agent_that_cannot_answer_leaves_the_job_to_another() {
    let Some(server) = agent_testkit::real_server().await else { return };
    for bad in [Manner::Panics, Manner::Hangs] {
        let good = Running::start(&server, Manner::Accepts).await;
        let bad_one = Running::start(&server, bad).await;
        let mut jobs = 0;
        // Which of the two is asked first is the server's choice.
        while bad_one.asked.load(Ordering::Relaxed) < 2 {
            jobs += 1;
            assert!(jobs <= 50, "the server never asks the other worker");
            let room = format!("{bad:?}-{jobs}").to_lowercase();
            dispatch(&server, &room).await;
            let job = server.log().assigned_in(&room, SOON).await.expect("a worker takes it").job_id;
            let end = server.log().outcome(&job, SOON).await.expect("the end of the job");
            assert_eq!(end.status, JobEndStatus::Success, "{room}");
        }
        let slots = bad_one.handle.status().await.expect("it runs").slots;
        assert_eq!(slots.used(), 0, "{slots:?}");
        assert_eq!(good.asked.load(Ordering::Relaxed), jobs);
        bad_one.stop().await;
        good.stop().await;
    }
}

/// Joins rooms, and passes the claims of each token on.
struct Claims {
    rooms: WebRtc,
    seen: mpsc::UnboundedSender<Value>,
}

impl RoomConnector for Claims {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        let claims = request.token.expose().split('.').nth(1).expect("a JWT");
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let _ = self.seen.send(serde_json::from_slice(&claims).expect("JSON"));
        self.rooms.connect(request)
    }
}

/// The server takes all permissions of a registration, and includes all but the sources in a job's token.
#[tokio::test]
async fn permissions_are_in_the_token_of_a_job() {
    let Some(server) = agent_testkit::real_server().await else { return };
    let (seen, mut claims) = mpsc::unbounded_channel();
    let mut may = AgentPermissions::default();
    may.can_publish_sources = vec![TrackSource::Microphone];
    (may.can_update_metadata, may.can_subscribe_metrics) = (false, true);
    let worker = Worker::builder(async |_: JobContext| Ok(()))
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name(AGENT)
        .permissions(may)
        .connector(Claims { rooms: WebRtc::default(), seen })
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let task = tokio::spawn(worker.run());
    assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
    dispatch(&server, "permissions").await;
    let claims = tokio::time::timeout(SOON, claims.recv()).await.expect("in time").expect("the worker runs");
    let video = &claims["video"];
    let may = ["canPublish", "canUpdateOwnMetadata", "canSubscribeMetrics", "canPublishSources"];
    let expected = [true.into(), false.into(), true.into(), Value::Null];
    assert_eq!(may.map(|grant| video[grant].clone()), expected, "{video}");
    handle.drain(Duration::from_secs(1)).await;
    task.await.expect("the worker does not panic").expect("the worker ends well");
}
