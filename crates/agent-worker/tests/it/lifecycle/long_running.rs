//! Long-running jobs: empty rooms, signs of life, health checks, a task for each participant, second
//! jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{JobSpec, ServerEvent};
use agent_worker::room::ParticipantFilter;
use agent_worker::{CancelReason, EndWhen, JobContext, JobErrorKind, JobResult, Outcome, RetryPolicy};

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

#[tokio::test(start_paused = true)]
async fn a_job_ends_in_success_ten_seconds_after_the_last_person_has_left() {
    let mut stage = Stage::new(stays, |builder| builder);
    stage.dispatch("lobby").await;
    let room = stage.server.room("lobby");
    room.wait_for_agent().await;
    tokio::time::sleep(600 * SECOND).await; // nobody has joined yet
    let ada = room.join("ada");
    let bob = room.join("bob");
    ada.leave();
    tokio::time::sleep(60 * SECOND).await;
    bob.leave();
    let left = Instant::now();
    let ended = stage.ended().await;
    assert_eq!(ended.outcome, Outcome::Success);
    assert!((left.elapsed().as_secs_f64() - 10.0).abs() < 1.0, "{:?}", left.elapsed());
    assert_eq!(room.sent().last().unwrap().text(), "shutdown: the room is empty");
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn the_policy_can_be_another_or_none() {
    let mut stage = Stage::new(stays, |builder| {
        builder
            .end_when(EndWhen::TargetLeft { after: 3 * SECOND })
            .job_kind(agent_worker::JobKind::Participant)
    });
    stage.dispatch_with(JobSpec::for_participant("lobby", "ada")).await;
    let room = stage.server.room("lobby");
    room.wait_for_agent().await;
    let bob = room.join("bob");
    room.remove("ada");
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    assert_eq!(room.sent().last().unwrap().text(), "shutdown: the participant has left");
    bob.leave();
    stage.drain(Duration::ZERO).await;

    let mut stage = Stage::new(stays, |builder| builder.end_when(EndWhen::Never));
    stage.dispatch("lobby").await;
    let room = stage.server.room("lobby");
    room.wait_for_agent().await;
    room.join("ada").leave();
    tokio::time::sleep(LONG / 2).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.running, 1);
    room.delete();
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_without_progress_is_counted_and_continues() {
    let mut stage = Stage::new(
        async |ctx: JobContext| {
            for _ in 0..1000 {
                ctx.progress();
                tokio::time::sleep(SECOND / 10).await;
            }
            tokio::time::sleep(90 * SECOND).await;
            ctx.progress();
            Ok(())
        },
        |builder| builder,
    );
    stage.dispatch("lobby").await;
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    assert_eq!(stage.worker.stats().stale, 1);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_health_check_is_retried_after_ten_seconds() {
    let healthy = Arc::new(AtomicBool::new(false));
    let seen = healthy.clone();
    let agent = move |ctx: JobContext| {
        let healthy = seen.clone();
        async move {
            let check = healthy.clone();
            ctx.health_check(30 * SECOND, move || {
                let well = check.load(Ordering::Relaxed);
                async move { if well { Ok(()) } else { Err("the model is unavailable") } }
            });
            if ctx.attempt() > 1 {
                healthy.store(true, Ordering::Relaxed);
                tokio::time::sleep(100 * SECOND).await;
                return Ok(());
            }
            std::future::pending().await
        }
    };
    let mut stage =
        Stage::new(agent, |builder| builder.retry(RetryPolicy::attempts(2).backoff(SECOND, SECOND)));
    let ended = stage.run().await;
    assert_eq!((text(&ended.outcome), ended.attempts), ("SUCCESS".to_owned(), 2));
    // 30 s until the check, up to 1 s of backoff, 100 s of work.
    assert!(ended.duration >= 130 * SECOND && ended.duration <= 132 * SECOND, "{:?}", ended.duration);
    stage.drain(Duration::ZERO).await;

    let mut stage = Stage::new(
        async |ctx: JobContext| {
            ctx.health_check(5 * SECOND, std::future::pending::<Result<(), std::io::Error>>);
            std::future::pending().await
        },
        |builder| builder.retry(RetryPolicy::never()),
    );
    let ended = stage.run().await;
    assert_eq!(text(&ended.outcome), "the health check failed: no answer within 5s");
    assert_eq!(ended.kind, Some(JobErrorKind::Retryable { after: Duration::ZERO }));
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_can_be_failed_from_anywhere_and_is_cleaned_up_after() {
    let cleaned = Arc::new(AtomicU32::new(0));
    let count = cleaned.clone();
    let agent = move |ctx: JobContext| {
        let count = count.clone();
        async move {
            ctx.on_cleanup(async move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            let inner = ctx.clone();
            ctx.spawn(async move { inner.fail("the disk is full") });
            std::future::pending().await
        }
    };
    let mut stage = Stage::new(agent, |builder| builder);
    assert_eq!(text(&stage.run().await.outcome), "the disk is full");
    assert_eq!(cleaned.load(Ordering::Relaxed), 1);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn each_participant_has_a_task_until_they_leave() {
    let agent = async |ctx: JobContext| {
        ctx.for_each_participant(ParticipantFilter::human(), async |ctx, person| {
            // Publishes a greeting, and a goodbye when it is cancelled.
            struct Bye(agent_worker::Room, String);
            impl Drop for Bye {
                fn drop(&mut self) {
                    let (room, text) = (self.0.clone(), format!("bye {}", self.1));
                    tokio::spawn(async move { room.publish_data("log", text).await });
                }
            }
            let _ = ctx.room().publish_data("log", format!("hello {}", person.identity)).await;
            assert_ne!(person.identity, "eve", "planted");
            let _bye = Bye(ctx.room().clone(), person.identity.clone());
            std::future::pending::<()>().await;
        });
        ctx.cancelled().await;
        Ok(())
    };
    let mut stage = Stage::new(agent, |builder| builder.end_when(EndWhen::Never));
    stage.dispatch("lobby").await;
    let room = stage.server.room("lobby");
    let ada = room.join("ada");
    room.wait_for_agent().await;
    room.wait_for_data(|sent| sent.text() == "hello ada").await;
    room.join("eve"); // its task panics, and no other ends
    let bob = room.join("bob");
    room.wait_for_data(|sent| sent.text() == "hello bob").await;
    ada.leave();
    room.wait_for_data(|sent| sent.text() == "bye ada").await;
    room.join("ada");
    tokio::time::sleep(SECOND).await;
    let log: Vec<String> = room.sent().iter().map(|sent| sent.text()).collect();
    assert_eq!(log.iter().filter(|line| *line == "hello ada").count(), 2, "{log:?}");
    assert!(!log.contains(&"bye bob".to_owned()), "{log:?}");
    drop(bob);
    room.delete();
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_job_of_a_room_is_declined_with_one_per_target() {
    let mut stage = Stage::new(stays, |builder| builder.one_per_target(true));
    stage.dispatch("lobby").await;
    stage.server.room("lobby").wait_for_agent().await;
    stage.dispatch("lobby").await;
    stage.dispatch("another").await;
    stage.server.room("another").wait_for_agent().await;
    let declined = |event: &&ServerEvent| matches!(event, ServerEvent::Answered { .. });
    assert!(stage.server.events().iter().filter(declined).count() >= 3, "{}", stage.server.timeline());
    assert_eq!(stage.worker.status().await.unwrap().slots.running, 2);
    stage.server.room("lobby").delete();
    stage.ended().await;
    let report = stage.drain(Duration::ZERO).await;
    assert_eq!((report.succeeded, report.failed), (1, 0));
    let _ = CancelReason::Drained;
}
