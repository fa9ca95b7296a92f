//! Jobs that end because of their room, or of the participants in it: on a real livekit-server, with official
//! clients, and what the server then records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use agent_testkit::{
    ClientEvent, ClientState, DispatchRequest, JobEnd, JobEndStatus, OfficialClient, OfficialHost,
    RealServer, RoomRequest,
};
use agent_worker::{
    Agent, Answer, CancelReason, EndWhen, EndedJob, Job, JobContext, JobKind, JobResult, Worker,
    WorkerBuilder, WorkerHandle,
};

const AGENT: &str = "host";
const SOON: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

/// Reports of the handlers and of the worker.
#[derive(Debug)]
enum Report {
    Began { job: String, same_room: bool },
    Cancelled(String, CancelReason),
    Ended(EndedJob),
}

/// Stays until it is cancelled.
struct Host {
    reports: mpsc::UnboundedSender<Report>,
    /// Deletes the room of a job before it takes it.
    deletes: Option<(agent_testkit::ServerApi, bool)>,
}

impl Agent for Host {
    async fn on_request(&self, job: &Job) -> Answer {
        if let Some((api, again)) = &self.deletes {
            api.delete_room(&job.room.name).await.expect("deleted");
            if *again {
                api.create_room(RoomRequest::new(&job.room.name)).await.expect("created");
            }
        }
        Answer::accept()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let job = ctx.job().id.to_string();
        let same_room = ctx.job().room.sid == ctx.room().sid();
        self.reports.send(Report::Began { job: job.clone(), same_room })?;
        let reason = ctx.cancelled().await;
        self.reports.send(Report::Cancelled(job, reason))?;
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.reports.send(Report::Ended(ended.clone()));
    }
}

struct Stage {
    server: RealServer,
    worker: WorkerHandle,
    received: mpsc::UnboundedReceiver<Report>,
    /// Its job continues beside those of the test.
    warm: Option<OfficialClient>,
}

