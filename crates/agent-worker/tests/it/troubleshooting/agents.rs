//! Agents with one mistake each, and what is reported to the server.

use std::sync::Arc;

use agent_testkit::{JobSpec, MockServer, run_job};
use agent_worker::{Agent, Answer, Job, JobContext, JobResult, Outcome, WorkerBuilder};

use crate::support::guide_tables::{Line, steady};
use crate::support::steady_log::Log;

/// Answers each offer in one way.
pub(crate) struct Answers<F>(pub(crate) F);

impl<F: Fn() -> Answer + Send + Sync + 'static> Agent for Answers<F> {
    async fn on_request(&self, _: &Job) -> Answer {
        (self.0)()
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

/// The text with which a job is recorded as failed.
pub(crate) async fn failed(what: &'static str, agent: impl Agent, spec: JobSpec) -> Line {
    let run = run_job(agent, spec).await;
    let Outcome::Failed { error } = &run.outcome else { panic!("{what}: it succeeded\n{}", run.timeline) };
    (what, steady(error))
}

/// The log line of a declined offer, at this worker of a server without a network.
pub(crate) async fn declined(
    what: &'static str,
    agent: impl Agent,
    configure: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    line: &str,
) -> Line {
    let (log, _guard) = Log::keep();
    let server = MockServer::builder().start_in_process();
    let worker = configure(server.worker(agent).agent_name("tester")).build().unwrap();
    let running = tokio::spawn(worker.run());
    server.dispatch(JobSpec::room("lobby")).await.unwrap();
    let line = log.line(line).await;
    running.abort();
    (what, line)
}
