//! How jobs end, are tried again and are cleaned up after, on a real livekit-server.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use agent_testkit::{DispatchRequest, JobEnd, JobEndStatus, RealServer};
use agent_worker::room::{JoinRequest, ParticipantFilter, RoomConnector, WebRtc};
use agent_worker::{
    Agent, CancelReason, EndedJob, JobContext, JobError, JobResult, Outcome, RetryPolicy, Room, RoomEvent,
    Worker, WorkerBuilder, WorkerHandle,
};

const AGENT: &str = "lifecycle";
const SOON: Duration = Duration::from_secs(30);

/// What a job tells: by room.
#[derive(Debug)]
enum Told {
    /// Its handler was called, as this participant.
    Called(String),
    Cancelled(CancelReason),
    /// Its cleanup ran, and whether it was in its room.
    CleanedUp(bool),
    Ended(EndedJob),
}

type Tell = mpsc::UnboundedSender<(String, Told)>;

/// A handler, and the ears of the test.
struct Heard<H> {
    handler: H,
    tell: Tell,
}

impl<H, F> Agent for Heard<H>
where
    H: Fn(JobContext, Tell) -> F + Send + Sync + 'static,
    F: Future<Output = JobResult> + Send,
{
    async fn run(&self, ctx: JobContext) -> JobResult {
        let (room, tell) = (ctx.job().room.name.clone(), self.tell.clone());
        let who = ctx.room().local_participant().identity.clone();
        tell.send((room.clone(), Told::Called(who)))?;
        ctx.on_cleanup({
            let (ctx, tell) = (ctx.clone(), tell.clone());
            async move { tell.send((room, Told::CleanedUp(ctx.is_in_room()))).unwrap() }
        });
        (self.handler)(ctx, tell).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.tell.send((ended.job.room.name.clone(), Told::Ended(ended.clone())));
    }
}

struct Stage {
    server: RealServer,
    worker: WorkerHandle,
    told: mpsc::UnboundedReceiver<(String, Told)>,
    /// What was told of other rooms meanwhile.
    kept: BTreeMap<String, Vec<Told>>,
    /// Others in the rooms, until the end.
    guests: Vec<Room>,
}

impl Stage {
    async fn new<H, F>(handler: H, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Option<Self>
    where
        H: Fn(JobContext, Tell) -> F + Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let server = agent_testkit::real_server().await?;
        let (tell, told) = mpsc::unbounded_channel();
        let builder = Worker::builder(Heard { handler, tell })
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .agent_name(AGENT)
            .grace(Duration::from_millis(500));
        let worker = change(builder).build().expect("the settings are complete");
        let handle = worker.handle();
        tokio::spawn(worker.run());
        assert!(tokio::time::timeout(SOON, handle.registered()).await.expect("the worker registers"));
        Some(Self { server, worker: handle, told, kept: BTreeMap::new(), guests: Vec::new() })
    }

    async fn dispatch(&self, room: &str, metadata: &str) -> String {
        let request = DispatchRequest::new(AGENT, room).metadata(metadata);
        self.server.api().create_dispatch(request).await.expect("the server takes the dispatch").id
    }

    /// The next thing that the job of a room tells.
    async fn next(&mut self, room: &str) -> Told {
        loop {
            if let Some(first) = self.kept.get_mut(room).filter(|kept| !kept.is_empty()) {
                return first.remove(0);
            }
            let told = tokio::time::timeout(SOON, self.told.recv()).await;
            let (of, told) = told.unwrap_or_else(|_| panic!("nothing from {room}")).expect("the worker runs");
            self.kept.entry(of).or_default().push(told);
        }
    }

    async fn called(&mut self, room: &str) -> String {
        match self.next(room).await {
            Told::Called(who) => who,
            other => panic!("{room}: {other:?}"),
        }
    }

