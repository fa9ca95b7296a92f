//! The WebSocket of one room, from the connection to the close, as one thing to wait for.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, Stream, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::connector::BoxFuture;
use crate::{ConnectError, net::WebSocket};

/// How long the goodbye may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What happened on the WebSocket.
pub(super) enum Step {
    Opened,
    NotOpened(ConnectError),
    Received(Bytes),
    Closed(String),
}

/// The WebSocket of one room. Sending never waits: what cannot go out yet is kept until it can.
pub(super) enum Signal {
    Idle,
    Connecting(BoxFuture<'static, Result<WebSocket, ConnectError>>),
    Open { socket: Box<WebSocket>, waiting: VecDeque<Bytes>, unflushed: bool },
}

impl Signal {
    pub(super) fn send(&mut self, frame: Bytes) {
        if let Self::Open { waiting, .. } = self {
            waiting.push_back(frame);
        }
    }

    /// Waits for what happens next, and sends meanwhile. Never ready without a connection. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Step {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        match self {
            Self::Idle => Poll::Pending,
            Self::Connecting(connecting) => {
                let Poll::Ready(result) = connecting.as_mut().poll(cx) else { return Poll::Pending };
                match result {
                    Ok(socket) => {
                        let socket = Box::new(socket);
                        *self = Self::Open { socket, waiting: VecDeque::new(), unflushed: false };
                        Poll::Ready(Step::Opened)
                    }
                    Err(error) => {
                        *self = Self::Idle;
                        Poll::Ready(Step::NotOpened(error))
                    }
                }
            }
            Self::Open { socket, waiting, unflushed } => {
                let written = poll_write(socket, waiting, unflushed, cx);
                let step = match written {
                    Poll::Ready(Err(error)) => Step::Closed(error),
                    Poll::Ready(Ok(())) | Poll::Pending => match poll_read(socket, unflushed, cx) {
                        Poll::Ready(step) => step,
                        Poll::Pending => return Poll::Pending,
                    },
                };
                if matches!(step, Step::Closed(_)) {
                    *self = Self::Idle;
                }
                Poll::Ready(step)
            }
        }
    }

    /// Sends what waits, says goodbye and hears the server's, within a second.
    ///
    /// A socket that is closed with something unread in it resets the connection, and the server may then not read what we said
    /// last: that we leave.
    pub(super) async fn close(self) {
        let Self::Open { mut socket, mut waiting, .. } = self else { return };
        let goodbye = async {
            let mut unflushed = true;
            poll_fn(|cx| poll_write(&mut socket, &mut waiting, &mut unflushed, cx)).await?;
            socket.close(None).await.map_err(|error| error.to_string())?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<(), String>(())
        };
        // A server that is gone already is no trouble.
        let _ = tokio::time::timeout(CLOSE_LIMIT, goodbye).await;
    }
}

fn poll_write(
    socket: &mut WebSocket,
    waiting: &mut VecDeque<Bytes>,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), String>> {
    let mut socket = Pin::new(socket);
    while let Some(frame) = waiting.front() {
        match socket.as_mut().poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
            Poll::Pending => return Poll::Pending,
        }
        let frame = Message::Binary(frame.clone());
        waiting.pop_front();
        *unflushed = true;
        if let Err(error) = socket.as_mut().start_send(frame) {
            return Poll::Ready(Err(error.to_string()));
        }
    }
    if *unflushed {
        match socket.poll_flush(cx) {
            Poll::Ready(Ok(())) => *unflushed = false,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.to_string())),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(()))
}

fn poll_read(socket: &mut WebSocket, unflushed: &mut bool, cx: &mut Context<'_>) -> Poll<Step> {
    loop {
        let message = match Pin::new(&mut *socket).poll_next(cx) {
            Poll::Ready(message) => message,
            Poll::Pending => return Poll::Pending,
        };
        return Poll::Ready(match message {
            Some(Ok(Message::Binary(frame))) => Step::Received(frame),
            Some(Ok(Message::Close(Some(frame)))) => {
                Step::Closed(format!("closed by the server ({}) {}", u16::from(frame.code), frame.reason))
            }
            Some(Ok(Message::Close(None))) | None => Step::Closed("closed by the server".to_owned()),
            // A ping has queued its answer, which goes out now or with the next write.
            Some(Ok(_)) => {
                *unflushed = Pin::new(&mut *socket).poll_flush(cx).is_pending();
                continue;
            }
            Some(Err(error)) => Step::Closed(error.to_string()),
        });
    }
}
