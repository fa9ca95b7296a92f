//! WebSocket frames as a client reads and writes them (RFC 6455): bytes in, bytes out.
//!
//! Of our own, since the libraries do not fit: one logs every payload (tokens and ICE passwords), another keeps the answers to pings
//! without a limit, and others lose data when a read is cancelled.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest payload of a control frame, in bytes.
const MAX_CONTROL: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What came in.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Binary(Bytes),
    /// A text, which no peer of ours sends. Its content is dropped.
    Text,
    Ping(Bytes),
    Pong,
    /// A part of a message that goes on.
    Part,
    Close(Option<CloseReason>),
}

/// Why the peer closes the connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CloseReason {
    pub(super) code: u16,
    pub(super) text: String,
}

/// What ends a connection.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the server sent a message of more than {limit} bytes (`max_message_size(…)`)")]
    TooLong { limit: usize },
    #[error("the server broke the WebSocket protocol: {0}")]
    Violation(&'static str),
}

/// Kinds of frames.
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

/// Reads a server's frames.
pub(super) struct Decoder {
    /// The longest message, in bytes.
    limit: usize,
    partial: Option<Partial>,
}

/// A message of which parts are still to come.
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
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, partial: None }
    }

    /// Takes the next frame out of the bytes that are there; `None`: it is not complete.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        let Some(frame) = self.frame(input)? else { return Ok(None) };
        let message = match frame.opcode {
            Opcode::Ping => Message::Ping(frame.payload),
            Opcode::Pong => Message::Pong,
            Opcode::Close => Message::Close(close_reason(&frame.payload)?),
            Opcode::Text | Opcode::Binary if frame.last => {
                complete(frame.opcode == Opcode::Text, frame.payload)?
            }
            Opcode::Text | Opcode::Binary => {
                let text = frame.opcode == Opcode::Text;
                self.partial = Some(Partial { text, payload: BytesMut::from(&*frame.payload) });
                Message::Part
            }
            Opcode::Continuation => {
                let Some(mut partial) = self.partial.take() else { return Err(UNEXPECTED_PART) };
                partial.payload.extend_from_slice(&frame.payload);
                if frame.last {
                    complete(partial.text, partial.payload.freeze())?
                } else {
                    self.partial = Some(partial);
                    Message::Part
                }
            }
        };
        Ok(Some(message))
    }

    /// Everything that can be wrong with a frame is noticed before its payload has come.
    fn frame(&self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let [first, second, rest @ ..] = &**input else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(FrameError::Violation("a reserved bit is set"));
        }
        let Some(opcode) = Opcode::of(*first) else {
            return Err(FrameError::Violation("a frame of an unknown kind"));
        };
        if second & MASKED != 0 {
            return Err(FrameError::Violation("a server's frame is masked"));
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
                return Err(FrameError::Violation("a control frame is split or too long"));
            }
        } else {
            match (opcode, &self.partial) {
                (Opcode::Continuation, None) => return Err(UNEXPECTED_PART),
                (Opcode::Text | Opcode::Binary, Some(_)) => {
                    return Err(FrameError::Violation("a message begins within another"));
                }
                _ => {}
            }
            let before = self.partial.as_ref().map_or(0, |partial| partial.payload.len());
            if len > self.limit.saturating_sub(before) {
                return Err(FrameError::TooLong { limit: self.limit });
            }
        }
        if input.len() < header + len {
            return Ok(None);
        }
        input.advance(header);
        Ok(Some(Frame { opcode, last, payload: input.split_to(len).freeze() }))
    }
}

const UNEXPECTED_PART: FrameError = FrameError::Violation("the continuation of a message that never began");

fn complete(text: bool, payload: Bytes) -> Result<Message, FrameError> {
    match (text, std::str::from_utf8(&payload)) {
        (false, _) => Ok(Message::Binary(payload)),
        (true, Ok(_)) => Ok(Message::Text),
        (true, Err(_)) => Err(FrameError::Violation("a text is not UTF-8")),
    }
}

fn close_reason(payload: &Bytes) -> Result<Option<CloseReason>, FrameError> {
    let (code, text) = match &**payload {
        [] => return Ok(None),
        [a, b, text @ ..] => (u16::from_be_bytes([*a, *b]), text),
        _ => return Err(FrameError::Violation("a close code of one byte")),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameError::Violation("a close code that must not be sent"));
    }
    match std::str::from_utf8(text) {
        Ok(text) => Ok(Some(CloseReason { code, text: text.to_owned() })),
        Err(_) => Err(FrameError::Violation("a close reason is not UTF-8")),
    }
}

/// Appends a frame that is a whole message, masked as a client's must be.
pub(super) fn encode(opcode: Opcode, payload: &[u8], mask: [u8; 4], output: &mut BytesMut) {
    output.reserve(14 + payload.len());
    output.put_u8(FINAL | opcode as u8);
    let len = payload.len();
    if let Some(len) = u8::try_from(len).ok().filter(|len| *len < 126) {
        output.put_u8(MASKED | len);
    } else if let Ok(len) = u16::try_from(len) {
        output.put_u8(MASKED | 126);
        output.put_u16(len);
    } else {
        output.put_u8(MASKED | 127);
        output.put_u64(len as u64);
    }
    output.put_slice(&mask);
    let mut masked = output.split_off(output.len());
    masked.put_slice(payload);
    apply(mask, &mut masked);
    output.unsplit(masked);
}

