//! The serialized form of types that users log and store stays the same: feature `serde`.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use agent_testkit::{JobSpec, MockServer, run_job};
use agent_worker::job::Lifecycle;
use agent_worker::stats::{DrainReport, SlotCounts, WorkerStats, WorkerStatus};
use agent_worker::{
    Agent, CancelReason, EndedJob, FailedJob, JobContext, JobError, JobErrorKind, JobId, JobKind, JobResult,
    Outcome, RetryPolicy,
};

/// Fails after a second and a half.
#[derive(Clone, Default)]
struct Fails(Arc<OnceLock<EndedJob>>);

impl Agent for Fails {
    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Err(JobError::fatal("quota_exceeded").with_source("5 of 5 used"))
    }

    async fn on_ended(&self, ended: &EndedJob) {
        self.0.set(ended.clone()).unwrap();
    }
}

/// One failed job, as each callback of the program receives it.
async fn one_failed() -> (EndedJob, FailedJob) {
    let (agent, failed) = (Fails::default(), Arc::new(Mutex::new(None)));
    let (sink, spec) =
        (Arc::clone(&failed), JobSpec::room("lobby").job_id("AJ_1").metadata(r#"{"request_id":"r-1"}"#));
    let spec = spec.worker(move |worker| {
        worker.retry(RetryPolicy::never()).on_failure(move |failed| {
            let sink = Arc::clone(&sink);
            async move { *sink.lock().unwrap() = Some(failed) }
        })
    });
    run_job(agent.clone(), spec).await;
    let failed = failed.lock().unwrap().take();
    (agent.0.get().unwrap().clone(), failed.unwrap())
}

/// It is written as this, and read back from it.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, expected: &Value) {
    assert_eq!(&serde_json::to_value(value).unwrap(), expected);
    assert_eq!(&serde_json::from_value::<T>(expected.clone()).unwrap(), value);
}

#[tokio::test]
async fn a_job_and_its_end() {
    let (ended, failed) = one_failed().await;
    let job = serde_json::to_value(&ended.job).unwrap();
    let mut keys: Vec<&str> = job.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "agent_name",
            "attributes",
            "deployment",
            "dispatch_id",
            "enable_recording",
            "enable_redaction",
            "id",
            "kind",
            "raw_metadata",
            "request_id",
            "resuming",
            "room",
            "target"
        ]
    );
    assert_eq!(
        [&job["id"], &job["kind"], &job["room"]["name"], &job["request_id"], &job["target"]],
        [&json!("AJ_1"), &json!("room"), &json!("lobby"), &json!("r-1"), &Value::Null]
    );
    check(
        &ended,
        &json!({
            "job": job, "outcome": { "failed": { "error": "quota_exceeded: 5 of 5 used" } },
            "kind": { "fatal": { "reason": "quota_exceeded" } }, "attempts": 1, "duration": ended.duration.as_secs_f64(),
            "last_attempt": 1.5, "room_closed": false,
        }),
    );
    check(
        &failed,
        &json!({
            "job": job, "kind": { "fatal": { "reason": "quota_exceeded" } }, "error": "quota_exceeded: 5 of 5 used",
            "attempts": 1, "duration": ended.duration.as_secs_f64(), "last_attempt": 1.5,
        }),
    );
}

#[test]
fn words() {
    check(&Outcome::Success, &json!("success"));
    check(&JobId::new("AJ_1"), &json!("AJ_1"));
    for (kind, expected) in
        [(JobKind::Room, "room"), (JobKind::Publisher, "publisher"), (JobKind::Participant, "participant")]
    {
        check(&kind, &json!(expected));
    }
    for (state, expected) in [
        (Lifecycle::Created, "created"),
        (Lifecycle::Assigned, "assigned"),
        (Lifecycle::Running, "running"),
        (Lifecycle::Success, "success"),
        (Lifecycle::Failed, "failed"),
    ] {
        check(&state, &json!(expected));
    }
    for (reason, expected) in [
        (CancelReason::Deadline, json!("deadline")),
        (CancelReason::Drained, json!("drained")),
        (CancelReason::Shutdown("for lunch".to_owned()), json!({ "shutdown": "for lunch" })),
        (CancelReason::RoomClosed, json!("room_closed")),
        (CancelReason::Terminated, json!("terminated")),
        (CancelReason::Kicked, json!("kicked")),
        (CancelReason::Stopped, json!("stopped")),
        (CancelReason::TargetReplaced, json!("target_replaced")),
        (CancelReason::DuplicateIdentity, json!("duplicate_identity")),
        (CancelReason::RoomGone, json!("room_gone")),
    ] {
        check(&reason, &expected);
    }
    let [field, value, message] = ["$.a", "1", "expected a string"].map(str::to_owned);
    for (kind, expected) in [
        (JobErrorKind::Cancelled, json!("cancelled")),
        (JobErrorKind::Panicked, json!("panicked")),
        (JobErrorKind::TimedOut, json!("timed_out")),
        (
            JobErrorKind::Retryable { after: Duration::from_millis(2500) },
            json!({ "retryable": { "after": 2.5 } }),
        ),
        (
            JobErrorKind::Invalid { field, value, message },
            json!({ "invalid": { "field": "$.a", "value": "1", "message": "expected a string" } }),
        ),
    ] {
        check(&kind, &expected);
    }
}

#[tokio::test]
async fn a_worker() {
    check(
        &SlotCounts::default(),
        &json!({ "offered": 0, "accepted": 0, "running": 0, "backing_off": 0, "cleaning": 0, "stuck": 0 }),
    );
    check(&DrainReport::default(), &json!({ "succeeded": 0, "failed": 0, "stuck": 0, "unsent": 0 }));

    let server = MockServer::start().await.unwrap();
    let worker =
        server.worker(Fails::default()).agent_name("writer").retry(RetryPolicy::never()).build().unwrap();
    let handle = worker.handle();
    let runs = tokio::spawn(worker.run());
    assert!(handle.registered().await);
    let status: WorkerStatus = handle.status().await.unwrap();
    check(
        &status,
        &json!({ "registered": true, "draining": false, "quiet": false, "slots": SlotCounts::default() }),
    );
    let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
    assert!(!job.outcome().await.unwrap().is_success());
    let stats: WorkerStats = handle.stats();
    assert_eq!(
        serde_json::to_value(&stats).unwrap(),
        json!({
            "succeeded": 0, "failures": [{ "kind": "fatal", "reason": "quota_exceeded", "count": 1 }], "retries": 0, "stuck": 0,
            "leftover_tasks": 0, "stale": 0, "cleanup_overruns": 0, "stuck_cleanups": 0, "dropped_room_events": 0,
            "cleanup_panics": 0,
        })
    );
    handle.stop();
    runs.await.unwrap().unwrap();
}
