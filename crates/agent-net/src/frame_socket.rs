//! One WebSocket of binary frames, from the connection to the close, as a single future to await.
//!
//! It needs no task of its own: [`FrameSocket::next`] also writes pending frames, so a peer that does not
//! read stops neither timers nor other work.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use agent_proto::BoxFuture;

use crate::frames::Message;
use crate::websocket::{Outgoing, WebSocketError};
use crate::{ConnectError, WebSocket};

/// Maximum number of pending frames; a peer that lets more pile up is not reading.
const MAX_WAITING: usize = 100_000;
/// Maximum number of events between two writes, so that the answers to a burst leave together.
const MAX_READS_PER_WRITE: usize = 64;
/// Timeout of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An event of the WebSocket.
pub enum SocketEvent {
    /// The connection is open.
    Opened,
    /// The connection could not be opened.
    NotOpened(ConnectError),
    /// A binary message.
    Received(Bytes),
    /// A text message; servers do not send any.
    ReceivedText,
    /// A ping, a pong or a part of a message: the peer is alive.
    KeepAlive,
    /// The connection ended, for this reason.
    Closed(String),
}

/// A WebSocket that is idle, connecting or open. Sending never waits: frames that cannot be written yet are
/// queued.
pub struct FrameSocket {
    state: State,
    frames: FrameCounts,
}

/// Numbers of frames.
#[derive(Default)]
struct FrameCounts {
    /// Frames that `send` accepted.
    queued: u64,
    written: u64,
    /// The same for callers of [`FrameSocket::flushed`]: updated only while there are any.
    observed: watch::Sender<u64>,
}

impl FrameCounts {
    fn all_written(&mut self) {
        self.written = self.queued;
        if self.observed.receiver_count() > 0 {
            self.observed.send_replace(self.written);
        }
    }
}

enum State {
    Idle,
    Connecting(BoxFuture<'static, Result<WebSocket, ConnectError>>),
    Open(Box<Open>),
}

struct Open {
    socket: WebSocket,
    waiting: VecDeque<Outgoing>,
    /// Events since the last write.
    reads: usize,
}

impl FrameSocket {
    /// A socket without a connection, which has no events.
    pub fn idle() -> Self {
        Self { state: State::Idle, frames: FrameCounts::default() }
    }

    /// A socket whose connection `opening` makes once [`next`](Self::next) is awaited.
    pub fn connect(opening: impl Future<Output = Result<WebSocket, ConnectError>> + Send + 'static) -> Self {
        Self { state: State::Connecting(Box::pin(opening)), ..Self::idle() }
    }

    /// Queues a frame; without a connection it is dropped.
    pub fn send(&mut self, frame: Bytes) {
        if let State::Open(open) = &mut self.state {
            open.waiting.push_back(Outgoing::Binary(frame));
            self.frames.queued += 1;
        }
    }

    /// Waits for the next event, and writes pending frames meanwhile. Pending forever without a connection.
    /// Cancel-safe.
    pub async fn next(&mut self) -> SocketEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Completes when every frame sent up to now was written, or never will be.
    pub fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let FrameCounts { queued: mark, written, ref observed } = self.frames;
        let mut observed = (written < mark).then(|| observed.subscribe());
        async move {
            let Some(observed) = &mut observed else { return };
            // An error means that the connection is gone.
            let _ = observed.wait_for(|written| *written >= mark).await;
        }
    }

    /// Writes pending frames and performs the closing handshake, within two seconds.
    ///
    /// Closing a socket with unread data resets the connection, and the peer may then not read the last
    /// messages: how a job ended, or that we leave.
    pub async fn close(self) {
        let Self { state: State::Open(mut open), mut frames } = self else { return };
        let closing = async {
            poll_fn(|cx| open.poll_write(cx)).await?;
            frames.all_written();
            open.socket.put_close(None)?;
            poll_fn(|cx| open.poll_write(cx)).await?;
            // The peer ends the connection.
            while poll_fn(|cx| open.socket.poll_read(cx)).await.is_ok() {}
            Ok::<(), WebSocketError>(())
        };
        // A peer that is gone already is not an error.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let event = match &mut self.state {
            State::Idle => return Poll::Pending,
            State::Connecting(opening) => match ready!(opening.as_mut().poll(cx)) {
                Ok(socket) => {
                    let open = Open { socket, waiting: VecDeque::new(), reads: 0 };
                    self.state = State::Open(Box::new(open));
                    return Poll::Ready(SocketEvent::Opened);
                }
                Err(error) => SocketEvent::NotOpened(error),
            },
            State::Open(open) => ready!(open.poll_event(cx, &mut self.frames)),
        };
        if matches!(event, SocketEvent::Closed(_) | SocketEvent::NotOpened(_)) {
            // Dropping the sender ends the futures of `flushed`.
            *self = Self::idle();
        }
        Poll::Ready(event)
    }
}