    /// The rest of a job: the reason to stop, if there was one, whether its one cleanup was in the room, and
    /// its end.
    async fn rest(&mut self, room: &str) -> (Option<CancelReason>, bool, EndedJob) {
        let (mut reason, mut cleanups) = (None, Vec::new());
        loop {
            match self.next(room).await {
                Told::Called(_) => panic!("{room} is called again"),
                Told::Cancelled(why) => reason = Some(why),
                Told::CleanedUp(in_room) => cleanups.push(in_room),
                Told::Ended(ended) => {
                    let [in_room] = cleanups[..] else { panic!("{room}: {} cleanups", cleanups.len()) };
                    return (reason, in_room, ended);
                }
            }
        }
    }

    async fn recorded(&self, room: &str) -> JobEnd {
        let job = self.server.log().assigned_in(room, SOON).await.expect("a job for the room").job_id;
        self.server.log().outcome(&job, SOON).await.expect("the end of the job")
    }

    async fn stop(self) {
        self.worker.drain(Duration::from_secs(1)).await;
        for guest in self.guests {
            guest.leave().await;
        }
    }

    /// Somebody who is in a room, too.
    async fn join(&self, room: &str, identity: &str) -> Room {
        let token = self.server.token().identity(identity).join_room(room).sign().expect("a token");
        WebRtc::default().connect(JoinRequest::new(self.server.url(), token)).await.expect("joined")
    }
}

fn text(outcome: &Outcome) -> &str {
    outcome.error().unwrap_or("SUCCESS")
}

const RETURNS: [&str; 5] = ["ok", "cancelled", "error", "panic", "never"];

/// Waits until it is told to stop, and then does what its metadata says.
async fn obedient(ctx: JobContext, tell: Tell) -> JobResult {
    let metadata = ctx.job().raw_metadata.clone();
    let returns = metadata.strip_prefix("shutdown ").unwrap_or(&metadata);
    if metadata != returns {
        ctx.shutdown("enough");
    }
    let reason = ctx.cancelled().await;
    tell.send((ctx.job().room.name.clone(), Told::Cancelled(reason)))?;
    match returns {
        "ok" => Ok(()),
        "cancelled" => Err(JobError::cancelled()),
        "error" => Err(JobError::retryable("its text", Duration::ZERO)),
        "panic" => panic!("its text"),
        _ => std::future::pending().await,
    }
}

/// The table of the design.
fn expected(reason: &CancelReason, returns: &str) -> String {
    match (reason, returns) {
        (CancelReason::Deadline, _) => "job_timeout".to_owned(),
        (_, "error") => "its text".to_owned(),
        (_, "panic") => "panicked: its text".to_owned(),
        (_, "never") => format!("aborted: {reason}"),
        (CancelReason::Kicked | CancelReason::DuplicateIdentity | CancelReason::RoomGone, _) => {
            reason.to_string()
        }
        _ => "SUCCESS".to_owned(),
    }
}

/// What makes a job stop.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    Deadline,
    Shutdown,
    Drained,
    DispatchDeleted,
    RoomDeleted,
    AgentRemoved,
    SameIdentity,
}

impl Cause {
    /// The server tells of some ends in two ways, the room's and the job's, and either may be the first to
    /// arrive.
    fn may_be(self, reason: &CancelReason) -> bool {
        match self {
            Self::Deadline => *reason == CancelReason::Deadline,
            Self::Shutdown => *reason == CancelReason::Shutdown("enough".into()),
            Self::Drained => *reason == CancelReason::Drained,
            Self::DispatchDeleted => *reason == CancelReason::Terminated,
            Self::RoomDeleted => matches!(reason, CancelReason::RoomClosed | CancelReason::Terminated),
            Self::AgentRemoved => matches!(reason, CancelReason::Kicked | CancelReason::Terminated),
            Self::SameIdentity => {
                matches!(reason, CancelReason::DuplicateIdentity | CancelReason::Terminated)
            }
        }
    }

