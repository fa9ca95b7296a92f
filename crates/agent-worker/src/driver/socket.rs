//! The worker's WebSocket: being opened, open, or closed.
//!
//! Reading happens in the driver's `select!`, writing in a task of its own, so that a server that does not read stops neither
//! timers nor handlers. What waits to be written is counted and bounded.

use crate::net::{self, NetOptions, WebSocket};
use crate::secret::Secret;
use agent_core::{ConnectError, Input};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

/// Frames that may wait to be written; a server that lets more pile up is not reading.
const MAX_WAITING: u64 = 100_000;
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Socket {
    state: State,
    /// The writer of the last connection: it may still be flushing after a close.
    written: Option<watch::Receiver<u64>>,
    queued: u64,
}

enum State {
    Closed,
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket, net::ConnectError>> + Send>>),
    Open {
        reader: SplitStream<WebSocket>,
        writer: mpsc::UnboundedSender<Bytes>,
    },
    /// Broken on our side; the next `next` says so.
    Broken(&'static str),
}

impl Socket {
    pub(super) const fn closed() -> Self {
        Self { state: State::Closed, written: None, queued: 0 }
    }

    pub(super) fn connect(url: Url, token: Result<Secret, net::TokenError>, options: NetOptions) -> Self {
        let opening = async move { net::connect_websocket(&url, Some(&token?), &options).await };
        Self { state: State::Connecting(opening.boxed()), written: None, queued: 0 }
    }

    /// The next thing that happens to this connection; pending when there is none.
    pub(super) async fn next(&mut self) -> Input {
        match &mut self.state {
            State::Closed => std::future::pending().await,
            State::Broken(reason) => {
                let reason = (*reason).to_owned();
                self.state = State::Closed;
                Input::Disconnected { reason }
            }
            State::Connecting(opening) => match opening.await {
                Ok(socket) => {
                    self.open(socket);
                    Input::Connected
                }
                Err(error) => {
                    self.state = State::Closed;
                    let message = with_sources(&error);
                    Input::ConnectFailed(match error.status() {
                        Some(status) => ConnectError::Refused { status, message },
                        None => ConnectError::Failed { message },
                    })
                }
            },
            State::Open { reader, .. } => {
                let input = match reader.next().await {
                    Some(Ok(Message::Binary(frame))) => return Input::FrameReceived(frame),
                    Some(Ok(Message::Text(_))) => return Input::TextReceived,
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Input::Heard,
                    Some(Ok(Message::Close(frame))) => {
                        let reason = frame.map_or_else(
                            || "the server closed the connection".to_owned(),
                            |f| {
                                format!(
                                    "the server closed the connection: {} {}",
                                    u16::from(f.code),
                                    f.reason
                                )
                            },
                        );
                        Input::Disconnected { reason }
                    }
                    Some(Err(error)) => Input::Disconnected { reason: error.to_string() },
                    None => Input::Disconnected { reason: "the connection ended".to_owned() },
                };
                self.state = State::Closed;
                input
            }
        }
    }

    pub(super) fn send(&mut self, frame: Bytes) {
        let State::Open { writer, .. } = &self.state else { return };
        let written = self.written.as_ref().map_or(0, |written| *written.borrow());
        if self.queued - written.min(self.queued) > MAX_WAITING {
            self.state = State::Broken("the server does not read what we send");
        } else if writer.send(frame).is_ok() {
            self.queued += 1;
        }
    }

    /// Closes the connection; what was sent before still goes out.
    pub(super) fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Done when everything that was sent up to now has left, or never will.
    pub(super) fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mark, written) = (self.queued, self.written.clone());
        async move {
            if let Some(mut written) = written {
                let _ = written.wait_for(|written| *written >= mark).await;
            }
        }
    }

    fn open(&mut self, socket: WebSocket) {
        let (sink, reader) = socket.split();
        let (writer, frames) = mpsc::unbounded_channel();
        let (progress, written) = watch::channel(0);
        tokio::spawn(write(sink, frames, progress));
        self.written = Some(written);
        self.queued = 0;
        self.state = State::Open { reader, writer };
    }
}

/// The text of an error and of those behind it.
fn with_sources(error: &net::ConnectError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text
}

/// Writes until the sender is gone, then closes. Frames that wait together are flushed together.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
    progress: watch::Sender<u64>,
) {
    let mut batch = Vec::new();
    let mut written = 0;
    while frames.recv_many(&mut batch, 256).await > 0 {
        let count = batch.len() as u64;
        for frame in batch.drain(..) {
            if sink.feed(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
        written += count;
        progress.send_replace(written);
    }
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, sink.close()).await;
}
