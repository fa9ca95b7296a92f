//! Connections of the HTTP server, and their limits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use agent_proto::error_text::chain;
use agent_proto::text::line;

use crate::http::routes::Routes;

/// Connections that are served at once. A further one ends the oldest, so that clients that only hold theirs
/// do not keep probes away.
const MAX_CONNECTIONS: usize = 32;
/// How long a request's head may take, counted from the response before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long a connection is kept, so that one whose client reads nothing ends, too.
const MAX_AGE: Duration = Duration::from_secs(30);
/// How long the last response of such a connection may take then.
const LAST_RESPONSE: Duration = Duration::from_secs(5);
/// The wait after a connection could not be accepted, mostly because there is no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves all connections until the future is dropped.
pub(super) async fn serve(listener: TcpListener, routes: Arc<Routes>) {
    let mut connections = JoinSet::new();
    let mut oldest_first = VecDeque::<AbortHandle>::new();
    let mut failing = false;
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => oldest_first.retain(|connection| !connection.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    if oldest_first.len() >= MAX_CONNECTIONS {
                        oldest_first.pop_front().iter().for_each(AbortHandle::abort);
                    }
                    let serving = serve_one(stream, peer.ip(), Arc::clone(&routes));
                    oldest_first.push_back(connections.spawn(serving));
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!("an HTTP connection could not be accepted: {}", line(chain(&error)));
                    }
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

async fn serve_one(stream: TcpStream, peer: IpAddr, routes: Arc<Routes>) {
    let service = service_fn(async |request| Ok::<_, Infallible>(routes.answer(&request, peer).await));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // Errors are those of the client, and of no interest to anybody else.
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        () = sleep(MAX_AGE) => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_RESPONSE, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!("an HTTP connection failed: {}", line(chain(&error)));
    }
}