    async fn happens(self, stage: &mut Stage, room: &str, dispatch: &str, agent: &str) {
        let api = stage.server.api();
        match self {
            // By itself.
            Self::Deadline | Self::Shutdown => {}
            // To all of them, later.
            Self::Drained => {}
            Self::DispatchDeleted => drop(api.delete_dispatch(room, dispatch).await.expect("deleted")),
            Self::RoomDeleted => api.delete_room(room).await.expect("deleted"),
            Self::AgentRemoved => api.remove_participant(room, agent).await.expect("removed"),
            Self::SameIdentity => {
                let twin = stage.join(room, agent).await;
                stage.guests.push(twin);
            }
        }
    }
}

/// One row of the table: a job for each thing that a handler can do.
async fn row(cause: Cause) {
    let change = |builder: WorkerBuilder| match cause {
        Cause::Deadline => builder.job_timeout(Duration::from_secs(1)),
        _ => builder,
    };
    let Some(mut stage) = Stage::new(obedient, change).await else { return };
    let room = |returns: &str| format!("room-{returns}");
    for returns in RETURNS {
        let shutdown = if cause == Cause::Shutdown { "shutdown " } else { "" };
        let dispatch = stage.dispatch(&room(returns), &format!("{shutdown}{returns}")).await;
        let agent = stage.called(&room(returns)).await;
        cause.happens(&mut stage, &room(returns), &dispatch, &agent).await;
    }
    if cause == Cause::Drained {
        stage.worker.start_drain(Duration::ZERO);
    }
    for returns in RETURNS {
        let (reason, in_room, ended) = stage.rest(&room(returns)).await;
        let reason = reason.expect("it was told to stop");
        let case = format!("{cause:?}, {returns}, {reason}");
        assert!(cause.may_be(&reason), "{case}");
        assert_eq!(text(&ended.outcome), expected(&reason, returns), "{case}");
        assert_eq!(ended.attempts, 1, "{case}");
        let end = stage.recorded(&room(returns)).await;
        let end = (end.status, end.error);
        let by_us = match ended.outcome.error() {
            None => (JobEndStatus::Success, String::new()),
            Some(error) => (JobEndStatus::Failed, error.to_owned()),
        };
        match cause {
            Cause::Deadline | Cause::Shutdown | Cause::Drained => {
                assert_eq!(end, by_us, "{case}");
                assert!(in_room, "{case}");
            }
            Cause::DispatchDeleted => {
                assert_eq!(end.0, JobEndStatus::Success, "the server has decided: {case}");
                assert!(in_room, "three seconds are left: {case}");
            }
            Cause::RoomDeleted | Cause::AgentRemoved | Cause::SameIdentity => {
                // The server may have made up its mind before it heard ours.
                let by_server = (JobEndStatus::Failed, "agent worker left the room".to_owned());
                assert!(end == by_us || end == by_server, "{case}: {end:?}");
            }
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn over_its_time() {
    row(Cause::Deadline).await;
}

#[tokio::test]
async fn by_its_own_word() {
    row(Cause::Shutdown).await;
}

#[tokio::test]
async fn drained() {
    row(Cause::Drained).await;
}

#[tokio::test]
async fn dispatch_deleted() {
    row(Cause::DispatchDeleted).await;
}

#[tokio::test]
async fn room_deleted() {
    row(Cause::RoomDeleted).await;
}

#[tokio::test]
async fn agent_removed() {
    row(Cause::AgentRemoved).await;
}

#[tokio::test]
async fn same_identity() {
    row(Cause::SameIdentity).await;
}

/// One job, one agent in the room, several attempts: each hears anew who is there.
#[tokio::test]
async fn a_flaky_handler_stays_in_its_room() {
    let handler = |ctx: JobContext, _: Tell| async move {
        let mut events = ctx.room().events();
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::ParticipantJoined(who) => seen.push(who.identity.clone()),
                // Bob may become known a moment after what is said then.
                RoomEvent::DataReceived(data)
                    if data.topic == "go on" && u32::try_from(seen.len()) == Ok(ctx.attempt()) =>
                {
                    break;
                }
                _ => {}
            }
        }
        seen.sort();
        let heard = format!("attempt {}: {}", ctx.attempt(), seen.join(" "));
        ctx.room().publish_data("heard", heard).await?;
        match ctx.attempt() {
            1 => Err(JobError::retryable("told to fail", Duration::from_secs(1))),
            _ => Ok(()),
        }
    };
    let policy = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let Some(mut stage) = Stage::new(handler, |builder| builder.retry(policy)).await else { return };
    let ada = stage.join("flaky", "ada").await;
    let mut events = ada.events();
    stage.dispatch("flaky", "").await;
    let agent = stage.called("flaky").await;
    for expected in ["attempt 1: ada", "attempt 2: ada bob"] {
        let heard = async {
            // Only one that comes when the attempt knows of everybody counts: it is said until it is heard.
            let mut again = tokio::time::interval(Duration::from_millis(200));
            loop {
                tokio::select! {
                    _ = again.tick() => ada.publish_data("go on", "").to([agent.clone()]).await.expect("sent"),
                    event = events.next() => match event.expect("the room stays") {
                        RoomEvent::DataReceived(data) if data.topic == "heard" => return data.payload,
                        RoomEvent::ParticipantLeft { participant, .. } => panic!("{} left", participant.identity),
                        _ => {}
                    }
                }
            }
        };
        let heard = tokio::time::timeout(SOON, heard).await.expect("in time");
        assert_eq!(heard, expected);
        if expected.starts_with("attempt 1") {
            let bob = stage.join("flaky", "bob").await;
            stage.guests.push(bob);
            assert!(matches!(stage.next("flaky").await, Told::CleanedUp(true)));
            assert_eq!(stage.called("flaky").await, agent, "the same agent");
        }
    }
    let (_, in_room, ended) = stage.rest("flaky").await;
    assert_eq!((ended.outcome, ended.attempts, in_room), (Outcome::Success, 2, true));
    assert_eq!(stage.recorded("flaky").await.status, JobEndStatus::Success);
    stage.stop().await;
}

/// What an attempt has not read, and what is sent in the wait for the next one, is the next one's.
#[tokio::test]
async fn data_wait_for_the_next_attempt() {
    let handler = |ctx: JobContext, _: Tell| async move {
        // Later than the first message.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (mut work, mut events) = (ctx.room().data("work"), ctx.room().events());
        let mut read = Vec::new();
        while !matches!(read.last().map(String::as_str), Some("fail" | "end")) {
            let item = work.next().await.ok_or("the room is over")?;
            read.push(String::from_utf8_lossy(&item?.payload).into_owned());
        }
        let mut among_events = 0;
        if ctx.attempt() == 2 {
            while among_events < 6 {
                let event = events.next().await.ok_or("the room is over")?;
                among_events += u32::from(matches!(event, RoomEvent::DataReceived(_)));
            }
        }
        let heard = format!("attempt {}: {}, {among_events}", ctx.attempt(), read.join(" "));
        ctx.room().publish_data("heard", heard).await?;
        match ctx.attempt() {
            1 => Err(JobError::retryable("told to fail", Duration::from_secs(2))),
            _ => Ok(()),
        }
    };
    let policy = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let Some(mut stage) = Stage::new(handler, |builder| builder.retry(policy)).await else { return };
    let ada = stage.join("worker", "ada").await;
    let mut heard = ada.data("heard");
    stage.dispatch("worker", "").await;
    let agent = stage.called("worker").await;
    ada.wait_for_participant(ParticipantFilter::identity(&agent).within(SOON))
        .await
        .expect("the agent is there");
    let send = async |items: &[&'static str]| {
        for item in items {
            ada.publish_data("work", *item).to([&agent]).await.expect("sent");
        }
    };
    send(&["1", "fail", "2"]).await;
    assert!(matches!(stage.next("worker").await, Told::CleanedUp(true)));
    send(&["3"]).await;
    assert_eq!(stage.called("worker").await, agent, "the same agent");
    send(&["4", "end"]).await;
    // All six are events that no stream of events has had: that of the first attempt was not read.
    for expected in ["attempt 1: 1 fail, 0", "attempt 2: 2 3 4 end, 6"] {
        let next = tokio::time::timeout(SOON, heard.next()).await.expect("in time");
        assert_eq!(next.expect("the room stays").expect("nothing is missing").payload, expected);
    }
    let (_, _, ended) = stage.rest("worker").await;
    assert_eq!((ended.outcome, ended.attempts), (Outcome::Success, 2));
    stage.stop().await;
}

/// Whatever ends an attempt, its cleanup can say goodbye, and the server hears the truth after it.
#[tokio::test]
async fn a_cleanup_says_goodbye_in_the_room() {
    let handler = |ctx: JobContext, _: Tell| async move {
        ctx.on_cleanup({
            let room = ctx.room().clone();
            async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                room.publish_data("status", "goodbye").await.expect("still in the room");
            }
        });
        match ctx.job().raw_metadata.as_str() {
            "error" => Err("no such voice".into()),
            "panic" => panic!("index out of bounds"),
            "never" => std::future::pending().await,
            _ => Ok(()),
        }
    };
    let change = |builder: WorkerBuilder| builder.job_timeout(Duration::from_secs(2));
    let Some(mut stage) = Stage::new(handler, change).await else { return };
    for (metadata, expected) in [
        ("ok", "SUCCESS"),
        ("error", "no such voice"),
        ("panic", "panicked: index out of bounds"),
        ("never", "job_timeout"),
    ] {
        let ada = stage.join(metadata, "ada").await;
        let mut events = ada.events();
        stage.dispatch(metadata, metadata).await;
        stage.called(metadata).await;
        let goodbye = async {
            while let Some(event) = events.next().await {
                match event {
                    RoomEvent::DataReceived(data) if data.payload == "goodbye" => return,
                    RoomEvent::ParticipantLeft { .. } => break,
                    _ => {}
                }
            }
            panic!("no goodbye");
        };
        tokio::time::timeout(SOON, goodbye).await.expect("in time");
        let (_, in_room, ended) = stage.rest(metadata).await;
        assert_eq!((text(&ended.outcome), in_room), (expected, true), "{metadata}");
        let end = stage.recorded(metadata).await;
        let error = if expected == "SUCCESS" { "" } else { expected };
        assert_eq!(end.error, error, "{metadata}");
        ada.leave().await;
    }
    assert_eq!(stage.worker.stats().cleanup_panics, 0);
    assert_eq!(stage.server.log().count("agent worker left the room"), 0);
    stage.stop().await;
}

