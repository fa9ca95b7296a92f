//! A worker's WebSocket, from the upgrade to its end.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_proto::{MAX_FRAME_LEN, decode, encode};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;

use super::limits::WRITE_WITHIN;
use super::outbox::Outbox;
use super::{Backend, ToWorker, WorkerLink, json};

/// How often the real server pings.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long a worker may take to answer a close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What a close frame has room for, in bytes.
const MAX_REASON_LEN: usize = 123;

/// Most messages are a few hundred bytes, and a test may have thousands of workers.
const READ_BUFFER_LEN: usize = 16 * 1024;

/// Serves a worker until its connection ends.
pub(super) async fn run<IO>(io: IO, backend: Arc<dyn Backend>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let WorkerLink { id, outbox, frozen } = backend.worker_connected();
    // Dropped last, when the connection is.
    let _gone = Gone { backend: &*backend, worker: id };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_LEN)
        .max_message_size(Some(MAX_FRAME_LEN))
        .max_frame_size(Some(MAX_FRAME_LEN));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let peer = Peer { backend: &*backend, worker: id, json: AtomicBool::new(false) };
    while_thawed(frozen, peer.talk(socket, Outbox::new(outbox))).await;
}

/// Does the work, and none of it while frozen: a future that is not polled reads and writes nothing.
async fn while_thawed(mut frozen: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    while turned(&mut frozen, false).await {
        select! {
            biased;
            can_thaw = turned(&mut frozen, true) => if !can_thaw { break },
            () = &mut work => return,
        }
    }
    // Nobody can freeze or thaw any more.
    work.await;
}

/// Waits for this value; false if none will come, as its sender is gone.
async fn turned(frozen: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    frozen.wait_for(|frozen| *frozen == wanted).await.is_ok()
}

/// However a connection ends, panics and aborts among the ways, the backend hears of it once.
struct Gone<'a> {
    backend: &'a dyn Backend,
    worker: u64,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.backend.worker_gone(self.worker);
    }
}

struct Peer<'a> {
    backend: &'a dyn Backend,
    worker: u64,
    /// Whether it spoke JSON last.
    json: AtomicBool,
}

enum End {
    /// Nothing is left to be said: it is gone, or to be cut.
    Silent,
    /// The backend closes.
    Close(CloseFrame),
    /// It broke the protocol, so nothing more can be read as frames.
    Breach(CloseFrame),
    /// Nothing gets through any more, and the worker has to find out.
    HalfOpen,
}

impl Peer<'_> {
    /// Reads and writes at the same time: a worker that is slow to read is still heard.
    async fn talk<IO>(&self, socket: WebSocketStream<IO>, mut outbox: Outbox)
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sink, mut stream) = socket.split();
        let end = select! {
            biased;
            end = self.write(&mut sink, &mut outbox) => end,
            end = self.read(&mut stream) => end,
        };
        if let End::HalfOpen = end {
            // Bytes, not frames: whoever reads frames answers pings.
            if let Ok(mut socket) = sink.reunite(stream) {
                let mut nowhere = tokio::io::sink();
                select! {
                    _ = tokio::io::copy(socket.get_mut(), &mut nowhere) => {}
                    () = outbox.cut() => {}
                }
            }
            return;
        }
        let closing = async {
            match end {
                End::Silent | End::HalfOpen => {}
                End::Close(frame) => {
                    if sink.send(Message::Close(Some(frame))).await.is_ok() {
                        while let Some(Ok(_)) = stream.next().await {}
                    }
                }
                End::Breach(frame) => {
                    // Read on, or the kernel answers what comes with a reset, which takes the close frame along.
                    if sink.send(Message::Close(Some(frame))).await.is_ok()
                        && let Ok(mut socket) = sink.reunite(stream)
                    {
                        let _ = tokio::io::copy(socket.get_mut(), &mut tokio::io::sink()).await;
                    }
                }
            }
        };
        if timeout(CLOSE_WITHIN, closing).await.is_err() {
            debug!(worker = self.worker, "mock server: a worker does not answer the close frame");
        }
    }

    async fn read<IO>(&self, stream: &mut SplitStream<WebSocketStream<IO>>) -> End
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(frame) = stream.next().await {
            let message: Result<wire::WorkerMessage, String> = match frame {
                Ok(Message::Binary(frame)) => {
                    self.json.store(false, Ordering::Relaxed);
                    decode(&frame, MAX_FRAME_LEN).map_err(|error| error.to_string())
                }
                Ok(Message::Text(text)) => {
                    self.json.store(true, Ordering::Relaxed);
                    json::from_json("WorkerMessage", &text).map_err(|error| error.to_string())
                }
                // The library answers pings and close frames.
                Ok(_) => continue,
                Err(error) => return self.failed(&error),
            };
            match message {
                Ok(message) => self.backend.worker_message(self.worker, message),
                Err(what) => self.backend.worker_garbage(self.worker, what),
            }
        }
        End::Silent
    }

    fn failed(&self, error: &Error) -> End {
        let code = match error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return End::Silent,
            Error::Protocol(_) => CloseCode::Protocol,
            _ => return End::Silent,
        };
        self.backend.worker_garbage(self.worker, error.to_string());
        End::Breach(close_frame(code, &error.to_string()))
    }

    async fn write<IO>(&self, sink: &mut SplitSink<WebSocketStream<IO>, Message>, outbox: &mut Outbox) -> End
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let frame = select! {
                biased;
                order = outbox.next() => match order {
                    Some(ToWorker::Message { message, .. }) => self.frame(&message),
                    Some(ToWorker::Raw(bytes)) => Message::Binary(bytes),
                    Some(ToWorker::Close { code, reason }) => {
                        return End::Close(close_frame(code.into(), &reason));
                    }
                    Some(ToWorker::HalfOpen) => return End::HalfOpen,
                    Some(ToWorker::Cut) | None => return End::Silent,
                },
                _ = ping.tick() => Message::Ping(Bytes::new()),
            };
            match timeout(WRITE_WITHIN, sink.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(Error::Io(error))) => {
                    debug!(worker = self.worker, %error, "mock server: a worker cannot be written to");
                    return End::Silent;
                }
                // It sent a close frame: the reader is about to answer that, and to end.
                Ok(Err(_)) => pending().await,
                Err(_) => {
                    debug!(worker = self.worker, "mock server: a worker reads nothing");
                    return End::Silent;
                }
            }
        }
    }

    fn frame(&self, message: &wire::ServerMessage) -> Message {
        if self.json.load(Ordering::Relaxed)
            && let Ok(text) = json::to_json("ServerMessage", message)
        {
            return Message::text(text);
        }
        Message::Binary(encode(message))
    }
}

fn close_frame(code: CloseCode, reason: &str) -> CloseFrame {
    let (reason, _) = reason.split_at(reason.floor_char_boundary(MAX_REASON_LEN));
    CloseFrame { code, reason: reason.into() }
}
