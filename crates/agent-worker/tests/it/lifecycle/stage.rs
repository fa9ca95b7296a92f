//! One worker on a mock server of its own, and what it reports about its jobs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use agent_testkit::{JobSpec, MockJob, MockServer};
use agent_worker::stats::DrainReport;
use agent_worker::{
    Agent, Answer, EndedJob, Job, JobContext, JobResult, Outcome, Worker, WorkerBuilder, WorkerError,
    WorkerHandle,
};

/// On virtual time this is long enough for everything, and takes no time.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

pub(crate) struct Stage {
    pub(crate) server: MockServer,
    pub(crate) worker: WorkerHandle,
    running: JoinHandle<Result<DrainReport, WorkerError>>,
    ended: mpsc::UnboundedReceiver<EndedJob>,
}

impl Stage {
    /// A worker without retries, unless changed, and with rooms that stay.
    pub(crate) fn new<A: Agent>(agent: A, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Self {
        Self::on(MockServer::builder().room_timeouts(LONG, LONG).start_in_process(), agent, change)
    }

    /// The same on a given server.
    pub(crate) fn on<A: Agent>(
        server: MockServer,
        agent: A,
        change: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Self {
        let (sender, ended) = mpsc::unbounded_channel();
        let worker =
            worker(&server, WatchedAgent { agent: Arc::new(agent), sender }).agent_name("tester").seed(7);
        let worker = change(worker).build().expect("the settings can work");
        let handle = worker.handle();
        Self { server, worker: handle, running: tokio::spawn(worker.run()), ended }
    }

    pub(crate) async fn dispatch(&self, room: &str) -> MockJob {
        self.dispatch_with(JobSpec::room(room)).await
    }

    pub(crate) async fn dispatch_with(&self, spec: JobSpec) -> MockJob {
        self.server.dispatch(spec.agent_name("tester")).await.expect("there is a worker")
    }

    /// The next job that ends, as the worker reports it.
    pub(crate) async fn ended(&mut self) -> EndedJob {
        match tokio::time::timeout(LONG, self.ended.recv()).await {
            Ok(Some(ended)) => ended,
            _ => panic!("no job ended\n{}", self.server.timeline()),
        }
    }

    /// Dispatches a job and waits for its end.
    pub(crate) async fn run(&mut self) -> EndedJob {
        self.dispatch("room").await;
        self.ended().await
    }

    /// Drops the worker while its jobs run; returns the server.
    pub(crate) async fn dropped(self) -> MockServer {
        self.running.abort();
        assert!(self.running.await.is_err_and(|error| error.is_cancelled()));
        self.server
    }

    /// Waits for the worker to end by itself.
    pub(crate) async fn stopped(self) -> Result<DrainReport, WorkerError> {
        self.running.await.expect("no panic")
    }

    pub(crate) async fn drain(self, within: Duration) -> DrainReport {
        let report = self.worker.drain(within).await;
        self.running.await.expect("no panic").expect("it ends well");
        report
    }
}

/// A worker of this server.
pub(crate) fn worker<A: Agent>(server: &MockServer, agent: A) -> WorkerBuilder {
    let worker = Worker::builder(agent)
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .net(server.net_options())
        .connector(server.connector());
    super::prepare(worker)
}

/// The text of a failure, or `SUCCESS`.
pub(crate) fn text(outcome: &Outcome) -> String {
    outcome.error().unwrap_or("SUCCESS").to_owned()
}

/// An agent whose ended jobs are sent to the test.
struct WatchedAgent<A> {
    agent: Arc<A>,
    sender: mpsc::UnboundedSender<EndedJob>,
}

impl<A: Agent> Agent for WatchedAgent<A> {
    async fn on_request(&self, job: &Job) -> Answer {
        self.agent.on_request(job).await
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        Arc::clone(&self.agent).run(ctx).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        self.agent.on_ended(ended).await;
        let _ = self.sender.send(ended.clone());
    }
}