/// Applies the mask, eight bytes at a time: byte by byte it would cost more than the rest of a large message.
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
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::Message as TheirMessage;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as TheirFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket as Peer};

    use super::*;

    /// What another implementation writes as a server.
    fn served(opcode: OpCode, last: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        TheirFrame::message(payload.to_vec(), opcode, last).format(&mut bytes).unwrap();
        bytes
    }

    /// All messages that are in these bytes, when they come in pieces of this size.
    fn decoded(bytes: &[u8], piece: usize, limit: usize) -> (Vec<Message>, Option<FrameError>) {
        let mut decoder = Decoder::new(limit);
        let (mut input, mut messages) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, None)
    }

    proptest! {
        #[test]
        fn another_implementation_reads_what_is_written(payload: Vec<u8>, long in 0usize..70_000, mask: [u8; 4]) {
            let mut written = BytesMut::from(&b"before"[..]);
            let long = vec![7; long];
            encode(Opcode::Binary, &payload, mask, &mut written);
            encode(Opcode::Binary, &long, mask, &mut written);
            encode(Opcode::Pong, b"hello", mask, &mut written);
            let written = written.split_off(6).to_vec();
            let mut peer = Peer::from_partially_read(Cursor::new(Vec::new()), written, Role::Server, None);
            prop_assert_eq!(peer.read().unwrap().into_data(), payload);
            prop_assert_eq!(peer.read().unwrap().into_data(), long);
            prop_assert_eq!(peer.read().unwrap(), TheirMessage::Pong(Bytes::from_static(b"hello")));
        }

        #[test]
        fn what_another_implementation_writes_is_read(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            piece in 1usize..50,
        ) {
            let mut bytes = Vec::new();
            for (n, part) in parts.iter().enumerate() {
                let opcode = if n == 0 { Data::Binary } else { Data::Continue };
                bytes.extend(served(OpCode::Data(opcode), n + 1 == parts.len(), part));
            }
            let (messages, error) = decoded(&bytes, piece, 100_000);
            prop_assert_eq!(error, None);
            let mut expected: Vec<Message> = parts.iter().skip(1).map(|_| Message::Part).collect();
            expected.push(Message::Binary(parts.concat().into()));
            prop_assert_eq!(messages, expected);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>, piece in 1usize..20) {
            decoded(&bytes, piece, 1000);
        }
    }

    #[test]
    fn control_frames_come_between_the_parts_of_a_message() {
        let bytes = [
            &[0x02, 1, b'a'][..],
            &[0x89, 2, b'h', b'i'],
            &[0x8a, 0],
            &[0x80, 1, b'b'],
            &[0x81, 1, b'c'],
            &[0x88, 5, 0x03, 0xe9, b'b', b'y', b'e'],
            &[0x88, 0],
        ]
        .concat();
        for piece in 1..bytes.len() {
            let (messages, error) = decoded(&bytes, piece, 2);
            assert_eq!(error, None);
            assert_eq!(
                messages,
                [
                    Message::Part,
                    Message::Ping(Bytes::from_static(b"hi")),
                    Message::Pong,
                    Message::Binary(Bytes::from_static(b"ab")),
                    Message::Text,
                    Message::Close(Some(CloseReason { code: 1001, text: "bye".into() })),
                    Message::Close(None),
                ]
            );
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_an_error_before_its_payload_comes() {
        let long = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
        let table: Vec<(&str, Vec<u8>)> = vec![
            ("reserved", vec![0xc2, 0]),
            ("unknown kind", vec![0x83, 0]),
            ("masked", vec![0x82, 0x80]),
            ("split", vec![0x09, 0]),
            ("too long", vec![0x89, 126, 0, 126]),
            ("never began", vec![0x80, 1]),
            ("within another", vec![0x02, 0, 0x82, 1]),
            ("not UTF-8", vec![0x81, 1, 0xff]),
            ("one byte", vec![0x88, 1, 3]),
            ("must not be sent", vec![0x88, 2, 0x03, 0xed]),
            ("must not be sent", vec![0x88, 2, 0, 0]),
            ("reason is not UTF-8", vec![0x88, 3, 0x03, 0xe8, 0xff]),
            ("more than 1000 bytes", long(1001)),
            ("more than 1000 bytes", long(u64::MAX)),
            ("more than 1000 bytes", [&[0x02, 126, 0x03, 0xe8][..], &[0; 1000], &[0x80, 1]].concat()),
        ];
        for (text, bytes) in table {
            let (_, error) = decoded(&bytes, 1, 1000);
            let error = error.unwrap_or_else(|| panic!("{text}: no error")).to_string();
            assert!(error.contains(text), "{text}: {error}");
        }
        assert_eq!(decoded(&[&[0x82, 126, 0x03, 0xe8][..], &[0; 1000]].concat(), 7, 1000).0.len(), 1);
    }
}
