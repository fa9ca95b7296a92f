//! The network side of the mock server: HTTP, tokens, Twirp calls and workers' WebSockets, without rules of
//! its own.
//!
//! The rules are a [`Backend`]. [`serve`] takes any byte stream, so a worker may be on loopback or on an
//! in-memory pipe.

mod auth;
mod backend;
mod http;
#[cfg_attr(not(feature = "json"), path = "no_json.rs")]
mod json;
mod limits;
mod outbox;
mod response;
mod twirp;
mod upgrade;
mod worker_socket;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

pub(crate) use backend::{ApiFault, Backend, WorkerLink};
pub use backend::{JoinRefusal, ToWorker};

use limits::{HEADER_TIMEOUT, WriteLimit};
use upgrade::UpgradeSlot;

/// Serves one byte stream (TCP, or an in-memory `tokio::io::duplex`) until it ends; dropping the future cuts
/// it.
///
/// A worker's socket is also served here and not in a task of its own, so this future owns the whole
/// connection.
pub(crate) async fn serve<IO>(io: IO, backend: Arc<dyn Backend>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let upgrade = UpgradeSlot::default();
    let service =
        service_fn(async |request| Ok::<_, Infallible>(http::answer(request, &*backend, &upgrade).await));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(WriteLimit::new(io)), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "mock server: HTTP connection failed");
    }
    let Some(upgrade) = upgrade.take() else { return };
    match upgrade.await {
        Ok(io) => worker_socket::run(Box::new(TokioIo::new(io)), backend).await,
        Err(error) => debug!(%error, "mock server: WebSocket upgrade failed"),
    }
}
