//! A worker on a mock server, with its HTTP server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinHandle;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::http::HttpServer;
use agent_worker::stats::DrainReport;
use agent_worker::{Agent, JobContext, JobResult, WorkerBuilder, WorkerError, WorkerHandle};

use super::http_reply::{Reply, get};
use super::within;

/// A running worker and its HTTP server.
pub(crate) struct Served {
    pub(crate) server: MockServer,
    pub(crate) worker: WorkerHandle,
    pub(crate) address: SocketAddr,
    running: JoinHandle<Result<DrainReport, WorkerError>>,
    serving: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.running.abort();
        self.serving.abort();
    }
}

impl Served {
    pub(crate) async fn start<A: Agent>(
        agent: A,
        change: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Self {
        let server = MockServer::start().await.unwrap();
        let worker = change(server.worker(agent).agent_name("greeter")).build().unwrap();
        let handle = worker.handle();
        let http = HttpServer::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = http.local_addr();
        let serving = tokio::spawn(http.serve([handle.clone()]));
        Self { server, worker: handle, address, running: tokio::spawn(worker.run()), serving }
    }

    pub(crate) async fn registered<A: Agent>(
        agent: A,
        change: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Self {
        let served = Self::start(agent, change).await;
        assert!(within(served.worker.registered()).await);
        served
    }

    pub(crate) async fn dispatch(&self, spec: JobSpec) {
        self.server.dispatch(spec.agent_name("greeter")).await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await
    }

    /// Status and text.
    pub(crate) async fn text(&self, path: &str) -> (u16, String) {
        let reply = self.get(path).await;
        (reply.status, reply.body)
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let reply = self.get(path).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/json")),
            "{reply:?}"
        );
        serde_json::from_str(&reply.body).unwrap()
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn wait_for(&self, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        within(async {
            loop {
                let reply = self.get(path).await;
                if wanted(&reply) {
                    return reply;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// The same for an answer in JSON.
    pub(crate) async fn wait_for_json(
        &self,
        path: &str,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let read = |reply: &Reply| serde_json::from_str(&reply.body).unwrap_or_default();
        read(&self.wait_for(path, |reply| wanted(&read(reply))).await)
    }

    /// Ends the HTTP server, and frees its port.
    pub(crate) async fn stop_serving(&mut self) {
        self.serving.abort();
        assert!(within(&mut self.serving).await.is_err(), "it serves until then");
    }

    /// Waits for the worker's end.
    pub(crate) async fn ended(&mut self) -> Result<DrainReport, WorkerError> {
        within(&mut self.running).await.unwrap()
    }
}

/// An agent that stays until its job is cancelled.
pub(crate) async fn patient(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}
