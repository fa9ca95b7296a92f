//! Further attempts within one assignment.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::error::Elapsed;

use agent_testkit::{JobSpec, ServerEvent};
use agent_worker::layers::{Layer, Timeout};
use agent_worker::patterns::{Pipeline, Pool};
use agent_worker::room::{JoinError, JoinFailure, JoinRequest, RoomConnector, RoomError};
use agent_worker::{
    Agent, BoxFuture, EndedJob, JobContext, JobError, JobErrorKind, JobResult, Outcome, RetryPolicy, Room,
    RoomEvent, WorkerBuilder,
};

use super::stage::{LONG, Stage, text};

/// Fails this many times, each time with a retryable error.
fn flaky(times: u32, after: Duration) -> impl Fn(JobContext) -> std::future::Ready<JobResult> + Clone {
    move |ctx| {
        std::future::ready(if ctx.attempt() <= times {
            Err(JobError::retryable(format!("no model in attempt {}", ctx.attempt()), after))
        } else {
            Ok(())
        })
    }
}

fn attempts(most: u32) -> impl FnOnce(WorkerBuilder) -> WorkerBuilder {
    move |builder| {
        builder.retry(RetryPolicy::attempts(most).backoff(Duration::from_secs(1), Duration::from_secs(4)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_flaky_handler_succeeds_in_its_third_attempt() {
    let mut stage = Stage::new(flaky(2, Duration::from_secs(5)), attempts(3));
    let ended = stage.run().await;
    assert_eq!((ended.outcome, ended.attempts, ended.kind), (Outcome::Success, 3, None));
    assert!(ended.duration >= Duration::from_secs(10) && ended.duration <= Duration::from_secs(13));
    assert_eq!(stage.worker.stats().retries, 2);
    // One job, one room, one status of each kind, and the agent stayed in the room meanwhile.
    let events = stage.server.events();
    let count = |wanted: fn(&ServerEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, ServerEvent::Joined { agent: true, .. })), 1);
    assert_eq!(count(|event| matches!(event, ServerEvent::Running { .. })), 1);
    let left = events.iter().position(|event| matches!(event, ServerEvent::Left { .. }));
    let ended = events.iter().position(|event| matches!(event, ServerEvent::Ended { .. }));
    assert!(ended.is_some() && left.is_none_or(|left| Some(left) > ended), "{}", stage.server.timeline());
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn three_attempts_are_the_default_and_never_is_one() {
    let mut stage = Stage::new(flaky(9, Duration::ZERO), |builder| builder);
    let ended = stage.run().await;
    assert_eq!(text(&ended.outcome), "no model in attempt 3 (after 3 attempts)");
    assert!(matches!(ended.kind, Some(JobErrorKind::Retryable { .. })));
    stage.drain(Duration::ZERO).await;

    let mut stage = Stage::new(flaky(9, Duration::ZERO), |builder| builder.retry(RetryPolicy::never()));
    assert_eq!(text(&stage.run().await.outcome), "no model in attempt 1");
    stage.drain(Duration::ZERO).await;
}

#[derive(Debug, thiserror::Error)]
#[error("the model did not load")]
struct NotLoaded(#[source] Box<dyn Error + Send + Sync>);

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

async fn elapsed() -> Result<(), Elapsed> {
    tokio::time::timeout(Duration::ZERO, std::future::pending()).await
}

/// Fails in the way that the name of its room selects.
async fn fails(ctx: JobContext) -> JobResult {
    match ctx.job().room.name.as_str() {
        "refused" => Err(refused())?,
        "refused, behind others" => Err(NotLoaded(anyhow::Error::from(refused()).context("a").into()))?,
        "refused, shared" => Err(NotLoaded(Box::new(Arc::new(refused()))))?,
        "timed out" => Err(io::Error::from(io::ErrorKind::TimedOut))?,
        "elapsed" => elapsed().await?,
        "elapsed, in anyhow" => {
            elapsed().await.map_err(|error| anyhow::Error::from(error).context("loading"))?
        }
        "elapsed, in a box" => elapsed().await.map_err(Box::<dyn Error + Send + Sync>::from)?,
        "elapsed, behind an error" => elapsed().await.map_err(|error| NotLoaded(error.into()))?,
        "elapsed, in an I/O error" => elapsed().await.map_err(io::Error::other)?,
        "elapsed, from outside" => {
            let outside = ctx.clone();
            elapsed().await.unwrap_or_else(|error| outside.fail(error));
            std::future::pending().await
        }
        "no pooled one is free" => {
            let pool = Pool::bounded(1, || async { Ok(()) });
            let _taken = pool.acquire().await?;
            pool.acquire_within(Duration::ZERO).await?;
        }
        "in a stage" => {
            let items = futures_util::stream::iter([1]);
            let stage = async |_| Ok(elapsed().await?);
            Pipeline::new(items, std::future::pending::<()>()).stage("load", stage).run().await?;
        }
        other => panic!("{other}"),
    }
    JobResult::Ok(())
}

/// Runs a job in this room with five attempts, at most 100, 200, 400 and 800 ms apart.
async fn five_attempts(
    agent: impl Agent,
    room: &str,
    change: impl Fn(WorkerBuilder) -> WorkerBuilder,
) -> EndedJob {
    let policy = RetryPolicy::attempts(5).backoff(Duration::from_millis(100), Duration::from_secs(1));
    let mut stage = Stage::new(agent, |builder| change(builder.retry(policy)));
    stage.dispatch(room).await;
    let ended = stage.ended().await;
    stage.drain(Duration::ZERO).await;
    ended
}

/// The longest total wait between them.
const LONGEST: Duration = Duration::from_millis(1500);
/// How long the mock server takes to start a job, on virtual time.
const START: Duration = Duration::from_millis(10);

/// `?` makes errors of the network and of timeouts retryable wherever they are in the chain, and nothing is
/// added to the backoff.
#[tokio::test(start_paused = true)]
async fn temporary_errors_are_retried_and_wait_for_the_backoff_alone() {
    for room in [
        "refused",
        "refused, behind others",
        "refused, shared",
        "timed out",
        "elapsed",
        "elapsed, in anyhow",
        "elapsed, in a box",
        "elapsed, behind an error",
        "elapsed, in an I/O error",
        "elapsed, from outside",
        "no pooled one is free",
        "in a stage",
    ] {
        let ended = five_attempts(fails, room, |builder| builder).await;
        assert_eq!(
            (ended.attempts, ended.kind),
            (5, Some(JobErrorKind::Retryable { after: Duration::ZERO })),
            "{room}"
        );
        assert!(ended.duration <= LONGEST + START, "{room}: {:?}", ended.duration);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_health_check_waits_for_the_backoff_alone() {
    const EVERY: Duration = Duration::from_secs(30);
    let checked = |ctx: JobContext| async move {
        ctx.health_check(EVERY, || async { Err(refused()) });
        std::future::pending::<JobResult>().await
    };
    let ended = five_attempts(checked, "room", |builder| builder).await;
    assert_eq!(ended.attempts, 5);
    assert!(ended.duration <= EVERY * 5 + LONGEST + START, "{:?}", ended.duration);
}

/// No server answers.
struct NoRoom;

impl RoomConnector for NoRoom {
    fn connect(&self, _: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        Box::pin(std::future::ready(Err(JoinFailure::SignalTimeout.into())))
    }
}

/// It is the same whether the worker joins or the handler does.
#[tokio::test(start_paused = true)]
async fn a_room_that_cannot_be_joined_waits_for_the_backoff_alone() {
    let joins = |ctx: JobContext| async move {
        ctx.join().await?;
        JobResult::Ok(())
    };
    for join_first in [true, false] {
        let ended =
            five_attempts(joins, "room", |builder| builder.connector(NoRoom).join_room(join_first)).await;
        let kind = Some(JobErrorKind::Retryable { after: Duration::ZERO });
        assert_eq!((ended.attempts, ended.kind), (5, kind), "joined by the worker: {join_first}");
        assert!(ended.duration <= LONGEST + START, "{:?}", ended.duration);
    }
}

/// The room is one for all attempts.
#[tokio::test(start_paused = true)]
async fn there_is_no_other_attempt_in_a_room_that_was_left_after_the_last() {
    let leaves = |ctx: JobContext| async move {
        ctx.on_cleanup(async |ctx| ctx.room().leave().await);
        JobResult::Err(JobError::retryable("again", Duration::ZERO))
    };
    // At once: before the server ends the job, as it does when its agent leaves.
    let at_once = RetryPolicy::attempts(5).backoff(Duration::ZERO, Duration::ZERO);
    let mut stage = Stage::new(leaves, |builder| builder.retry(at_once));
    let ended = stage.run().await;
    assert_eq!(text(&ended.outcome), "the room was left before the next attempt (after 2 attempts)");
    assert_eq!(ended.kind, Some(JobErrorKind::Fatal { reason: "room_left".into() }));
    stage.drain(Duration::ZERO).await;
}

/// The backoff is added to the wait that an error requests.
#[tokio::test(start_paused = true)]
async fn an_explicit_wait_wins() {
    let after = Duration::from_secs(2);
    let ended = five_attempts(flaky(9, after), "room", |builder| builder).await;
    assert_eq!(ended.attempts, 5);
    assert!(
        ended.duration >= after * 4 && ended.duration <= after * 4 + LONGEST + START,
        "{:?}",
        ended.duration
    );
    // Also the wait that the program's own classification requests for a temporary error.
    let rule = move |error: &(dyn Error + 'static)| {
        error.is::<Elapsed>().then_some(JobErrorKind::Retryable { after })
    };
    let ended = five_attempts(fails, "elapsed", move |builder| builder.classify(rule)).await;
    assert!(
        ended.duration >= after * 4 && ended.duration <= after * 4 + LONGEST + START,
        "{:?}",
        ended.duration
    );
}

/// A time limit of the SDK is not a temporary timeout.
#[tokio::test(start_paused = true)]
async fn a_job_over_its_time_is_not_retried() {
    let returns_its_own_timeout = |ctx: JobContext| async move {
        ctx.cancelled().await;
        elapsed().await?;
        JobResult::Ok(())
    };
    let second = Duration::from_secs(1);
    let ended = five_attempts(returns_its_own_timeout, "room", |builder| builder.job_timeout(second)).await;
    assert_eq!((text(&ended.outcome), ended.attempts), ("job_timeout".into(), 1));
    let endless = |_: JobContext| std::future::pending::<JobResult>();
    let ended = five_attempts(Timeout::after(second).layer(endless), "room", |builder| builder).await;
    assert_eq!(ended.attempts, 1);
    assert_eq!(ended.kind, Some(JobErrorKind::Fatal { reason: "job_timeout".into() }));
}

#[tokio::test(start_paused = true)]
async fn other_errors_are_not() {
    type Fails = fn() -> JobError;
    let errors: [(Fails, &str); 4] = [
        (|| JobError::fatal("quota_exceeded"), "quota_exceeded"),
        (|| JobError::invalid("language", "xx", "unknown"), "invalid_input: language = xx: unknown"),
        (|| "anything".into(), "anything"),
        (JobError::cancelled, "the handler returned the error kind Cancelled, but the job was not cancelled"),
    ];
    for (fails, expected) in errors {
        let calls = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&calls);
        let agent = move |_: JobContext| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(JobResult::Err(fails()))
        };
        let mut stage = Stage::new(agent, attempts(9));
        assert_eq!(text(&stage.run().await.outcome), expected);
        stage.drain(Duration::ZERO).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}

/// The events of the next attempt begin with the present participants, then what was sent before it began.
#[tokio::test(start_paused = true)]
async fn each_attempt_gets_a_fresh_stream_of_events() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let sender = sender.clone();
        async move {
            // Events before the handler opens its stream are not lost.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut events = ctx.room().events();
            let mut seen = Vec::new();
            while let Some(event) = events.next().await {
                match event {
                    RoomEvent::ParticipantJoined(who) => seen.push(format!("joined {}", who.identity)),
                    RoomEvent::ParticipantLeft { participant, .. } => {
                        seen.push(format!("left {}", participant.identity));
                    }
                    RoomEvent::DataReceived(data) => {
                        seen.push(format!("data {}", data.topic));
                        if data.topic == "fail" {
                            break;
                        }
                    }
                    _ => {}
                }
            }
            sender.send((ctx.attempt(), seen))?;
            match ctx.attempt() {
                1 => Err(JobError::retryable("asked to fail", Duration::from_secs(10))),
                _ => Ok(()),
            }
        }
    };
    let mut stage = Stage::new(agent, attempts(2));
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada").participant("bob")).await;
    job.room().wait_for_agent().await;
    job.room().send_data("fail", "");
    let first = receiver.recv().await.unwrap();
    assert_eq!(first, (1, vec!["joined ada".into(), "joined bob".into(), "data fail".into()]));
    // In the wait for the next attempt.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.backing_off, 1);
    job.room().join("cy");
    job.room().remove("ada");
    job.room().send_data("between", "");
    while stage.worker.status().await.unwrap().slots.running == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    job.room().send_data("early", "");
    tokio::time::sleep(Duration::from_secs(20)).await;
    job.room().send_data("fail", "");
    let second = receiver.recv().await.unwrap();
    let expected = ["joined bob", "joined cy", "data between", "data early", "data fail"].map(str::to_owned);
    assert_eq!(second, (2, expected.to_vec()));
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    stage.drain(Duration::ZERO).await;
}

/// A task outside of `ctx.spawn` that outlives its attempt gets the error that the attempt is over, and does
/// not affect the next one.
#[tokio::test(start_paused = true)]
async fn a_room_that_a_task_has_kept_ends_with_its_attempt() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let sender = sender.clone();
        async move {
            if ctx.attempt() == 2 {
                ctx.room().publish_data("chat", "second").await?;
                return Ok(());
            }
            let (room, mut events, kept) = (ctx.room().clone(), ctx.room().events(), ctx.clone());
            tokio::spawn(async move {
                while events.next().await.is_some() {}
                let refused = room.publish_data("chat", "late").await;
                let silent = room.events().next().await.is_none();
                let _ = sender.send((refused, silent, room.is_connected(), kept.is_in_room()));
            });
            ctx.on_cleanup(async |ctx| {
                ctx.room()
                    .publish_data("chat", "goodbye")
                    .await
                    .expect("the attempt is not over before its cleanup");
            });
            Err(JobError::retryable("again", Duration::from_secs(5)))
        }
    };
    let mut stage = Stage::new(agent, attempts(2));
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada")).await;
    let over = receiver.recv().await.expect("the task ends");
    assert_eq!(over, (Err(RoomError::AttemptOver), true, false, false));
    assert_eq!(stage.worker.status().await.unwrap().slots.backing_off, 1, "before the next attempt");
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    let sent: Vec<String> = job.room().sent().iter().map(|sent| sent.text()).collect();
    assert_eq!(sent, ["goodbye", "second"]);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn no_other_attempt_without_the_room() {
    // The handler fails, worth another attempt, because the room is over; or leaves it by itself.
    let agent = |ctx: JobContext| async move {
        if ctx.job().raw_metadata == "leaves" {
            ctx.room().leave().await;
        }
        ctx.room().closed().await;
        JobResult::Err(JobError::retryable("the room is over", Duration::ZERO))
    };
    for metadata in ["leaves", "is removed"] {
        let policy = RetryPolicy::attempts(9).backoff(Duration::ZERO, Duration::ZERO);
        let mut stage = Stage::new(agent, |builder| builder.retry(policy));
        let job = stage.dispatch_with(JobSpec::room("room").metadata(metadata)).await;
        if metadata != "leaves" {
            let agent = job.room().wait_for_agent().await;
            job.room().lose(&agent.identity);
        }
        let ended = stage.ended().await;
        assert_eq!((text(&ended.outcome), ended.attempts), ("the room is over".into(), 1), "{metadata}");
        stage.drain(Duration::ZERO).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_lost_in_the_wait_ends_it() {
    let mut stage = Stage::new(flaky(9, Duration::from_secs(60)), attempts(9));
    let job = stage.dispatch("room").await;
    let agent = job.room().wait_for_agent().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.backing_off, 1);
    job.room().lose(&agent.identity);
    let ended = stage.ended().await;
    assert_eq!((text(&ended.outcome), ended.attempts), ("no model in attempt 1".into(), 1));
    assert!(ended.duration < Duration::from_secs(10), "{:?}", ended.duration);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_wait() {
    let mut stage = Stage::new(flaky(9, Duration::from_secs(60)), attempts(9));
    let job = stage.dispatch("room").await;
    job.room().wait_for_agent().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.worker.start_drain(LONG);
    let ended = stage.ended().await;
    assert_eq!((text(&ended.outcome), ended.attempts), ("no model in attempt 1".into(), 1));
    assert_eq!(job.outcome().await.unwrap(), ended.outcome);
    stage.drain(LONG).await;
}

#[tokio::test(start_paused = true)]
async fn the_budget_spans_the_assignment() {
    let policy = RetryPolicy::attempts(99).backoff(Duration::ZERO, Duration::ZERO);
    let mut stage = Stage::new(flaky(99, Duration::from_secs(10)), |builder| {
        builder.retry(policy.budget(Duration::from_secs(35)))
    });
    let ended = stage.run().await;
    assert_eq!(text(&ended.outcome), "no model in attempt 4 (after 4 attempts)");
    assert!(ended.duration < Duration::from_secs(36), "{:?}", ended.duration);
    stage.drain(Duration::ZERO).await;
}

/// A handler that joins its room itself may find the server unavailable.
#[tokio::test(start_paused = true)]
async fn a_room_that_was_not_joined_yet_is_joined_by_the_next_attempt() {
    let agent = |ctx: JobContext| async move {
        if ctx.attempt() == 1 {
            return Err(JobError::retryable("not yet", Duration::ZERO));
        }
        ctx.join().await?;
        JobResult::Ok(())
    };
    let mut stage = Stage::new(agent, |builder| builder.join_room(false));
    let ended = stage.run().await;
    assert_eq!((ended.outcome, ended.attempts), (Outcome::Success, 2));
    stage.drain(Duration::ZERO).await;
}
