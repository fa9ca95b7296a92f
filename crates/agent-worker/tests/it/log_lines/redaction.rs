//! Error texts that a program redacts are not sent to the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::Level;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::layers::{Layered, Traced};
use agent_worker::{EndedJob, JobContext, JobError, JobResult, Outcome, RetryPolicy};

use crate::support::captured_log::CapturedLog;

const CUSTOMER: &str = "+49 30 901820";

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Task {
    action: String,
}

async fn call(ctx: JobContext) -> JobResult {
    let Task { action } = ctx.metadata()?;
    ctx.on_cleanup(async |_| panic!("the line to {CUSTOMER} is open"));
    let careless = ctx.spawn(async { panic!("no task for {CUSTOMER}") });
    assert!(careless.await.is_err());
    match action.as_str() {
        "retry" => Err(JobError::retryable(format!("{CUSTOMER} is busy"), Duration::from_secs(1))),
        "panic" => panic!("no answer from {CUSTOMER}"),
        _ => Err(format!("no answer from {CUSTOMER}").into()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_and_the_log_see_the_redacted_text_and_the_failure_hook_the_original() {
    let log = CapturedLog::start(Level::TRACE);
    let failures = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&failures);
    let server = MockServer::builder().start_in_process();
    let worker = server
        .worker(call.layer(Traced::named("call")))
        .agent_name("caller")
        .retry(RetryPolicy::attempts(2))
        .redact_errors(|text| text.replace(|c: char| c.is_ascii_digit(), "#"))
        .on_failure(move |failed| {
            seen.lock().unwrap().push(failed.error);
            async {}
        })
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let mut lines = Vec::new();
    for action in ["fail", "retry", "panic"] {
        let metadata = format!(r#"{{"action":"{action}"}}"#);
        let job =
            server.dispatch(JobSpec::room("room").agent_name("caller").metadata(metadata)).await.unwrap();
        lines.push(job.outcome().await.unwrap());
    }
    let wrong = format!(r#"{{"action":["{CUSTOMER}"]}}"#);
    let job = server.dispatch(JobSpec::room("room").agent_name("caller").metadata(wrong)).await.unwrap();
    lines.push(job.outcome().await.unwrap());
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
    let redacted = [
        "no answer from +## ## ######",
        "+## ## ###### is busy (after 2 attempts)",
        "panicked: no answer from +## ## ######",
        r###"invalid_input: $.action = ["+## ## ######"]: expected a string"###,
    ];
    assert_eq!(lines, redacted.map(|error| Outcome::Failed { error: error.to_owned() }));
    let originals = redacted.map(|error| error.replace("+## ## ######", CUSTOMER));
    assert_eq!(*failures.lock().unwrap(), originals);
    // The metadata is the job's, not an error.
    let lines = log.text();
    let leaked: Vec<&str> =
        lines.lines().filter(|line| line.contains("901820") && !line.contains("raw_metadata")).collect();
    assert!(leaked.is_empty(), "{}", leaked.join("\n"));
    assert!(lines.contains("handler failed: no answer from +## ## ######"), "{lines}");
}

async fn fails(_: JobContext) -> JobResult {
    Err(CUSTOMER.into())
}

struct KeepsOutcome(Arc<Mutex<Option<EndedJob>>>);

impl agent_worker::Agent for KeepsOutcome {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        fails(ctx).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        *self.0.lock().unwrap() = Some(ended.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_shows_nothing() {
    let log = CapturedLog::start(Level::TRACE);
    let server = MockServer::builder().start_in_process();
    let ended = Arc::default();
    let worker = server
        .worker(KeepsOutcome(Arc::clone(&ended)))
        .agent_name("caller")
        .redact_errors(|_| panic!("planted"))
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let job = server.dispatch(JobSpec::room("room").agent_name("caller")).await.unwrap();
    let error = "[redacted: the function of `redact_errors` panicked]".to_owned();
    assert_eq!(job.outcome().await.unwrap(), Outcome::Failed { error });
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
    assert_eq!(ended.lock().unwrap().as_ref().map(|ended| ended.outcome.is_success()), Some(false));
    assert!(!log.text().contains("901820"), "{}", log.text());
}
