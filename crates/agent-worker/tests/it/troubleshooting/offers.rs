//! Why a job is declined: its request handler did something that cannot be used, or there is no room for it.

use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{Agent, Answer, Job, JobContext, JobResult};

use super::agents::{Answers, declined};
use crate::support::guide_tables;
use crate::support::steady_log::Log;
use crate::support::within;

struct Hangs;

impl Agent for Hangs {
    async fn on_request(&self, _: &Job) -> Answer {
        std::future::pending().await
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

async fn stays(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn offers_that_are_declined() {
    let same = |builder| builder;
    let long = |len: usize| "x".repeat(len);
    let answer = |what, answer: Answer| declined(what, Answers(move || answer.clone()), same, "declined job");
    let mut lines = vec![
        answer("`Answer::accept().identity(\"\")`", Answer::accept().identity("")).await,
        answer("an identity of 257 bytes", Answer::accept().identity(long(257))).await,
        answer("metadata of 600,000 bytes", Answer::accept().metadata(long(600_000))).await,
        answer("attributes of 70,000 bytes", Answer::accept().attributes([("k", long(70_000))])).await,
        declined("`on_request` panics", Answers(|| panic!("no such voice")), same, "is declined").await,
        declined("`on_request` takes longer than the answer timeout", Hangs, same, "did not answer").await,
    ];

    let (log, _guard) = Log::keep();
    let server = MockServer::builder().start_in_process();
    let worker = server.worker(stays).agent_name("tester").max_jobs(1).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let job = server.dispatch(JobSpec::room("one")).await.unwrap();
    within(job.room().wait_for_agent()).await;
    lines.push(("`max_jobs` are running", log.line("at full capacity").await));
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
    guide_tables::check("offers", &lines);
}
