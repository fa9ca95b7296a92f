//! Further attempts within one assignment.

use crate::stage::{LONG, Stage, text};
use agent_testkit::{JobSpec, ServerEvent};
use agent_worker::{
    JobContext, JobError, JobErrorKind, JobResult, Outcome, RetryPolicy, RoomEvent, WorkerBuilder,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Fails so many times, each time worth another attempt.
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
    // One job, one room, one status of each kind, and nobody left the room meanwhile.
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

#[tokio::test(start_paused = true)]
async fn an_error_of_the_network_is_tried_again_by_itself() {
    let agent = |ctx: JobContext| async move {
        if ctx.attempt() == 1 {
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))?;
        }
        JobResult::Ok(())
    };
    let mut stage = Stage::new(agent, |builder| builder);
    let ended = stage.run().await;
    assert_eq!((ended.outcome, ended.attempts), (Outcome::Success, 2));
    assert!(ended.duration >= Duration::from_secs(5), "{:?}", ended.duration);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn other_errors_are_not() {
    type Fails = fn() -> JobError;
    let errors: [(Fails, &str); 4] = [
        (|| JobError::fatal("quota_exceeded"), "quota_exceeded"),
        (|| JobError::invalid("language", "xx", "unknown"), "invalid_input: language = xx: unknown"),
        (|| "anything".into(), "anything"),
        (JobError::cancelled, "the handler says that it was cancelled, but nobody cancelled it"),
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

/// The next attempt begins with who is there, then what was sent in the wait for it.
#[tokio::test(start_paused = true)]
async fn each_attempt_gets_a_fresh_stream_of_events() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let agent = move |ctx: JobContext| {
        let tell = tell.clone();
        async move {
            // Nothing is lost that comes before the handler listens.
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
            tell.send((ctx.attempt(), seen))?;
            match ctx.attempt() {
                1 => Err(JobError::retryable("told to fail", Duration::from_secs(10))),
                _ => Ok(()),
            }
        }
    };
    let mut stage = Stage::new(agent, attempts(2));
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada").participant("bob")).await;
    job.room().wait_for_agent().await;
    job.room().send_data("fail", "");
    let first = told.recv().await.unwrap();
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
    let second = told.recv().await.unwrap();
    let expected = ["joined bob", "joined cy", "data between", "data early", "data fail"].map(str::to_owned);
    assert_eq!(second, (2, expected.to_vec()));
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
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

/// A handler that joins by itself may find the server away.
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
