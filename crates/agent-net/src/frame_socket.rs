//! One WebSocket of binary frames, from the connection to the close, as one thing to wait for.
//!
//! It needs no task of its own: whoever waits in [`FrameSocket::next`] also writes what waits to be written, so a peer that does
//! not read stops neither timers nor other work.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use agent_proto::BoxFuture;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    ConnectError, WebSocket,
    frames::Message,
    websocket::{Outgoing, WebSocketError},
};

/// Frames that may wait to be written; a peer that lets more pile up is not reading.
const MAX_WAITING: usize = 100_000;
/// What is heard before the next write, at most, however much there is: the answers leave together.
const TOGETHER: usize = 64;
/// How long the goodbye may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What happened on the WebSocket.
pub enum SocketEvent {
    /// It is open.
    Opened,
    /// It could not be opened.
    NotOpened(ConnectError),
    /// A binary message.
    Received(Bytes),
    /// A text message, which no server sends unasked.
    ReceivedText,
    /// A ping or a pong: the peer lives.
    Heard,
    /// It is gone, for this reason.
    Closed(String),
}

/// A WebSocket that is not there yet, open, or gone. Sending never waits: what cannot go out yet is kept until it can.
pub struct FrameSocket {
    state: State,
    /// Frames taken by `send`, and those that have left since.
    queued: u64,
    written: watch::Sender<u64>,
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
    heard: usize,
}

impl FrameSocket {
    /// A socket on which nothing ever happens.
    pub fn idle() -> Self {
        Self { state: State::Idle, queued: 0, written: watch::Sender::new(0) }
    }

    /// A socket that `opening` opens, once someone waits for it.
    pub fn connect(opening: impl Future<Output = Result<WebSocket, ConnectError>> + Send + 'static) -> Self {
        Self { state: State::Connecting(Box::pin(opening)), ..Self::idle() }
    }

    /// Takes a frame to be written; without a connection it is dropped.
    pub fn send(&mut self, frame: Bytes) {
        if let State::Open(open) = &mut self.state {
            open.waiting.push_back(Outgoing::Binary(frame));
            self.queued += 1;
        }
    }

    /// Waits for what happens next, and writes meanwhile. Never ready without a connection. Dropping the future loses nothing.
    pub async fn next(&mut self) -> SocketEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Done when everything that was sent up to now has left, or never will.
    pub fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mark, mut written) = (self.queued, self.written.subscribe());
        async move {
            // An error says that the socket is gone.
            let _ = written.wait_for(|written| *written >= mark).await;
        }
    }

    /// Writes what waits, says goodbye and hears the peer's, within two seconds.
    ///
    /// A socket that is closed with something unread in it resets the connection, and the peer may then not read what we said
    /// last: how a job ended, or that we leave.
    pub async fn close(self) {
        let State::Open(mut open) = self.state else { return };
        let goodbye = async {
            poll_fn(|cx| open.poll_write(cx)).await?;
            self.written.send_replace(self.queued);
            open.socket.put_close(None)?;
            poll_fn(|cx| open.poll_write(cx)).await?;
            // Until the peer has ended the connection.
            while poll_fn(|cx| open.socket.poll_read(cx)).await.is_ok() {}
            Ok::<(), WebSocketError>(())
        };
        // A peer that is gone already is no trouble.
        let _ = tokio::time::timeout(CLOSE_LIMIT, goodbye).await;
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let event = match &mut self.state {
            State::Idle => return Poll::Pending,
            State::Connecting(opening) => match ready!(opening.as_mut().poll(cx)) {
                Ok(socket) => {
                    let open = Open { socket, waiting: VecDeque::new(), heard: 0 };
                    self.state = State::Open(Box::new(open));
                    return Poll::Ready(SocketEvent::Opened);
                }
                Err(error) => SocketEvent::NotOpened(error),
            },
            State::Open(open) => ready!(open.poll_event(cx, self.queued, &self.written)),
        };
        if matches!(event, SocketEvent::Closed(_) | SocketEvent::NotOpened(_)) {
            // Whoever waits for what was sent learns with the sender's end that it never will be.
            *self = Self::idle();
        }
        Poll::Ready(event)
    }
}

impl Open {
    /// Hears first and writes when there is nothing to hear, so that the answers to what came together leave together.
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        queued: u64,
        written: &watch::Sender<u64>,
    ) -> Poll<SocketEvent> {
        let enough = self.heard >= TOGETHER;
        if !enough && let Poll::Ready(event) = self.poll_read(cx) {
            self.heard += 1;
            return Poll::Ready(event);
        }
        self.heard = 0;
        match self.poll_write(cx) {
            Poll::Ready(Err(error)) => return Poll::Ready(SocketEvent::Closed(error.to_string())),
            Poll::Pending if self.waiting.len() > MAX_WAITING => {
                let reason = "the server does not read what we send";
                return Poll::Ready(SocketEvent::Closed(reason.to_owned()));
            }
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                if *written.borrow() < queued {
                    written.send_replace(queued);
                }
            }
        }
        // Each read begins by clearing its buffer: one is enough.
        if enough { self.poll_read(cx) } else { Poll::Pending }
    }

    /// Ready when all that waited has left. Frames that wait together are flushed together.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.socket.poll_write(&mut self.waiting, cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let event = match ready!(self.socket.poll_read(cx)) {
            Ok(Message::Binary(frame)) => SocketEvent::Received(frame),
            Ok(Message::Text(_)) => SocketEvent::ReceivedText,
            // The answer to a ping goes out with the next write.
            Ok(Message::Ping(_) | Message::Pong | Message::Part) => SocketEvent::Heard,
            Ok(Message::Close(reason)) => {
                // Our answer leaves if it can at once: nothing is waited for any more.
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

    /// A server whose kernel takes little, so that most of what is sent waits on our side.
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
    async fn what_was_sent_before_the_close_arrives_at_a_server_that_talks_meanwhile() {
        let listener = narrow_listener();
        let serving = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut peer = tokio_tungstenite::accept_async(tcp).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            let mut frames = 0;
            // Slow to read, and never silent: there is always something that the other side has not read yet.
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
            for _ in 0..TOGETHER * 4 {
                peer.send(Message::Binary(Bytes::from_static(b"on and on"))).await.unwrap();
            }
            peer
        };
        let (mut peer, mut socket) = tokio::join!(serving, open(&listener));
        // Less than there is to hear. The first ones may have come with the handshake, and the next ones be waited for.
        for heard in 1..TOGETHER * 3 {
            assert!(matches!(socket.next().await, SocketEvent::Received(_)));
            if heard == TOGETHER {
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
        assert_eq!(reason, "the server does not read what we send");
        flushed.await;
    }
}
