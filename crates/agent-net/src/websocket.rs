//! An open WebSocket, after its handshake: messages over a stream of bytes. It logs nothing, as its messages
//! contain secrets.

use std::array;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::addresses::Unproven;
use crate::frames::{CloseReason, Decoder, FrameError, Message, Opcode, Role, encode};
use crate::stream::Stream;

/// Size of one read, in bytes. Signalling messages are small, and there may be thousands of connections.
const READ_BUFFER: usize = 8 * 1024;
/// Frames are collected up to this size, in bytes, and then written; later ones stay queued.
const WRITE_BUFFER: usize = 64 * 1024;
/// Maximum number of message parts that are read in one poll.
const MAX_PARTS: usize = 1000;
/// Maximum length of a close reason, in bytes: a control frame less the code.
const MAX_REASON: usize = 123;
/// Capacity of the write buffer that an idle connection keeps, in bytes.
const KEPT: usize = 4 * 1024;

/// An open WebSocket.
pub struct WebSocket {
    role: Role,
    stream: Stream,
    decoder: Decoder,
    read: BytesMut,
    write: BytesMut,
    masks: Masks,
    /// The answer to the last ping. Only to the last one: a peer that sends pings and reads nothing must not
    /// fill the memory.
    pong: Option<Bytes>,
    unflushed: bool,
    /// A close frame was queued or sent.
    closing: bool,
    /// Until the first message.
    unproven: Option<Unproven>,
}

/// A message to send.
pub enum Outgoing {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(String),
    /// A ping without a payload.
    Ping,
}

/// Why a WebSocket ended.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The stream ended.
    #[error("the connection ended without a closing handshake")]
    Ended,
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// A received frame is invalid.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Shows nothing of the contents.
impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

impl WebSocket {
    /// The client end of this stream, of which a part was read already.
    pub(super) fn client(stream: Stream, already_read: &[u8], max_message_size: usize) -> Self {
        Self::new(Role::Client, stream, already_read, max_message_size)
    }

    /// The server end of this stream, after the upgrade was granted.
    #[must_use]
    pub fn server(stream: Stream, max_message_size: usize) -> Self {
        Self::new(Role::Server, stream, &[], max_message_size)
    }

    fn new(role: Role, stream: Stream, already_read: &[u8], max_message_size: usize) -> Self {
        let from = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        Self {
            role,
            stream,
            decoder: Decoder::new(from, max_message_size),
            read: BytesMut::from(already_read),
            write: BytesMut::new(),
            masks: Masks::default(),
            pong: None,
            unflushed: false,
            closing: false,
            unproven: None,
        }
    }

    /// Records that the address failed unless a message with contents arrives, as a server sends one of its
    /// own accord or as the answer to the first.
    pub(super) fn watch(&mut self, mut unproven: Unproven) {
        unproven.asked();
        self.unproven = Some(unproven);
    }

    /// Polls for the next message. After an error or a close there are no more.
    ///
    /// # Errors
    /// [`WebSocketError`]: nothing more can be read.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, WebSocketError>> {
        // Parts are skipped here, but only up to a limit, so that other tasks get their turn.
        let mut parts = 0;
        loop {
            if let Some(message) = self.decoder.decode(&mut self.read)? {
                if matches!(message, Message::Part | Message::Binary(_) | Message::Text(_))
                    && let Some(unproven) = self.unproven.take()
                {
                    unproven.answered();
                }
                match &message {
                    Message::Part if parts < MAX_PARTS => {
                        parts += 1;
                        continue;
                    }
                    Message::Ping(payload) => self.pong = Some(payload.clone()),
                    Message::Close(reason) => {
                        let code = reason.as_ref().map(|reason| reason.code.to_be_bytes());
                        self.close_with(code.as_ref().map_or(&[], |code| &code[..]))?;
                    }
                    _ => {}
                }
                return Poll::Ready(Ok(message));
            }
            if self.read.is_empty() && self.read.capacity() > READ_BUFFER {
                // The buffer of a large message is not kept.
                self.read = BytesMut::new();
            }
            self.read.reserve(READ_BUFFER);
            let read = pin!(self.stream.read_buf(&mut self.read)).poll(cx);
            if ready!(read)? == 0 {
                return Poll::Ready(Err(WebSocketError::Ended));
            }
        }
    }

    /// Writes the answer to a ping and the pending frames. Ready when everything was written.
    ///
    /// # Errors
    /// [`WebSocketError`]: nothing more can be written.
    pub fn poll_write(
        &mut self,
        waiting: &mut VecDeque<Outgoing>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WebSocketError>> {
        loop {
            while self.write.len() < WRITE_BUFFER {
                if let Some(payload) = self.pong.take() {
                    self.put(Opcode::Pong, &payload)?;
                } else if let Some(message) = waiting.pop_front() {
                    match message {
                        Outgoing::Binary(payload) => self.put(Opcode::Binary, &payload)?,
                        Outgoing::Text(text) => self.put(Opcode::Text, text.as_bytes())?,
                        Outgoing::Ping => self.put(Opcode::Ping, &[])?,
                    }
                } else {
                    break;
                }
            }
            if self.write.is_empty() {
                break;
            }
            self.unflushed = true;
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.write))?;
            if written == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.write.advance(written);
        }
        if self.write.capacity() > KEPT {
            self.write = BytesMut::new();
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Queues a close frame behind the frames written before; a reason that is too long is cut.
    ///
    /// # Errors
    /// [`WebSocketError::Io`]
    pub fn put_close(&mut self, reason: Option<&CloseReason>) -> Result<(), WebSocketError> {
        let payload = reason.map(|CloseReason { code, text }| {
            let text = &text[..text.floor_char_boundary(MAX_REASON)];
            [&code.to_be_bytes()[..], text.as_bytes()].concat()
        });
        self.close_with(payload.as_deref().unwrap_or_default())
    }

    /// Returns the underlying stream; what is read and written there is no longer a message.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Sends one close frame only: the answer to a close frame is not answered.
    fn close_with(&mut self, payload: &[u8]) -> Result<(), WebSocketError> {
        if self.closing {
            return Ok(());
        }
        self.closing = true;
        self.put(Opcode::Close, payload)
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), WebSocketError> {
        let mask = match self.role {
            Role::Server => None,
            Role::Client => Some(self.masks.next()?),
        };
        encode(opcode, payload, mask, &mut self.write);
        Ok(())
    }
}

/// The random masks of a client's frames, taken from the system a few at a time: one call for each frame
/// costs a twentieth of a short job.
#[derive(Default)]
struct Masks(array::IntoIter<[u8; 4], 16>);

impl Masks {
    fn next(&mut self) -> Result<[u8; 4], io::Error> {
        loop {
            if let Some(mask) = self.0.next() {
                return Ok(mask);
            }
            let mut masks = [[0; 4]; 16];
            getrandom::fill(masks.as_flattened_mut())?;
            self.0 = masks.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mask_is_used_twice() {
        let mut masks = Masks::default();
        let used: std::collections::HashSet<_> = (0..64).map(|_| masks.next().unwrap()).collect();
        // Of 64 random numbers of 32 bits, two are equal once in two million runs.
        assert!(used.len() >= 63, "{used:?}");
    }
}
