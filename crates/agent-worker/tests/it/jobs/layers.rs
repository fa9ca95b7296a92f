//! Agents in layers, on a mock server in the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{JobSpec, MockServer, ServerEvent, run_job};
use agent_worker::layers::{Layered, LimitBy, Measured, Timeout, Traced};
use agent_worker::{Agent, Answer, EndedJob, Job, JobContext, JobResult, Outcome, Router};

const MINUTE: Duration = Duration::from_secs(60);

async fn slow(_: JobContext) -> JobResult {
    tokio::time::sleep(MINUTE).await;
    Ok(())
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_dropped() {
    let run = run_job(slow.layer(Timeout::after(MINUTE / 2)), JobSpec::room("lobby")).await;
    assert_eq!(
        run.outcome,
        Outcome::Failed { error: "job_timeout: the handler took longer than 30s".into() }
    );
    run_job(slow.layer(Timeout::after(MINUTE * 2)), JobSpec::room("lobby")).await.assert_success();
}

/// Declines one room, counts the ends.
#[derive(Default)]
struct Choosy {
    ended: Arc<AtomicUsize>,
}

impl Agent for Choosy {
    async fn on_request(&self, job: &Job) -> Answer {
        if job.room.name == "refused" { Answer::Dismiss } else { Answer::accept().name("Choosy") }
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let name = ctx.room().local_participant().name.clone();
        ctx.room().publish_data("name", name).await?;
        Ok(())
    }

    async fn on_ended(&self, _: &EndedJob) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn every_layer_passes_on_other_calls() {
    let ended = Arc::new(AtomicUsize::new(0));
    let agent = Choosy { ended: ended.clone() }
        .layer(Timeout::after(MINUTE))
        .layer(LimitBy::all(1))
        .layer(Traced::named("choosy"));
    let run = run_job(agent, JobSpec::room("lobby")).await;
    run.assert_success();
    assert_eq!(run.sent.first().map(|sent| sent.text().to_owned()), Some("Choosy".to_owned()));
    assert_eq!(ended.load(Ordering::Relaxed), 1);
}

/// How many ran at once at most, by room.
type Most = Arc<Mutex<BTreeMap<String, (usize, usize)>>>;

fn counting(most: &Most) -> impl Agent {
    let most = Arc::clone(most);
    move |ctx: JobContext| {
        let most = Arc::clone(&most);
        async move {
            let room = ctx.job().room.name.clone();
            let count = |step: fn(&mut (usize, usize))| {
                step(most.lock().expect("no panic").entry(room.clone()).or_default());
            };
            count(|(now, most)| (*now, *most) = (*now + 1, (*most).max(*now + 1)));
            tokio::time::sleep(Duration::from_millis(20)).await;
            count(|(now, _)| *now -= 1);
            Ok(())
        }
    }
}

#[tokio::test]
async fn jobs_of_one_room_take_turns_and_those_of_others_do_not_wait() {
    let server = MockServer::builder().start_in_process();
    let most = Most::default();
    let worker =
        server.worker(counting(&most).layer(LimitBy::room(2))).agent_name("a").build().expect("settings");
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(handle.registered().await);
    let mut jobs = Vec::new();
    for n in 0..12 {
        let spec = JobSpec::room(format!("room-{}", n % 2)).agent_name("a");
        jobs.push(server.dispatch(spec).await.expect("dispatched"));
    }
    for job in jobs {
        assert_eq!(job.outcome().await.expect("an outcome"), Outcome::Success);
    }
    let most = most.lock().expect("no panic").clone();
    assert_eq!(most, BTreeMap::from([("room-0".to_owned(), (0, 2)), ("room-1".to_owned(), (0, 2))]));
    handle.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_limit_may_be_none() {
    let most = Most::default();
    run_job(counting(&most).layer(LimitBy::all(usize::MAX)), JobSpec::room("lobby")).await.assert_success();
}

#[tokio::test]
async fn a_job_that_waits_for_its_turn_can_be_cancelled() {
    let server = MockServer::builder().start_in_process();
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    let agent = move |ctx: JobContext| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            ctx.cancelled().await;
            Ok(())
        }
    };
    let worker = server.worker(agent.layer(LimitBy::all(1))).agent_name("a").build().expect("settings");
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(handle.registered().await);
    let spec = || JobSpec::room("lobby").agent_name("a");
    let first = server.dispatch(spec()).await.expect("dispatched");
    let second = server.dispatch(spec()).await.expect("dispatched");
    let report = {
        // Both hold a slot before the drain.
        while handle.status().await.expect("it runs").slots.running < 2 {
            tokio::task::yield_now().await;
        }
        handle.drain(Duration::ZERO).await
    };
    assert_eq!((report.succeeded, report.failed, called.load(Ordering::Relaxed)), (1, 1, 1));
    let mut ends = Vec::new();
    for job in [first, second] {
        ends.push(job.outcome().await.expect("an outcome").to_string());
    }
    ends.sort();
    assert_eq!(ends, ["failed: aborted: drained while waiting for its turn", "success"]);
}

/// A job that the inner agent refuses is not joined, with any layers around it.
#[tokio::test]
async fn every_layer_passes_on_the_error_of_an_invalid_job() {
    let router = || Router::new().action("record", slow);
    for agent in [
        Router::new().otherwise(router().layer(Timeout::after(MINUTE))),
        Router::new().otherwise(router().layer(LimitBy::all(1))),
        Router::new().otherwise(router().layer(Traced::named("router"))),
    ] {
        let run = run_job(agent, JobSpec::room("lobby").metadata(r#"{"action":"dance"}"#)).await;
        let error = r#"invalid_input: $.action = "dance": unknown action; known: record"#;
        assert_eq!(run.outcome, Outcome::Failed { error: error.into() });
        let joined = |event: &ServerEvent| matches!(event, ServerEvent::Joined { agent: true, .. });
        assert!(!run.timeline.events().iter().any(|(_, event)| joined(event)), "{}", run.timeline);
    }
}

#[tokio::test]
async fn calls_are_measured_by_how_they_end() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("the only one of this program");
    let agent = |ctx: JobContext| async move {
        tokio::time::sleep(MINUTE).await;
        match ctx.job().raw_metadata.as_str() {
            "fail" => Err(agent_worker::JobError::fatal("planted")),
            "panic" => panic!("planted"),
            _ => Ok(()),
        }
    };
    for metadata in ["", "fail", "panic", ""] {
        run_job(agent.layer(Measured::named("timed")), JobSpec::room("lobby").metadata(metadata)).await;
    }
    let mut shown = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        if !key.key().name().starts_with("lk_agents_handler") {
            continue; // the worker's own
        }
        let labels: Vec<_> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            metrics_util::debugging::DebugValue::Histogram(times) => {
                format!("{:?}", times.iter().map(|seconds| seconds.round()).collect::<Vec<_>>())
            }
            metrics_util::debugging::DebugValue::Gauge(value) => value.to_string(),
            metrics_util::debugging::DebugValue::Counter(_) => continue,
        };
        shown.push(format!("{} {} {value}", key.key().name(), labels.join(" ")));
    }
    shown.sort();
    assert_eq!(
        shown,
        [
            "lk_agents_handler_seconds handler=timed result=dropped [60.0]",
            "lk_agents_handler_seconds handler=timed result=fatal [60.0]",
            "lk_agents_handler_seconds handler=timed result=ok [60.0, 60.0]",
            "lk_agents_handlers_running handler=timed 0",
        ]
    );
}