impl Stage {
    async fn new(change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Option<Self> {
        Self::deleting(None, change).await
    }

    /// A worker that deletes the room of each job before it takes it, and makes another one of its name if it
    /// is cancelled.
    async fn deleting(
        again: Option<bool>,
        change: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Option<Self> {
        let server = agent_testkit::real_server().await?;
        agent_testkit::official_host().await?;
        let (reports, received) = mpsc::unbounded_channel();
        let deletes = again.map(|again| (server.api().clone(), again));
        let builder = Worker::builder(Host { reports, deletes })
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .agent_name(AGENT);
        let worker = change(builder).build().expect("the settings are complete");
        let handle = worker.handle();
        tokio::spawn(worker.run());
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
        Some(Self { server, worker: handle, received, warm: None })
    }

    /// Waits until the server's rooms know of their jobs: in the first seconds after it has looked for
    /// workers a room that closes ends none.
    async fn warm(mut self) -> Self {
        let guest = self.guest("warm", "warm").await;
        self.dispatch("warm").await;
        self.began().await;
        tokio::time::sleep(6 * SECOND).await;
        self.warm = Some(guest);
        self
    }

    async fn room(&self, request: RoomRequest) {
        self.server.api().create_room(request).await.expect("the room is made");
    }

    async fn dispatch(&self, room: &str) {
        self.server.api().create_dispatch(DispatchRequest::new(AGENT, room)).await.expect("dispatched");
    }

    async fn guest(&self, room: &str, identity: &str) -> OfficialClient {
        let token = self.server.token().identity(identity).join_room(room).sign().expect("a token");
        OfficialClient::join(&self.server.url(), &token).await.expect("the client joins")
    }

    async fn next_report(&mut self) -> Report {
        tokio::time::timeout(2 * SOON, self.received.recv()).await.expect("in time").expect("the worker runs")
    }

    /// The next job begins, in the room that it is for; gives its id.
    async fn began(&mut self) -> String {
        match self.next_report().await {
            Report::Began { job, same_room } => {
                assert!(same_room, "the job names another room than the one that is joined");
                job
            }
            other => panic!("{other:?}"),
        }
    }

    /// Why a job was cancelled, how it ended, and what the server has recorded.
    async fn end_of(&mut self, job: &str) -> (CancelReason, EndedJob, JobEnd) {
        let reason = match self.next_report().await {
            Report::Cancelled(cancelled, reason) if cancelled == job => reason,
            other => panic!("{other:?}"),
        };
        let ended = match self.next_report().await {
            Report::Ended(ended) if ended.job.id.as_str() == job => ended,
            other => panic!("{other:?}"),
        };
        let recorded = self.server.log().outcome(job, SOON).await.expect("the server records it");
        (reason, ended, recorded)
    }

    async fn ends_in_success(&mut self, job: &str, reason: &str) {
        let (why, ended, recorded) = self.end_of(job).await;
        assert_eq!(why.to_string(), reason);
        assert!(ended.outcome.is_success() && !ended.room_closed, "{ended:?}");
        assert_eq!((recorded.status, recorded.error.as_str()), (JobEndStatus::Success, ""));
    }
}

#[tokio::test]
async fn a_job_for_a_participant_ends_when_that_one_has_left_though_others_stay() {
    let Some(stage) = Stage::new(|builder| builder.job_kind(JobKind::Participant)).await else { return };
    let mut stage = stage.warm().await;
    let ada = stage.guest("party", "ada").await;
    stage.dispatch("party").await;
    let job = stage.began().await;
    let bob = stage.guest("party", "bob").await;
    stage.began().await; // a job for bob
    ada.leave().await.expect("left");
    let left = Instant::now();
    stage.ends_in_success(&job, "shutdown: the participant has left").await;
    assert!(left.elapsed() < 15 * SECOND, "{:?}", left.elapsed());
    drop(bob);
    stage.worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_job_ends_in_success_before_the_server_closes_its_room() {
    let Some(stage) = Stage::new(|builder| builder).await else { return };
    let mut stage = stage.warm().await;
    for (room, departure) in [("five", 5), ("eight", 8)] {
        stage.room(RoomRequest::new(room).departure_timeout(departure * SECOND)).await;
        let ada = stage.guest(room, "ada").await;
        stage.dispatch(room).await;
        let job = stage.began().await;
        ada.leave().await.expect("left");
        stage.ends_in_success(&job, "shutdown: the room is empty").await;
    }
    stage.worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_wait_that_is_longer_than_the_room_stays_is_shortened() {
    let policy = EndWhen::Empty { after: 300 * SECOND };
    let Some(stage) = Stage::new(|builder| builder.end_when(policy)).await else { return };
    let mut stage = stage.warm().await;
    stage.room(RoomRequest::new("ten").departure_timeout(10 * SECOND)).await;
    let ada = stage.guest("ten", "ada").await;
    stage.dispatch("ten").await;
    let job = stage.began().await;
    ada.leave().await.expect("left");
    stage.ends_in_success(&job, "shutdown: the room is empty").await;
    stage.worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_job_ends_in_success_before_the_server_closes_a_room_that_nobody_joined() {
    let Some(stage) = Stage::new(|builder| builder).await else { return };
    let mut stage = stage.warm().await;
    stage.room(RoomRequest::new("empty").empty_timeout(8 * SECOND)).await;
    stage.dispatch("empty").await;
    let job = stage.began().await;
    stage.ends_in_success(&job, "shutdown: nobody has come into the room").await;
    stage.worker.drain(Duration::ZERO).await;
}

/// Where the handler decides, the server may close the room first, and then the worker does not claim a
/// success.
#[tokio::test]
async fn an_end_after_the_room_was_closed_is_marked() {
    let Some(stage) = Stage::new(|builder| builder.end_when(EndWhen::Never)).await else { return };
    let mut stage = stage.warm().await;
    stage.room(RoomRequest::new("one").departure_timeout(SECOND)).await;
    let ada = stage.guest("one", "ada").await;
    stage.dispatch("one").await;
    let job = stage.began().await;
    ada.leave().await.expect("left");
    let (reason, ended, recorded) = stage.end_of(&job).await;
    // The server reports it in two ways, and either may be the first; its termination of the job does not
    // name a reason.
    assert!(ended.room_closed || reason == CancelReason::Terminated, "{reason:?} {ended:?}");
    // It ends the job itself as the room closes, unless our status comes first: that is why the log warns of
    // either.
    let recorded = (recorded.status, recorded.error.as_str());
    assert!(
        [(JobEndStatus::Failed, "agent worker left the room"), (JobEndStatus::Success, "")]
            .contains(&recorded),
        "{recorded:?}"
    );
    stage.worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_job_whose_room_was_deleted_before_it_was_joined_ends_at_once() {
    for again in [false, true] {
        let Some(mut stage) = Stage::deleting(Some(again), |builder| builder).await else { return };
        stage.dispatch("deleted").await;
        let begun = Instant::now();
        let job = match stage.next_report().await {
            Report::Began { job, same_room: false } => job,
            other => panic!("{other:?}"),
        };
        let (reason, ended, recorded) = stage.end_of(&job).await;
        assert_eq!(reason, CancelReason::RoomGone);
        assert!(!ended.outcome.is_success());
        assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
        assert_eq!((recorded.status, recorded.error.as_str()), (JobEndStatus::Failed, "room_gone"));
        stage.worker.drain(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn the_room_of_a_job_is_the_one_that_is_joined_however_it_was_made() {
    let Some(mut stage) = Stage::new(|builder| builder).await else { return };
    // Made by the dispatch, by the API, by a participant, and by a participant whose room asks for the agent.
    stage.dispatch("dispatched").await;
    stage.began().await;
    stage.room(RoomRequest::new("made")).await;
    stage.dispatch("made").await;
    stage.began().await;
    let _ada = stage.guest("joined", "ada").await;
    stage.dispatch("joined").await;
    stage.began().await;
    stage.room(RoomRequest::new("asking").agent(AGENT, "")).await;
    stage.began().await;
    stage.worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn of_two_jobs_for_two_sessions_of_a_participant_the_older_one_ends() {
    let Some(stage) = Stage::new(|builder| builder.job_kind(JobKind::Participant).one_per_target(true)).await
    else {
        return;
    };
    let mut stage = stage.warm().await;
    let token = stage.server.token().identity("ada").join_room("party").sign().expect("a token");
    let host = OfficialHost::start().await.expect("a process of its own");
    let _killed =
        OfficialClient::join_in(&host, &stage.server.url(), &token).await.expect("the client joins");
    stage.dispatch("party").await;
    let older = stage.began().await;
    let killed = std::process::Command::new("kill").args(["-9", &host.pid().to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let mut ada = stage.guest("party", "ada").await;
    // In either order: the older one ends, the newer one begins.
    let (mut newer, mut reason, mut ended) = (None, None, None);
    while newer.is_none() || ended.is_none() {
        match stage.next_report().await {
            Report::Began { job, .. } => newer = Some(job),
            Report::Cancelled(job, why) if job == older => reason = Some(why),
            Report::Ended(job) if job.job.id.as_str() == older => ended = Some(job),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reason, Some(CancelReason::TargetReplaced));
    let recorded = stage.server.log().outcome(&older, SOON).await.expect("the server records it");
    assert_eq!((recorded.status, recorded.error.as_str()), (JobEndStatus::Success, ""));
    let agents = |event: &ClientEvent| matches!(event, ClientEvent::ParticipantDisconnected { .. });
    ada.wait_for(agents, SOON).await.expect("one agent leaves");
    // The server may announce the newer one after that.
    let one = |state: &ClientState| {
        let mut agents = state.others.iter().filter(|other| other.agent);
        agents.next().is_some_and(|agent| !agent.identity.contains(&older)) && agents.next().is_none()
    };
    ada.wait_for_state(one, SOON).await.expect("the newer one is there, and it alone");
    // The newer one, and that of the other room.
    assert_eq!(stage.worker.status().await.map(|status| status.slots.running), Some(2));
    ada.leave().await.expect("left");
    let newer = newer.expect("it began");
    stage.ends_in_success(&newer, "shutdown: the participant has left").await;
    stage.worker.drain(Duration::ZERO).await;
}
