//! Several attempts of one job in one room, cleanups in it, and attempts that cannot be aborted.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use agent_testkit::JobEndStatus;
use agent_worker::room::ParticipantFilter;
use agent_worker::{JobContext, JobError, Outcome, RetryPolicy, RoomEvent, WorkerBuilder};

use super::{Report, Reports, SOON, Stage, text};

/// One job, one agent in the room, several attempts: the event stream of each replays the present
/// participants.
#[tokio::test]
async fn a_flaky_handler_stays_in_its_room() {
    let handler = |ctx: JobContext, _: Reports| async move {
        let mut events = ctx.room().events();
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::ParticipantJoined(who) => seen.push(who.identity.clone()),
                // Bob may become known a moment after his message.
                RoomEvent::DataReceived(data)
                    if data.topic == "continue" && u32::try_from(seen.len()) == Ok(ctx.attempt()) =>
                {
                    break;
                }
                _ => {}
            }
        }
        seen.sort();
        let report = format!("attempt {}: {}", ctx.attempt(), seen.join(" "));
        ctx.room().publish_data("seen", report).await?;
        match ctx.attempt() {
            1 => Err(JobError::retryable("asked to fail", Duration::from_secs(1))),
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
        let report = async {
            // Only a message that arrives when the attempt knows of everybody counts: it is sent until it is
            // received.
            let mut again = tokio::time::interval(Duration::from_millis(200));
            loop {
                tokio::select! {
                    _ = again.tick() => ada.publish_data("continue", "").to([agent.clone()]).await.expect("sent"),
                    event = events.next() => match event.expect("the room stays") {
                        RoomEvent::DataReceived(data) if data.topic == "seen" => return data.payload,
                        RoomEvent::ParticipantLeft { participant, .. } => panic!("{} left", participant.identity),
                        _ => {}
                    }
                }
            }
        };
        let report = tokio::time::timeout(SOON, report).await.expect("in time");
        assert_eq!(report, expected);
        if expected.starts_with("attempt 1") {
            let bob = stage.join("flaky", "bob").await;
            stage.guests.push(bob);
            assert!(matches!(stage.next("flaky").await, Report::CleanedUp(true)));
            assert_eq!(stage.called("flaky").await, agent, "the same agent");
        }
    }
    let (_, in_room, ended) = stage.rest("flaky").await;
    assert_eq!((ended.outcome, ended.attempts, in_room), (Outcome::Success, 2, true));
    assert_eq!(stage.recorded("flaky").await.status, JobEndStatus::Success);
    stage.stop().await;
}

/// Messages that an attempt has not read, and messages sent before the next one begins, are queued for the
/// next one.
#[tokio::test]
async fn data_wait_for_the_next_attempt() {
    let handler = |ctx: JobContext, _: Reports| async move {
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
        let report = format!("attempt {}: {}, {among_events}", ctx.attempt(), read.join(" "));
        ctx.room().publish_data("seen", report).await?;
        match ctx.attempt() {
            1 => Err(JobError::retryable("asked to fail", Duration::from_secs(2))),
            _ => Ok(()),
        }
    };
    let policy = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let Some(mut stage) = Stage::new(handler, |builder| builder.retry(policy)).await else { return };
    let ada = stage.join("worker", "ada").await;
    let mut report = ada.data("seen");
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
    assert!(matches!(stage.next("worker").await, Report::CleanedUp(true)));
    send(&["3"]).await;
    assert_eq!(stage.called("worker").await, agent, "the same agent");
    send(&["4", "end"]).await;
    // All six are events that no stream has delivered: the stream of the first attempt was not read.
    for expected in ["attempt 1: 1 fail, 0", "attempt 2: 2 3 4 end, 6"] {
        let next = tokio::time::timeout(SOON, report.next()).await.expect("in time");
        assert_eq!(next.expect("the room stays").expect("nothing is missing").payload, expected);
    }
    let (_, _, ended) = stage.rest("worker").await;
    assert_eq!((ended.outcome, ended.attempts), (Outcome::Success, 2));
    stage.stop().await;
}

/// Each attempt's cleanup can still publish in the room, before the outcome is reported.
#[tokio::test]
async fn a_cleanup_publishes_a_goodbye_in_the_room() {
    let handler = |ctx: JobContext, _: Reports| async move {
        ctx.on_cleanup(async |ctx| {
            tokio::time::sleep(Duration::from_millis(300)).await;
            ctx.room().publish_data("status", "goodbye").await.expect("still in the room");
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
    let handler = move |_: JobContext, _: Reports| {
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
