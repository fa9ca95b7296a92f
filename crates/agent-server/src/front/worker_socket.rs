//! A worker's WebSocket, from the upgrade to its end.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{copy, sink};
use tokio::select;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::debug;

use agent_net::{CloseReason, Message, Outgoing, Stream, WebSocket, WebSocketError};
use agent_proto::livekit as wire;
use agent_proto::{MAX_FRAME_LEN, decode_borrowed, encode, watch};

use super::limits::WRITE_TIMEOUT;
use super::outbox::Outbox;
use super::{Backend, ToWorker, WorkerLink, json};

/// The ping interval of the real server.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long a worker may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves a worker until its connection ends.
pub(super) async fn run(stream: Stream, backend: Arc<dyn Backend>) {
    let WorkerLink { id, outbox, frozen } = backend.worker_connected();
    // Dropped last, after the connection.
    let _gone = DisconnectGuard { backend: &*backend, worker: id };
    let socket = WebSocket::server(stream, MAX_FRAME_LEN);
    let peer = Peer { backend: &*backend, worker: id, json: false };
    while_thawed(frozen, peer.run(socket, Outbox::new(outbox))).await;
}

/// Runs `work`, but does not poll it while frozen, so that it neither reads nor writes.
async fn while_thawed(mut frozen: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    while turned(&mut frozen, false).await {
        select! {
            biased;
            can_thaw = turned(&mut frozen, true) => if !can_thaw { break },
            () = &mut work => return,
        }
    }
    // The sender is gone, so the state cannot change any more.
    work.await;
}

/// Waits for this value; false if the sender is gone.
async fn turned(frozen: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    frozen.wait_for(|frozen| *frozen == wanted).await.is_ok()
}

/// Reports the end of a connection to the backend exactly once, also after a panic or an abort.
struct DisconnectGuard<'a> {
    backend: &'a dyn Backend,
    worker: u64,
}

impl Drop for DisconnectGuard<'_> {
    fn drop(&mut self) {
        self.backend.worker_gone(self.worker);
    }
}

struct Peer<'a> {
    backend: &'a dyn Backend,
    worker: u64,
    /// Whether the worker used JSON last.
    json: bool,
}

enum End {
    /// Nothing can be sent any more: the connection is gone, or has to be cut.
    Silent,
    /// The worker closed, and our answer is queued.
    Closed,
    /// The backend closes the connection.
    Close(CloseReason),
    /// The worker violated the protocol, so nothing more can be read as frames.
    Breach(CloseReason),
    /// Nothing is sent or received any more, and the worker has to notice.
    HalfOpen,
}

/// An event of the socket.
enum Event {
    Read(Message),
    /// All pending frames were written.
    Written,
}

