//! What a handler returns, and what is reported to the server.

use std::io;
use std::time::Duration;

use agent_testkit::{JobSpec, run_job};
use agent_worker::{JobContext, JobError, JobErrorKind, JobResult, Outcome};

async fn outcome<F>(handler: fn(JobContext) -> F, spec: JobSpec) -> Outcome
where
    F: Future<Output = JobResult> + Send + 'static,
{
    run_job(handler, spec).await.outcome
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.into() }
}

#[derive(Debug, thiserror::Error)]
#[error("the model did not load")]
struct NotLoaded(#[source] io::Error);

#[tokio::test]
async fn any_error_ends_the_job_with_its_text() {
    let spec = || JobSpec::room("r");
    assert_eq!(outcome(|_| async { Ok(()) }, spec()).await, Outcome::Success);
    assert_eq!(
        outcome(|_| async { Err(NotLoaded(io::ErrorKind::TimedOut.into()))? }, spec()).await,
        failed("the model did not load: timed out (after 3 attempts)")
    );
    assert_eq!(
        outcome(|_| async { Ok(anyhow::Context::context("x".parse::<u8>().map(drop), "no port")?) }, spec())
            .await,
        failed("no port: invalid digit found in string")
    );
    assert_eq!(outcome(|_| async { Err("no port".into()) }, spec()).await, failed("no port"));
    assert_eq!(
        outcome(|_| async { Err(JobError::fatal("quota_exceeded").with_source("5 of 5 used")) }, spec())
            .await,
        failed("quota_exceeded: 5 of 5 used")
    );
    assert_eq!(
        outcome(|_| async { Err(JobError::invalid("language", "xx", "not a language")) }, spec()).await,
        failed("invalid_input: language = xx: not a language")
    );
    assert_eq!(
        outcome(|_| async { panic!("out of {}", "memory") }, spec()).await,
        failed("panicked: out of memory")
    );
}

/// The cancel reason may be the error: each has its own text.
#[tokio::test]
async fn a_reason_to_stop_can_be_returned() {
    async fn stop(ctx: JobContext) -> JobResult {
        Err(ctx.cancelled().await.into())
    }
    let spec = || JobSpec::room("r");
    assert_eq!(outcome(stop, spec()).await, Outcome::Success, "the server terminated it");
    let limited = spec().worker(|builder| builder.job_timeout(Duration::from_secs(5)));
    assert_eq!(outcome(stop, limited).await, failed("job_timeout"));
    let kicked = spec().script(|room| async move {
        let agent = room.wait_for_agent().await;
        room.remove(&agent.identity);
    });
    assert_eq!(outcome(stop, kicked).await, failed("kicked"));
}

#[tokio::test]
async fn a_program_may_classify_errors_itself() {
    async fn stop(ctx: JobContext) -> JobResult {
        ctx.cancelled().await;
        // As a library does when its work is interrupted.
        Err(io::Error::other(NotLoaded(io::ErrorKind::Interrupted.into())))?
    }
    assert_eq!(
        outcome(stop, JobSpec::room("r")).await,
        failed("the model did not load: operation interrupted")
    );
    let interrupted = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<io::Error>()?.kind();
        (kind == io::ErrorKind::Interrupted).then_some(JobErrorKind::Cancelled)
    };
    let spec = JobSpec::room("r").worker(move |builder| builder.classify(interrupted));
    assert_eq!(outcome(stop, spec).await, Outcome::Success, "it counts as cancelled");
    let spec = JobSpec::room("r").worker(|builder| builder.classify(|_| panic!("no idea")));
    assert_eq!(outcome(stop, spec).await, failed("panicked: no idea"));
}

/// The classification, and so the user, decides which errors are retried.
#[tokio::test]
async fn the_kind_decides_about_another_attempt() {
    async fn times_out(ctx: JobContext) -> JobResult {
        ctx.room().publish_data("attempt", ctx.attempt().to_string()).await?;
        tokio::time::timeout(Duration::from_secs(1), std::future::pending::<()>()).await?;
        Ok(())
    }
    async fn invalid(ctx: JobContext) -> JobResult {
        ctx.room().publish_data("attempt", ctx.attempt().to_string()).await?;
        ctx.required_metadata::<u32>()?;
        Ok(())
    }
    async fn fails_from_outside(ctx: JobContext) -> JobResult {
        ctx.room().publish_data("attempt", ctx.attempt().to_string()).await?;
        let outside = ctx.clone();
        let elapsed = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
        elapsed.unwrap_or_else(|error| outside.fail(error));
        std::future::pending().await
    }
    let attempts = async |agent: &str, spec: JobSpec| {
        let run = match agent {
            "invalid" => run_job(invalid, spec).await,
            "from outside" => run_job(fails_from_outside, spec).await,
            _ => run_job(times_out, spec).await,
        };
        (run.sent.len(), run.outcome.to_string())
    };
    let rule = |error: &(dyn std::error::Error + 'static)| {
        let elapsed = error.is::<tokio::time::error::Elapsed>();
        elapsed.then_some(JobErrorKind::Fatal { reason: "too_slow".into() })
    };
    for agent in ["times out", "from outside"] {
        let retried = (3, "failed: deadline has elapsed (after 3 attempts)".to_owned());
        assert_eq!(attempts(agent, JobSpec::room("r")).await, retried, "{agent}");
        let ruled = JobSpec::room("r").worker(move |builder| builder.classify(rule));
        let fatal = (1, "failed: too_slow: deadline has elapsed".to_owned());
        assert_eq!(attempts(agent, ruled).await, fatal, "{agent}: the program's rule wins");
    }
    let text = "failed: invalid_input: $: there is none, and it is required";
    assert_eq!(attempts("invalid", JobSpec::room("r")).await, (1, text.into()));
}
