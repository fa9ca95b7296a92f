//! What a worker tells the `metrics` facade, on a mock server in the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

use agent_testkit::{JobSpec, MockServer};
use agent_worker::coordination::MemoryCoordinator;
use agent_worker::{Agent, Answer, Job, JobContext, JobError, JobResult, MemoryStore, RetryPolicy};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::BTreeMap;
use std::time::Duration;

/// Does what the name of the room says.
struct Obedient;

impl Agent for Obedient {
    async fn on_request(&self, job: &Job) -> Answer {
        match job.room.name.as_str() {
            "decline" => Answer::Decline,
            "dismiss" => Answer::Dismiss,
            _ => Answer::accept(),
        }
    }

    async fn run(&self, ctx: JobContext) -> JobResult {
        match ctx.job().room.name.as_str() {
            "fail" => Err(JobError::fatal("quota_exceeded")),
            "panic" => panic!("as told"),
            "again" if ctx.attempt() == 1 => Err(JobError::retryable("not yet", Duration::from_millis(1))),
            "leave a task" => {
                ctx.spawn(std::future::pending::<()>());
                Ok(())
            }
            "save" => Ok(ctx.checkpoint::<u32>().save(&7).await?),
            "lead" => {
                ctx.elect("seat").await?.lead().await?.release().await;
                Ok(())
            }
            "clean badly" => {
                ctx.on_cleanup(async { panic!("as told") });
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Name and labels but the agent's, and the value; of a histogram, how many values.
type Seen = BTreeMap<String, f64>;

fn seen(snapshotter: &metrics_util::debugging::Snapshotter) -> Seen {
    let mut seen = Seen::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels = key.key().labels().filter(|label| label.key() != "agent_name");
        let labels: String = labels.map(|label| format!(" {}={}", label.key(), label.value())).collect();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        seen.insert(format!("{}{labels}", key.key().name()), value);
    }
    seen
}

#[tokio::test]
async fn jobs_of_every_kind_are_counted_and_the_gauges_come_back() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);

    let server = MockServer::start().await.unwrap();
    let worker = server.worker(Obedient).agent_name("obedient").max_jobs(20).retry(RetryPolicy::attempts(2));
    let worker =
        worker.checkpoints(MemoryStore::new()).coordinator(MemoryCoordinator::new()).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    for room in ["a", "b", "fail", "panic", "again", "leave a task", "save", "lead", "clean badly", "dismiss"]
    {
        let job = server.dispatch(JobSpec::room(room).agent_name("obedient")).await.unwrap();
        job.outcome_within(Duration::from_secs(20)).await.unwrap();
    }
    let declined = server.dispatch(JobSpec::room("decline").agent_name("obedient")).await.unwrap();
    declined.outcome_within(Duration::from_secs(20)).await.unwrap_err();

    // Only what is shown now, so before the worker is gone.
    let now = seen(&snapshotter);
    assert_eq!(now.get("lk_agents_worker_registered"), Some(&1.0), "{now:#?}");
    assert_eq!(now.get("lk_agents_worker_max_jobs"), Some(&20.0));
    handle.drain(Duration::from_secs(5)).await;
    running.await.unwrap().unwrap();
    let after = seen(&snapshotter);
    for gauge in ["active_job_count", "worker_load", "worker_registered", "worker_draining"] {
        assert_eq!(after.get(&format!("lk_agents_{gauge}")), Some(&0.0), "{gauge} of {after:#?}");
    }

    let counted: Vec<String> = now
        .iter()
        .filter(|(name, _)| name.contains("_total") || name.contains("_seconds"))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(
        counted,
        [
            "lk_agents_checkpoint_saves_total result=saved 1",
            "lk_agents_cleanup_panics_total 1",
            "lk_agents_elections_won_total 1",
            "lk_agents_job_duration_seconds outcome=failed 2",
            "lk_agents_job_duration_seconds outcome=success 7",
            "lk_agents_job_failures_total kind=fatal reason=quota_exceeded 1",
            "lk_agents_job_failures_total kind=panicked reason=panicked 1",
            "lk_agents_job_retries_total 1",
            "lk_agents_jobs_total outcome=failed 2",
            "lk_agents_jobs_total outcome=success 7",
            "lk_agents_leftover_tasks_total 1",
            "lk_agents_request_answers_total answer=accept 9",
            "lk_agents_request_answers_total answer=decline 1",
            "lk_agents_request_answers_total answer=dismiss 1",
        ]
    );
    let stats = handle.stats();
    assert_eq!((stats.succeeded, stats.failed(), stats.retries), (7, 2, 1), "as the worker's own counts");
}

#[tokio::test]
async fn what_is_refused_without_the_handler_has_its_reason_and_a_full_worker_its_load() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);

    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let stays = move |ctx: JobContext| {
        let tell = tell.clone();
        async move {
            tell.send(())?;
            ctx.cancelled().await;
            JobResult::Ok(())
        }
    };
    let server = MockServer::start().await.unwrap();
    let worker = server.worker(stays).agent_name("stays").max_jobs(1).build().unwrap();
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(handle.registered().await);
    // Both are offered before the worker can say that it is full.
    let [first, second] = ["one", "two"].map(|room| server.dispatch(JobSpec::room(room).agent_name("stays")));
    let (first, second) = tokio::join!(first, second);
    tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap();
    second.unwrap().outcome_within(Duration::from_secs(20)).await.unwrap_err();
    let now = seen(&snapshotter);
    assert_eq!(now.get("lk_agents_active_job_count"), Some(&1.0), "{now:#?}");
    assert_eq!(now.get("lk_agents_worker_load"), Some(&1.0), "{now:#?}");
    let refused = now.iter().filter(|(name, _)| name.starts_with("lk_agents_refused_offers_total"));
    assert_eq!(refused.map(|(_, count)| *count).collect::<Vec<_>>(), [1.0], "{now:#?}");
    drop(first);
    handle.stop();
}
