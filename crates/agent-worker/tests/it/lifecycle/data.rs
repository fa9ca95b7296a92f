//! Data that arrive between the end of an attempt and the streams of the next one, and before the handler
//! opens a stream: nothing is lost without a report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use agent_testkit::JobSpec;
use agent_worker::patterns::Pipeline;
use agent_worker::room::{DataReceived, Missed, RoomData};
use agent_worker::{JobContext, JobError, JobResult, Outcome, RetryPolicy, RoomEvent};

use super::stage::Stage;

const WAIT: Duration = Duration::from_secs(5);

fn twice() -> RetryPolicy {
    RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO)
}

/// Reads events until it is sent `fail` or `end`, and reports each message with the number of its attempt.
async fn read_events(ctx: JobContext, read: UnboundedSender<(u32, String)>) -> JobResult {
    let mut events = ctx.room().events();
    while let Some(event) = events.next().await {
        let text = match event {
            RoomEvent::DataReceived(data) => String::from_utf8_lossy(&data.payload).into_owned(),
            RoomEvent::Lagged { missed } => format!("missed {missed}"),
            _ => continue,
        };
        read.send((ctx.attempt(), text.clone()))?;
        match text.as_str() {
            "fail" => return Err(JobError::retryable("sent to fail", WAIT)),
            "end" => break,
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_the_next_attempt() {
    let (read, mut reads) = unbounded_channel();
    let agent = move |ctx: JobContext| read_events(ctx, read.clone());
    let mut stage = Stage::new(agent, |builder| builder.retry(twice()));
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada")).await;
    job.room().wait_for_agent().await;
    // `2` is on its way to the first attempt when that ends, `3` comes in the wait for the second one.
    for text in ["1", "fail", "2"] {
        job.room().send_data("t", text);
    }
    tokio::time::sleep(WAIT / 2).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.backing_off, 1);
    job.room().send_data("t", "3");
    tokio::time::sleep(WAIT).await;
    for text in ["4", "end"] {
        job.room().send_data("t", text);
    }
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    let mut all = Vec::new();
    while let Ok((attempt, text)) = reads.try_recv() {
        all.push(format!("{attempt}: {text}"));
    }
    assert_eq!(all, ["1: 1", "1: fail", "2: 2", "2: 3", "2: 4", "2: end"]);
    stage.drain(Duration::ZERO).await;
}

/// Reads data until it is sent `fail` or `end`, after a while and from two streams that open at different
/// times.
async fn read_data(ctx: JobContext, read: UnboundedSender<String>) -> JobResult {
    let attempt = ctx.attempt();
    tokio::time::sleep(WAIT / 5).await;
    let mut commands = ctx.room().data("command");
    tokio::time::sleep(WAIT / 5).await;
    let mut all = ctx.room().all_data();
    let next = async |stream: &str, from: &mut RoomData| -> Result<String, JobError> {
        let text = match from.next().await.ok_or("the room is over")? {
            Ok(message) => String::from_utf8_lossy(&message.payload).into_owned(),
            Err(missed) => missed.to_string(),
        };
        read.send(format!("{attempt} {stream}: {text}"))?;
        Ok(text)
    };
    loop {
        match next("command", &mut commands).await?.as_str() {
            "fail" => return Err(JobError::retryable("sent to fail", WAIT)),
            "end" => break,
            _ => {}
        }
    }
    while next("all", &mut all).await? != "end" {}
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn data_wait_for_streams_that_open_late_and_for_the_next_attempt() {
    let (read, mut reads) = unbounded_channel();
    let agent = move |ctx: JobContext| read_data(ctx, read.clone());
    let mut stage = Stage::new(agent, |builder| builder.retry(twice()));
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada")).await;
    job.room().wait_for_agent().await;
    // Before the handler listens, and while only one of its streams is open.
    job.room().send_data("command", "a");
    job.room().send_data("other", "b");
    tokio::time::sleep(WAIT / 5 * 3 / 2).await;
    job.room().send_data("other", "c");
    tokio::time::sleep(WAIT).await;
    job.room().send_data("command", "fail");
    job.room().send_data("command", "d");
    tokio::time::sleep(WAIT / 2).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.backing_off, 1);
    job.room().send_data("command", "e");
    job.room().send_data("other", "f");
    tokio::time::sleep(WAIT * 2).await;
    job.room().send_data("command", "end");
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    let mut all = Vec::new();
    while let Ok(text) = reads.try_recv() {
        all.push(text);
    }
    let expected = [
        "1 command: a",
        "1 command: fail",
        "2 command: d",
        "2 command: e",
        "2 command: end",
        // The stream of all topics was never read in the first attempt. What had come for `command` before
        // was with its own stream.
        "2 all: b",
        "2 all: c",
        "2 all: fail",
        "2 all: d",
        "2 all: e",
        "2 all: f",
        "2 all: end",
    ];
    assert_eq!(all, expected);
    stage.drain(Duration::ZERO).await;
}

/// A handler that never reads loses nothing; one that reads too late gets the number of lost messages.
#[tokio::test(start_paused = true)]
async fn more_than_waits_for_the_next_attempt_is_reported_in_its_place() {
    let (read, mut reads) = unbounded_channel();
    let agent = move |ctx: JobContext| read_events(ctx, read.clone());
    let mut stage = Stage::new(agent, |builder| builder.retry(twice()));
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada")).await;
    job.room().wait_for_agent().await;
    job.room().send_data("t", "fail");
    tokio::time::sleep(WAIT / 2).await;
    (0..1030).for_each(|n| job.room().send_data("t", n.to_string()));
    tokio::time::sleep(WAIT / 10).await;
    assert_eq!(stage.worker.stats().dropped_room_events, 0, "there is no reader");
    tokio::time::sleep(WAIT).await;
    job.room().send_data("t", "end");
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    let mut second = Vec::new();
    while let Ok((attempt, text)) = reads.try_recv() {
        if attempt == 2 {
            second.push(text);
        }
    }
    assert_eq!((second[0].as_str(), second[1].as_str(), second.len()), ("missed 6", "6", 1026));
    assert_eq!(stage.worker.stats().dropped_room_events, 6);
    stage.drain(Duration::ZERO).await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_is_too_slow_for_its_room_knows_what_it_missed_and_the_log_warns_once() {
    // With a single subscriber, `tracing` caches whether a line is enabled by the thread that reaches it
    // first: a test without a subscriber must not decide that for all.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    let _here = tracing::subscriber::set_default(subscriber.finish());
    let counts = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counting = Arc::clone(&counts);
    let agent = move |ctx: JobContext| {
        let counts = Arc::clone(&counting);
        async move {
            let store = async |line: Result<DataReceived, Missed>| {
                match line {
                    Ok(_) => counts.0.fetch_add(1, Ordering::Relaxed),
                    Err(missed) => counts.1.fetch_add(missed.count, Ordering::Relaxed),
                };
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            };
            Pipeline::new(ctx.room().data("line"), ctx.cancelled()).stage("store", store).run().await?;
            JobResult::Ok(())
        }
    };
    let mut stage = Stage::new(agent, |builder| builder);
    let job = stage.dispatch_with(JobSpec::room("room").participant("ada")).await;
    job.room().wait_for_agent().await;
    tokio::time::sleep(WAIT).await;
    for n in 0..5000_u32 {
        job.room().send_data("line", n.to_string());
        if n % 2000 == 0 {
            // In several bursts.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    tokio::time::sleep(WAIT).await;
    job.terminate();
    assert_eq!(stage.ended().await.outcome, Outcome::Success);
    let (stored, missed) = (counts.0.load(Ordering::Relaxed), counts.1.load(Ordering::Relaxed));
    assert_eq!(stored + missed, 5000);
    assert!(missed > 1000, "{missed}");
    assert_eq!(stage.worker.stats().dropped_room_events, missed);
    stage.drain(Duration::ZERO).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("room events were dropped")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("room=room") && lines[0].contains("job_id=AJ_"),
        "{lines:?}"
    );
}
