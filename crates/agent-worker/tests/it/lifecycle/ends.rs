//! Jobs that end because of their room, or of the participants in it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{JobSpec, MockRoom, MockServer};
use agent_worker::{
    Agent, Answer, EndWhen, EndedJob, Job, JobContext, JobError, JobKind, JobResult, Outcome, WorkerBuilder,
};

use super::stage::{LONG, Stage, text};

const SECOND: Duration = Duration::from_secs(1);

/// Publishes in the room why it was cancelled.
async fn stays(ctx: JobContext) -> JobResult {
    let reason = ctx.cancelled().await;
    if ctx.is_in_room() {
        ctx.room().publish_data("reason", reason.to_string()).await?;
    }
    Ok(())
}

fn for_participants(builder: WorkerBuilder) -> WorkerBuilder {
    builder.job_kind(JobKind::Participant)
}

fn last_reason(room: &MockRoom) -> String {
    room.sent().last().map(|sent| sent.text()).unwrap_or_default()
}

fn assert_after(since: Instant, expected: Duration) {
    let passed = since.elapsed();
    assert!(passed.abs_diff(expected) < SECOND / 2, "after {passed:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_for_a_participant_ends_when_that_one_has_left_though_others_stay() {
    for kind in [JobKind::Participant, JobKind::Publisher] {
        let mut stage = Stage::new(stays, |builder| builder.job_kind(kind));
        let spec = match kind {
            JobKind::Publisher => JobSpec::for_publisher("lobby", "ada"),
            _ => JobSpec::for_participant("lobby", "ada"),
        };
        stage.dispatch_with(spec).await;
        let room = stage.server.room("lobby");
        room.wait_for_agent().await;
        room.join("bob"); // who has a job of his own, if it is for participants
        tokio::time::sleep(60 * SECOND).await;
        room.remove("ada");
        let left = Instant::now();
        assert_eq!(stage.ended().await.outcome, Outcome::Success);
        assert_after(left, 10 * SECOND);
        assert_eq!(last_reason(&room), "shutdown: the participant has left");
        stage.drain(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_ends_in_success_before_the_server_closes_its_room() {
    for (departure, end_when, after) in [
        (20, EndWhen::default(), 10_000),
        (5, EndWhen::default(), 500),
        (1, EndWhen::default(), 0),
        (20, EndWhen::Empty { after: 60 * SECOND }, 10_000),
        (3600, EndWhen::Empty { after: 60 * SECOND }, 60_000),
    ] {
        let server = MockServer::builder().room_timeouts(LONG, departure * SECOND).start_in_process();
        let mut stage = Stage::on(server, stays, |builder| builder.end_when(end_when));
        let job = stage.dispatch_with(JobSpec::room("lobby").participant("ada")).await;
        let room = stage.server.room("lobby");
        room.wait_for_agent().await;
        tokio::time::sleep(60 * SECOND).await;
        room.remove("ada");
        let left = Instant::now();
        let ended = stage.ended().await;
        assert_eq!((ended.outcome, ended.room_closed), (Outcome::Success, false), "{departure} {end_when:?}");
        assert_after(left, Duration::from_millis(after));
        // The status that the server has recorded.
        assert_eq!(job.outcome().await.unwrap(), Outcome::Success, "{departure} {end_when:?}");
        stage.drain(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_ends_in_success_before_the_server_closes_a_room_that_nobody_joined() {
    let server = MockServer::builder().room_timeouts(60 * SECOND, 20 * SECOND).start_in_process();
    let mut stage = Stage::on(server, stays, |builder| builder);
    let job = stage.dispatch("lobby").await;
    let begun = Instant::now();
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    assert_after(begun, 54 * SECOND);
    assert_eq!(last_reason(&stage.server.room("lobby")), "shutdown: nobody has come into the room");
    assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_lost_its_room_first_logs_that_the_server_records_a_failure() {
    let server = MockServer::builder().room_timeouts(LONG, 5 * SECOND).start_in_process();
    let mut stage = Stage::on(server, stays, |builder| builder.end_when(EndWhen::Never));
    let job = stage.dispatch_with(JobSpec::room("lobby").participant("ada")).await;
    let room = stage.server.room("lobby");
    room.wait_for_agent().await;
    room.remove("ada");
    let ended = stage.ended().await;
    assert_eq!((ended.outcome, ended.room_closed), (Outcome::Success, true));
    assert_eq!(text(&job.outcome().await.unwrap()), "agent worker left the room");
    stage.drain(Duration::ZERO).await;
}

/// The server ends the job of an agent that has left; the worker does not.
#[tokio::test(start_paused = true)]
async fn a_handler_that_leaves_its_room_is_cancelled_by_the_server_alone() {
    let leaves = |ctx: JobContext| async move {
        ctx.room().leave().await;
        JobResult::Err(JobError::fatal(ctx.cancelled().await.to_string()))
    };
    let mut stage = Stage::new(leaves, |builder| builder);
    stage.dispatch_with(JobSpec::room("lobby")).await;
    assert_eq!(text(&stage.ended().await.outcome), "terminated");
    stage.drain(Duration::ZERO).await;
}

/// Its jobs' rooms are deleted before it joins them, and may be created again.
struct Late {
    room: &'static OnceLock<MockRoom>,
    again: bool,
}

impl Agent for Late {
    async fn on_request(&self, _: &Job) -> Answer {
        if let Some(room) = self.room.get() {
            room.delete();
            if self.again {
                room.join("eve");
            }
        }
        Answer::accept()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        stays(ctx).await
    }
}

async fn late(again: bool, stay: bool) -> (Stage, Instant) {
    static ROOMS: [OnceLock<MockRoom>; 4] = [const { OnceLock::new() }; 4];
    let room = &ROOMS[usize::from(again) * 2 + usize::from(stay)];
    let stage = Stage::new(Late { room, again }, |builder| builder.stay_in_new_room(stay));
    room.set(stage.server.room("lobby")).unwrap_or_else(|_| panic!("one server each"));
    stage.dispatch("lobby").await;
    (stage, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_room_was_deleted_before_it_was_joined_ends_at_once() {
    for again in [false, true] {
        let (mut stage, begun) = late(again, false).await;
        let EndedJob { outcome, .. } = stage.ended().await;
        assert_eq!(text(&outcome), "room_gone", "{again}");
        assert_after(begun, Duration::ZERO);
        stage.drain(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_to_stay_in_a_new_room_does_so_from_the_beginning() {
    let (stage, _) = late(true, true).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.running, 1);
    stage.server.room("lobby").delete();
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_jobs_for_two_sessions_of_a_participant_the_older_one_ends() {
    for guard in [false, true] {
        let mut stage = Stage::new(stays, |builder| for_participants(builder).one_per_target(guard));
        let older = stage.dispatch_with(JobSpec::for_participant("lobby", "ada")).await;
        let room = stage.server.room("lobby");
        room.wait_for_agent().await;
        tokio::time::sleep(60 * SECOND).await;
        let replaced = Instant::now();
        room.join("ada"); // the connection before is out
        let ended = stage.ended().await;
        assert_eq!(ended.outcome, Outcome::Success);
        assert_after(replaced, Duration::ZERO);
        assert_eq!(last_reason(&room), "target_replaced");
        assert_eq!(older.outcome().await.unwrap(), Outcome::Success);
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(stage.worker.status().await.unwrap().slots.running, 1, "the newer job continues: {guard}");
        room.remove("ada");
        assert_eq!(stage.ended().await.outcome, Outcome::Success);
        stage.drain(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_handler_decides_outlives_its_participant() {
    for end_when in [EndWhen::Never, EndWhen::Empty { after: 10 * SECOND }] {
        let mut stage = Stage::new(stays, |builder| for_participants(builder).end_when(end_when));
        stage.dispatch_with(JobSpec::for_participant("lobby", "ada").participant("bob")).await;
        let room = stage.server.room("lobby");
        room.wait_for_agent().await;
        room.remove("ada");
        tokio::time::sleep(600 * SECOND).await;
        assert!(stage.worker.status().await.unwrap().slots.running >= 1, "{end_when:?}");
        room.delete();
        stage.ended().await;
        stage.drain(Duration::ZERO).await;
    }
}
