//! Health, status and jobs of running workers over HTTP.
//!
//! With the feature `cli`, `start` and `dev` serve it; this is for programs without that:
//!
//! ```no_run
//! # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
//! # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::Ipv6Addr;
//!
//! use agent_worker::Worker;
//! use agent_worker::http::HttpServer;
//!
//! let worker = Worker::builder(agent).from_env().build()?;
//! let http = HttpServer::bind((Ipv6Addr::UNSPECIFIED, 8081)).await?;
//! tokio::spawn(http.serve([worker.handle()]));
//! worker.run_until_signal().await?;
//! # Ok(()) }
//! ```
//!
//! | `GET` | answer |
//! |---|---|
//! | `/healthz` | 200 `OK` while the worker can run jobs without a restart, also during a lost connection and a drain; else 503 and the reason: it has stopped, its task does not answer within 2 s, or attempts that cannot be aborted hold every slot |
//! | `/readyz` | 200 `OK` while the server dispatches to it, also if it is full; else 503 and the reason |
//! | `/` | as the official workers: 200 `OK` while it is registered with the server, else 503 |
//! | `/worker` | JSON: what the official workers report, and slots, load, outcomes, whether it drains. Of several workers, one that has stopped is listed with `live: false` until all have |
//! | `/status` | a page for people, which shows the same, as it changes |
//! | `/jobs` | JSON: jobs that hold a slot, with state, age, attempts and last error. `?limit=` (1,000 unless set, at most 10,000) and `?offset=` choose a part of the list; `?filter=` leaves jobs with this text in id, room, participant, state or last error, in any case (`matching` is their number); `?sort=` is by `id` (unless set), `room`, `state`, `age_seconds`, `attempts` or `last_error`, and `&order=desc` reverses it |
//! | `/metrics` | the metrics of the process as text for Prometheus, if they are [set](HttpServer::metrics), as `start` and `dev` do; else 404 |
//!
//! | `POST` | what it does |
//! |---|---|
//! | `/quiet` | as [`WorkerHandle::quiet`](crate::WorkerHandle::quiet), to all workers of the program |
//! | `/undrain` | as [`WorkerHandle::undrain`](crate::WorkerHandle::undrain) |
//! | `/jobs/ID/terminate` | cancels a job, as [`WorkerHandle::cancel_job`](crate::WorkerHandle::cancel_job) |
//!
//! The answer says what was done: 200 with `/worker`'s JSON, or 202 for a job; 404 if there is no such job,
//! 409 if the worker drains. Only a program on the same machine that uses a name or address of loopback may
//! do so (no page of another site, nothing through a proxy), or one that has the
//! [`admin_token`](HttpServer::admin_token); others get 403 or 401.
//!
//! A probe for restarts is `/healthz`: because of `/`, a supervisor would end running jobs while the server
//! is unavailable.
//!
//! Whoever can reach the port sees the names of rooms and participants, and the error texts that
//! [`redact_errors`](crate::WorkerBuilder::redact_errors) leaves: keep it within your network. Metadata and
//! secrets are not shown.
//!
//! At most 32 connections are served at once, for up to 30 s each; a further one ends the oldest. A request
//! has 10 s and 16 KiB for its head.

mod admin;
mod ask;
mod connection;
mod page;
mod query;
pub(crate) mod report;
mod response;
mod routes;
mod selection;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use agent_proto::Secret;

use crate::worker::handle::WorkerHandle;
use admin::Admin;
use routes::{Render, Routes};

/// An HTTP server for the health and status of workers: see the [module](self).
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    metrics: Option<Render>,
    admin: Admin,
}

impl HttpServer {
    /// Listens on this address; with port 0 on a free one.
    ///
    /// # Errors
    /// Why it cannot listen there: [`io::ErrorKind::AddrInUse`] if another program does.
    pub async fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind(address.into()).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, metrics: None, admin: Admin::default() })
    }

    /// The address on which it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves at `/metrics` what this function returns: text for Prometheus, such as that of
    /// `metrics_exporter_prometheus::PrometheusHandle::render`.
    #[must_use]
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// Also takes `POST` requests from other machines, if they have this token (`Authorization: Bearer …`).
    /// Use a long random text, and TLS in front of the port.
    #[must_use]
    pub fn admin_token(mut self, token: impl Into<Secret>) -> Self {
        self.admin.token = Some(token.into());
        self
    }

    /// Serves until the future is dropped, also after the workers have stopped. It is healthy while all of
    /// them are.
    pub fn serve(self, workers: impl IntoIterator<Item = WorkerHandle>) -> impl Future<Output = ()> + Send {
        let routes = Arc::new(Routes::new(workers, self.metrics, self.admin));
        connection::serve(self.listener, routes)
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("address", &self.address).finish_non_exhaustive()
    }
}