/// Code that blocks its thread cannot be aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stuck_attempt_is_reported_and_a_drain_does_not_wait_for_it() {
    type Gate = Arc<(Mutex<bool>, Condvar)>;
    struct OpensAtLast(Gate);
    impl Drop for OpensAtLast {
        fn drop(&mut self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_all();
        }
    }
    let gate = OpensAtLast(Gate::default());
    let blocks = Arc::clone(&gate.0);
    let handler = move |_: JobContext, _: Tell| {
        let gate = Arc::clone(&blocks);
        async move {
            let open = gate.0.lock().unwrap();
            drop(gate.1.wait_while(open, |open| !*open).unwrap());
            Ok(())
        }
    };
    let change = |builder: WorkerBuilder| builder.job_timeout(Duration::from_secs(1));
    let Some(mut stage) = Stage::new(handler, change).await else { return };
    stage.dispatch("stuck", "").await;
    stage.called("stuck").await;
    let (_, in_room, ended) = stage.rest("stuck").await;
    assert_eq!((text(&ended.outcome), in_room), ("job_timeout", true));
    assert_eq!(stage.recorded("stuck").await.error, "job_timeout");
    let slots = stage.worker.status().await.expect("it runs").slots;
    assert_eq!((slots.stuck, slots.used()), (1, 1), "its slot is held");
    let report = tokio::time::timeout(SOON, stage.worker.drain(Duration::from_secs(10))).await;
    assert_eq!(report.expect("in time").stuck, 1);
    drop(gate);
}