impl Peer<'_> {
    async fn run(mut self, mut socket: WebSocket, mut outbox: Outbox) {
        let end = self.until_the_end(&mut socket, &mut outbox).await;
        if let End::HalfOpen = end {
            // Reads bytes and not frames: reading frames would answer pings.
            let (mut stream, mut nowhere) = (socket.into_stream(), sink());
            select! {
                biased;
                _ = copy(&mut stream, &mut nowhere) => {}
                () = outbox.cut() => {}
            }
            return;
        }
        let closing = async {
            match end {
                End::Silent | End::HalfOpen => {}
                End::Closed => {
                    let _ = poll_fn(|cx| socket.poll_write(&mut VecDeque::new(), cx)).await;
                }
                End::Close(reason) => {
                    if send_close(&mut socket, &reason).await {
                        while let Ok(message) = poll_fn(|cx| socket.poll_read(cx)).await {
                            if let Message::Close(_) = message {
                                break;
                            }
                        }
                    }
                }
                End::Breach(reason) => {
                    // Keep reading, or the kernel answers incoming data with a reset, which discards the
                    // close frame.
                    if send_close(&mut socket, &reason).await {
                        let _ = copy(&mut socket.into_stream(), &mut sink()).await;
                    }
                }
            }
        };
        if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            debug!(worker = self.worker, "mock server: worker did not answer the close frame");
        }
    }

    /// Reads and writes concurrently: a worker that reads slowly can still send.
    async fn until_the_end(&mut self, socket: &mut WebSocket, outbox: &mut Outbox) -> End {
        let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = VecDeque::new();
        // The deadline of a pending write.
        let mut write_by: Option<Instant> = None;
        loop {
            let overdue = async {
                match write_by {
                    Some(by) => sleep_until(by).await,
                    None => pending().await,
                }
            };
            let idle = write_by.is_none();
            let message = select! {
                biased;
                order = outbox.next(), if idle => match order {
                    Some(ToWorker::Message { message, .. }) => self.frame(&message),
                    Some(ToWorker::Raw(bytes)) => Outgoing::Binary(bytes),
                    Some(ToWorker::Close { code, reason }) => return End::Close(CloseReason { code, text: reason }),
                    Some(ToWorker::HalfOpen) => return End::HalfOpen,
                    Some(ToWorker::Cut) | None => return End::Silent,
                },
                _ = ping.tick(), if idle => Outgoing::Ping,
                event = poll_fn(|cx| poll(socket, &mut waiting, !idle, cx)) => {
                    match event {
                        Ok(Event::Written) => write_by = None,
                        Ok(Event::Read(Message::Close(_))) => return End::Closed,
                        Ok(Event::Read(message)) => self.handle(&message),
                        Err(error) => return self.failed(&error),
                    }
                    continue;
                }
                () = overdue => {
                    debug!(worker = self.worker, "mock server: worker does not read");
                    return End::Silent;
                }
            };
            waiting.push_back(message);
            write_by = Some(Instant::now() + WRITE_TIMEOUT);
        }
    }

    fn handle(&mut self, message: &Message) {
        let message: Result<wire::WorkerMessage, String> = match message {
            Message::Binary(frame) => {
                self.json = false;
                decode_borrowed(frame, MAX_FRAME_LEN).map_err(|error| error.to_string())
            }
            Message::Text(text) => {
                self.json = true;
                json::from_json("WorkerMessage", &String::from_utf8_lossy(text))
                    .map_err(|error| error.to_string())
            }
            Message::Ping(_) | Message::Pong | Message::Part | Message::Close(_) => return,
        };
        match message {
            Ok(message) => self.backend.worker_message(self.worker, message),
            Err(what) => self.backend.worker_garbage(self.worker, what),
        }
    }

    fn failed(&self, error: &WebSocketError) -> End {
        match error {
            WebSocketError::Ended => End::Silent,
            WebSocketError::Io(error) => {
                debug!(worker = self.worker, %error, "mock server: worker connection failed");
                End::Silent
            }
            WebSocketError::Frame(error) => {
                self.backend.worker_garbage(self.worker, error.to_string());
                End::Breach(CloseReason { code: error.close_code(), text: error.to_string() })
            }
        }
    }

    fn frame(&self, message: &wire::ServerMessage) -> Outgoing {
        if self.json
            && let Ok(text) = json::to_json("ServerMessage", message)
        {
            return Outgoing::Text(text);
        }
        Outgoing::Binary(encode(message))
    }
}

/// Writes pending frames, and reads.
fn poll(
    socket: &mut WebSocket,
    waiting: &mut VecDeque<Outgoing>,
    busy: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Event, WebSocketError>> {
    match socket.poll_write(waiting, cx) {
        Poll::Ready(Ok(())) if busy => return Poll::Ready(Ok(Event::Written)),
        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => {}
    }
    socket.poll_read(cx).map_ok(Event::Read)
}

/// Sends a close frame; returns whether it was written.
async fn send_close(socket: &mut WebSocket, reason: &CloseReason) -> bool {
    socket.put_close(Some(reason)).is_ok()
        && poll_fn(|cx| socket.poll_write(&mut VecDeque::new(), cx)).await.is_ok()
}
