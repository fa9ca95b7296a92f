//! Encoder and decoder of WebSocket frames (RFC 6455), for clients and servers.
//!
//! The available libraries do not fit: one logs every payload (tokens and ICE passwords), another keeps the
//! answers to pings without a limit, and others lose data when a read is cancelled.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Maximum payload of a control frame, in bytes.
const MAX_CONTROL: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// A received message.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Message {
    /// A binary message.
    Binary(Bytes),
    /// A text message, in UTF-8.
    Text(Bytes),
    /// A ping. Its answer leaves with the next write.
    Ping(Bytes),
    /// The answer to a ping.
    Pong,
    /// A part of a message that continues.
    Part,
    /// The peer closes the connection. The answer leaves with the next write.
    Close(Option<CloseReason>),
}

/// The peer's reason for the close.
#[derive(Clone, Debug, PartialEq)]
pub struct CloseReason {
    /// The close code of RFC 6455.
    pub code: u16,
    /// The text beside the code.
    pub text: String,
}

/// A protocol error, which ends the connection.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// A message over the size limit.
    #[error("the {from} sent a message of more than {limit} bytes (`max_message_size(…)`)")]
    TooLong {
        /// The sender.
        from: Role,
        /// The limit.
        limit: usize,
    },
    /// A violation of RFC 6455.
    #[error("the {from} broke the WebSocket protocol: {what}")]
    Violation {
        /// The sender.
        from: Role,
        /// The violated rule.
        what: &'static str,
    },
}

impl FrameError {
    /// The RFC 6455 code to close the connection with.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Self::TooLong { .. } => 1009,
            Self::Violation { what, .. } if *what == NOT_UTF_8 => 1007,
            Self::Violation { .. } => 1002,
        }
    }
}

const NOT_UTF_8: &str = "a text is not UTF-8";

/// One end of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that opened the connection; its frames are masked.
    Client,
    /// The end that accepted it.
    Server,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// Opcodes of RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    const fn of(first: u8) -> Option<Self> {
        Some(match first & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Decodes the frames of one end.
pub(super) struct Decoder {
    from: Role,
    /// Maximum message size, in bytes.
    limit: usize,
    partial: Option<Partial>,
}

/// A message with parts still to come.
struct Partial {
    text: bool,
    payload: BytesMut,
}

struct Frame {
    opcode: Opcode,
    last: bool,
    payload: Bytes,
}

impl Decoder {
    pub(super) const fn new(from: Role, limit: usize) -> Self {
        Self { from, limit, partial: None }
    }

    /// Removes the next frame from `input`; `None` if it is incomplete.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        let Some(frame) = self.frame(input)? else { return Ok(None) };
        let message = match frame.opcode {
            Opcode::Ping => Message::Ping(frame.payload),
            Opcode::Pong => Message::Pong,
            Opcode::Close => {
                Message::Close(close_reason(&frame.payload).map_err(|what| self.violation(what))?)
            }
            Opcode::Text | Opcode::Binary if frame.last => {
                self.complete(frame.opcode == Opcode::Text, frame.payload)?
            }
            Opcode::Text | Opcode::Binary => {
                let text = frame.opcode == Opcode::Text;
                self.partial = Some(Partial { text, payload: BytesMut::from(&*frame.payload) });
                Message::Part
            }
            Opcode::Continuation => {
                let Some(mut partial) = self.partial.take() else {
                    return Err(self.violation(UNEXPECTED_PART));
                };
                partial.payload.extend_from_slice(&frame.payload);
                if frame.last {
                    self.complete(partial.text, partial.payload.freeze())?
                } else {
                    self.partial = Some(partial);
                    Message::Part
                }
            }
        };
        Ok(Some(message))
    }

    /// Checks a frame before its payload has arrived.
    fn frame(&self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let [first, second, rest @ ..] = &**input else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(self.violation("a reserved bit is set"));
        }
        let Some(opcode) = Opcode::of(*first) else {
            return Err(self.violation("a frame of an unknown kind"));
        };
        let masked = second & MASKED != 0;
        match (self.from, masked) {
            (Role::Server, true) => return Err(self.violation("a server's frame is masked")),
            (Role::Client, false) => return Err(self.violation("a client's frame is not masked")),
            (Role::Server, false) | (Role::Client, true) => {}
        }
        let (header, len) = match (second & !MASKED, rest) {
            (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
            (126 | 127, _) => return Ok(None),
            (len, _) => (2, u64::from(len)),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let last = first & FINAL != 0;
        if opcode.is_control() {
            if !last || len > MAX_CONTROL {
                return Err(self.violation("a control frame is split or too long"));
            }
        } else {
            match (opcode, &self.partial) {
                (Opcode::Continuation, None) => return Err(self.violation(UNEXPECTED_PART)),
                (Opcode::Text | Opcode::Binary, Some(_)) => {
                    return Err(self.violation("a message begins within another"));
                }
                _ => {}
            }
            let before = self.partial.as_ref().map_or(0, |partial| partial.payload.len());
            if len > self.limit.saturating_sub(before) {
                return Err(FrameError::TooLong { from: self.from, limit: self.limit });
            }
        }
        let key: usize = if masked { 4 } else { 0 };
        if input.len() < len.saturating_add(header + key) {
            return Ok(None);
        }
        input.advance(header);
        let mask = input.split_to(key);
        let mut payload = input.split_to(len);
        if let [a, b, c, d] = *mask {
            apply([a, b, c, d], &mut payload);
        }
        Ok(Some(Frame { opcode, last, payload: payload.freeze() }))
    }

    fn complete(&self, text: bool, payload: Bytes) -> Result<Message, FrameError> {
        match (text, std::str::from_utf8(&payload)) {
            (false, _) => Ok(Message::Binary(payload)),
            (true, Ok(_)) => Ok(Message::Text(payload)),
            (true, Err(_)) => Err(self.violation(NOT_UTF_8)),
        }
    }

    const fn violation(&self, what: &'static str) -> FrameError {
        FrameError::Violation { from: self.from, what }
    }
}

const UNEXPECTED_PART: &str = "the continuation of a message that never began";

fn close_reason(payload: &Bytes) -> Result<Option<CloseReason>, &'static str> {
    let (code, text) = match &**payload {
        [] => return Ok(None),
        [a, b, text @ ..] => (u16::from_be_bytes([*a, *b]), text),
        _ => return Err("a close code of one byte"),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err("a close code that must not be sent");
    }
    match std::str::from_utf8(text) {
        Ok(text) => Ok(Some(CloseReason { code, text: text.to_owned() })),
        Err(_) => Err("a close reason is not UTF-8"),
    }
}

/// Appends a frame with a whole message; a client's frame must be masked, a server's must not.
pub(super) fn encode(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, output: &mut BytesMut) {
    output.reserve(14 + payload.len());
    output.put_u8(FINAL | opcode as u8);
    let (len, masked) = (payload.len(), if mask.is_some() { MASKED } else { 0 });
    if let Some(len) = u8::try_from(len).ok().filter(|len| *len < 126) {
        output.put_u8(masked | len);
    } else if let Ok(len) = u16::try_from(len) {
        output.put_u8(masked | 126);
        output.put_u16(len);
    } else {
        output.put_u8(masked | 127);
        output.put_u64(len as u64);
    }
    let Some(mask) = mask else {
        output.put_slice(payload);
        return;
    };
    output.put_slice(&mask);
    let mut masked = output.split_off(output.len());
    masked.put_slice(payload);
    apply(mask, &mut masked);
    output.unsplit(masked);
}

/// Applies the mask eight bytes at a time: bytewise it would cost more than the rest of a large message.
fn apply(mask: [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
