//! An open WebSocket, after its handshake: messages over a stream of bytes. It logs nothing, as what it carries is secret.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::frames::{Decoder, FrameError, Message, Opcode, encode};
use crate::stream::Stream;

/// What is read at once, in bytes. Signalling messages are small and there may be thousands of connections.
const READ_BUFFER: usize = 8 * 1024;
/// Frames are put together up to this size, in bytes, and then written; what cannot leave yet waits as it is.
const WRITE_BUFFER: usize = 64 * 1024;
/// Parts of a message that are read at once, at most.
const MAX_PARTS: usize = 1000;
/// What an idle connection keeps of its write buffer, in bytes.
const KEPT: usize = 4 * 1024;

/// An open WebSocket.
pub struct WebSocket {
    stream: Stream,
    decoder: Decoder,
    read: BytesMut,
    write: BytesMut,
    /// The answer to the last ping. Only to the last one: a peer that sends pings and reads nothing must not fill our memory.
    pong: Option<Bytes>,
    unflushed: bool,
}

/// Why a WebSocket is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebSocketError {
    #[error("the connection ended without a closing handshake")]
    Ended,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Nothing of what it carries.
impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

impl WebSocket {
    /// One over this stream, of which a part was read already.
    pub(super) fn new(stream: Stream, already_read: &[u8], max_message_size: usize) -> Self {
        Self {
            stream,
            decoder: Decoder::new(max_message_size),
            read: BytesMut::from(already_read),
            write: BytesMut::new(),
            pong: None,
            unflushed: false,
        }
    }

    /// The next message. After an error or a close nothing else comes.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, WebSocketError>> {
        // Parts are passed over here, and not without end: others are to have their turn.
        let mut parts = 0;
        loop {
            if let Some(message) = self.decoder.decode(&mut self.read)? {
                match &message {
                    Message::Part if parts < MAX_PARTS => {
                        parts += 1;
                        continue;
                    }
                    Message::Ping(payload) => self.pong = Some(payload.clone()),
                    Message::Close(reason) => {
                        let code = reason.as_ref().map(|reason| reason.code.to_be_bytes());
                        self.put(Opcode::Close, code.as_ref().map_or(&[], |code| &code[..]))?;
                    }
                    _ => {}
                }
                return Poll::Ready(Ok(message));
            }
            if self.read.is_empty() && self.read.capacity() > READ_BUFFER {
                // A large message is over: what it needed is not kept.
                self.read = BytesMut::new();
            }
            self.read.reserve(READ_BUFFER);
            let read = pin!(self.stream.read_buf(&mut self.read)).poll(cx);
            if ready!(read)? == 0 {
                return Poll::Ready(Err(WebSocketError::Ended));
            }
        }
    }

    /// Writes the answer to a ping and the frames that wait. Ready when all has left.
    pub(super) fn poll_write(
        &mut self,
        waiting: &mut VecDeque<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WebSocketError>> {
        loop {
            while self.write.len() < WRITE_BUFFER {
                if let Some(payload) = self.pong.take() {
                    self.put(Opcode::Pong, &payload)?;
                } else if let Some(frame) = waiting.pop_front() {
                    self.put(Opcode::Binary, &frame)?;
                } else {
                    break;
                }
            }
            if self.write.is_empty() {
                break;
            }
            self.unflushed = true;
            let written = pin!(self.stream.write_buf(&mut self.write)).poll(cx);
            if ready!(written)? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
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

    /// Puts a close frame behind what was written before.
    pub(super) fn put_close(&mut self) -> Result<(), WebSocketError> {
        self.put(Opcode::Close, &[])
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), WebSocketError> {
        let mut mask = [0; 4];
        aws_lc_rs::rand::fill(&mut mask).map_err(|_| io::Error::other("the system has no random numbers"))?;
        encode(opcode, payload, mask, &mut self.write);
        Ok(())
    }
}