impl Open {
    /// Reads first and writes when nothing is left to read, so that the answers to a burst leave together.
    fn poll_event(&mut self, cx: &mut Context<'_>, frames: &mut FrameCounts) -> Poll<SocketEvent> {
        let enough = self.reads >= MAX_READS_PER_WRITE;
        if !enough && let Poll::Ready(event) = self.poll_read(cx) {
            self.reads += 1;
            return Poll::Ready(event);
        }
        self.reads = 0;
        match self.poll_write(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(SocketEvent::Closed(error.to_string())),
            Poll::Pending if self.waiting.len() > MAX_WAITING => {
                let reason = "the server does not read the frames sent to it";
                return Poll::Ready(SocketEvent::Closed(reason.to_owned()));
            }
            Poll::Pending => {}
            Poll::Ready(Ok(())) => frames.all_written(),
        }
        // Each read clears its buffer first: one is enough.
        if enough { self.poll_read(cx) } else { Poll::Pending }
    }

    /// Ready when all pending frames are written. They are flushed together.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.socket.poll_write(&mut self.waiting, cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let event = match ready!(self.socket.poll_read(cx)) {
            Ok(Message::Binary(frame)) => SocketEvent::Received(frame),
            Ok(Message::Text(_)) => SocketEvent::ReceivedText,
            // The answer to a ping goes out with the next write.
            Ok(Message::Ping(_) | Message::Pong | Message::Part) => SocketEvent::KeepAlive,
            Ok(Message::Close(reason)) => {
                // Written only if that is possible at once: nothing is awaited after a close.
                let _ = self.poll_write(cx);
                SocketEvent::Closed(reason.map_or_else(
                    || "the server closed the connection".to_owned(),
                    |reason| format!("the server closed the connection: {} {}", reason.code, reason.text),
                ))
            }
            Err(error) => SocketEvent::Closed(error.to_string()),
        };
        Poll::Ready(event)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio_tungstenite::tungstenite::Message;
    use url::Url;

    use super::*;
    use crate::{NetOptions, connect_websocket};

    /// A listener with a small receive buffer, so that most of what is sent waits on our side.
    fn narrow_listener() -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1).unwrap()
    }

    async fn open(listener: &TcpListener) -> FrameSocket {
        let url = Url::parse(&format!("ws://{}/agent", listener.local_addr().unwrap())).unwrap();
        let mut socket =
            FrameSocket::connect(async move { connect_websocket(&url, None, &NetOptions::default()).await });
        assert!(matches!(socket.next().await, SocketEvent::Opened));
        socket
    }

    #[tokio::test]
    async fn frames_before_the_close_arrive_at_a_server_that_sends_meanwhile() {
        let listener = narrow_listener();
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut peer = tokio_tungstenite::accept_async(tcp).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            let mut frames = 0;
            // Reads slowly and never stops sending, so the client always has unread data.
            loop {
                ticks.tick().await;
                let _ = peer.send(Message::Ping(Bytes::new())).await;
                match peer.next().await {
                    Some(Ok(Message::Binary(_))) => frames += 1,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return frames,
                }
            }
        };
        let sending = async {
            let mut socket = open(&listener).await;
            (0..200).for_each(|_| socket.send(Bytes::from(vec![1; 2000])));
            let flushed = socket.flushed();
            socket.close().await;
            flushed.await;
        };
        let (frames, ()) = tokio::join!(serving, sending);
        assert_eq!(frames, 200);
    }

    #[tokio::test]
    async fn a_server_that_never_stops_talking_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut peer = tokio_tungstenite::accept_async(tcp).await.unwrap();
            for _ in 0..MAX_READS_PER_WRITE * 4 {
                peer.send(Message::Binary(Bytes::from_static(b"on and on"))).await.unwrap();
            }
            peer
        };
        let (mut peer, mut socket) = tokio::join!(serving, open(&listener));
        // Fewer than the peer sent. The first frames may have come with the handshake, and the next may still
        // be under way.
        for heard in 1..MAX_READS_PER_WRITE * 3 {
            assert!(matches!(socket.next().await, SocketEvent::Received(_)));
            if heard == MAX_READS_PER_WRITE {
                socket.send(Bytes::from_static(b"the answer"));
            }
        }
        let answer = tokio::time::timeout(Duration::from_secs(10), peer.next()).await.expect("no answer");
        assert_eq!(answer.unwrap().unwrap().into_data(), b"the answer"[..]);
    }

    #[tokio::test]
    async fn a_server_that_reads_nothing_is_noticed_and_ends_the_wait_for_it() {
        let listener = narrow_listener();
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(tcp).await.unwrap()
        };
        let (_peer, mut socket) = tokio::join!(serving, open(&listener));
        (0..MAX_WAITING * 2).for_each(|_| socket.send(Bytes::from_static(&[1; 512])));
        let flushed = socket.flushed();
        let SocketEvent::Closed(reason) = socket.next().await else { panic!("something else happened") };
        assert_eq!(reason, "the server does not read the frames sent to it");
        flushed.await;
    }
}
