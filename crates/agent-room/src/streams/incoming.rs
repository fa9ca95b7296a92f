//! The packets of all streams that others send us: put in order, checked, and reported as events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::text::shorten;
use agent_proto::{Time, livekit as proto};

use super::{IncomingStream, StreamError, StreamEvent, StreamInfo, StreamLimits};
use proto::data_stream::{Chunk, Header, Trailer};

/// How long the packets of a participant who has left are awaited: they may be under way on the data channel
/// when the signalling connection reports that it left.
pub(crate) const LEFT_GRACE: Duration = Duration::from_secs(2);
/// Maximum number of participants without streams whose leaving is remembered for [`LEFT_GRACE`].
const MAX_LEFT: usize = 4096;
/// Maximum length of a stream's id, in bytes. A UUID has 36.
const MAX_ID_LEN: usize = 256;
/// Maximum length of a sender's reason that is kept, in characters.
const MAX_REASON_LEN: usize = 256;

/// A packet of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StreamPacket {
    Header(Header),
    Chunk(Chunk),
    Trailer(Trailer),
}

/// The sender of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacketSender {
    /// The sid of the participant that sent it. Servers before 1.8 leave it empty.
    pub(crate) sid: String,
    /// The identity of the participant whose packet it is, which an agent may set in a header.
    pub(crate) identity: String,
}

/// The open streams of a room.
pub(crate) struct Incoming {
    limits: StreamLimits,
    /// By sender: ids are the sender's choice, and must not affect the streams of others.
    senders: BTreeMap<SenderKey, Sender>,
    /// Number of open streams.
    open: usize,
    last: u64,
    /// Senders that have left, with the end of their grace.
    left: BTreeMap<SenderKey, Time>,
    events: VecDeque<StreamEvent>,
    violations: u64,
}

/// What distinguishes senders: the server sets both, and an agent may set the identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SenderKey {
    Sid(String),
    /// Of a server that sets no sid.
    Identity(String),
}

#[derive(Default)]
struct Sender {
    /// By the sender's id of the stream.
    streams: BTreeMap<String, Open>,
}

/// An open stream.
struct Open {
    stream: IncomingStream,
    /// The index of the next chunk.
    next: u64,
}

impl Incoming {
    pub(crate) fn new(limits: StreamLimits) -> Self {
        Self {
            limits,
            senders: BTreeMap::new(),
            open: 0,
            last: 0,
            left: BTreeMap::new(),
            events: VecDeque::new(),
            violations: 0,
        }
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// Number of packets that belong to no stream, or have no usable header, since the last call.
    pub(crate) fn take_violations(&mut self) -> u64 {
        std::mem::take(&mut self.violations)
    }

    /// Handles a packet.
    pub(crate) fn receive(&mut self, sender: PacketSender, packet: StreamPacket) {
        let key = match sender.sid.is_empty() {
            true => SenderKey::Identity(sender.identity.clone()),
            false => SenderKey::Sid(sender.sid),
        };
        match packet {
            StreamPacket::Header(header) => self.header(key, sender.identity, header),
            StreamPacket::Chunk(chunk) => self.chunk(&key, chunk),
            StreamPacket::Trailer(trailer) => self.trailer(&key, trailer),
        }
    }

    /// A participant left: what it has not completed within [`LEFT_GRACE`] fails.
    pub(crate) fn sender_left(&mut self, sid: &str, identity: Option<&str>, now: Time) {
        // Also without a stream: a late one may still be under way.
        let key = SenderKey::Sid(sid.to_owned());
        if self.left.len() < MAX_LEFT || self.senders.contains_key(&key) {
            self.left.insert(key, now + LEFT_GRACE);
        }
        let identity = identity.map(|identity| SenderKey::Identity(identity.to_owned()));
        if let Some(key) = identity.filter(|key| self.senders.contains_key(key)) {
            self.left.insert(key, now + LEFT_GRACE);
        }
    }

    /// Our session is a new one: packets to the old one are missing.
    pub(crate) fn interrupted(&mut self) {
        self.fail_all(&StreamError::Interrupted);
    }

    /// The room is over.
    pub(crate) fn room_ended(&mut self) {
        self.fail_all(&StreamError::RoomEnded);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.left.values().min().copied()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        let due: Vec<SenderKey> =
            self.left.extract_if(.., |_, until| *until <= now).map(|(key, _)| key).collect();
        for key in due {
            let streams = self.senders.remove(&key).unwrap_or_default().streams;
            for open in streams.into_values() {
                self.end(open.stream, Err(StreamError::SenderLeft));
            }
        }
    }

    fn header(&mut self, key: SenderKey, identity: String, mut header: Header) {
        if !(1..=MAX_ID_LEN).contains(&header.stream_id.len()) {
            return self.violation();
        }
        let known = self.senders.get(&key);
        let open_of_sender = known.map_or(0, |sender| sender.streams.len());
        if known.is_some_and(|sender| sender.streams.contains_key(&header.stream_id)) {
            // A repeated header.
            return;
        }
        let inline = header.inline_content.take();
        let Some((info, compression)) = StreamInfo::from_wire(header, identity) else {
            return self.violation();
        };
        self.last += 1;
        let stream = IncomingStream(self.last);
        let (id, total_length) = (info.id.clone(), info.total_length);
        self.events.push_back(StreamEvent::Opened { stream, info: Arc::new(info) });
        let failure = if let Err(number) = compression {
            Some(StreamError::UnknownCompression { number })
        } else if total_length.is_some_and(|length| length > self.limits.content) {
            Some(StreamError::PayloadTooLarge { limit: self.limits.content })
        } else if inline.is_some() {
            None
        } else if open_of_sender >= self.limits.open_per_sender {
            Some(StreamError::TooManyStreams { limit: self.limits.open_per_sender })
        } else if self.open >= self.limits.open {
            Some(StreamError::TooManyStreams { limit: self.limits.open })
        } else {
            None
        };
        self.open += 1;
        match (failure, inline) {
            (Some(error), _) => self.end(stream, Err(error)),
            (None, Some(content)) => {
                self.content(stream, &content);
                self.end(stream, Ok(BTreeMap::new()));
            }
            (None, None) => {
                self.senders.entry(key).or_default().streams.insert(id, Open { stream, next: 0 });
            }
        }
    }

    fn chunk(&mut self, key: &SenderKey, chunk: Chunk) {
        let Some(open) =
            self.senders.get_mut(key).and_then(|sender| sender.streams.get_mut(&chunk.stream_id))
        else {
            // Of a stream that failed, or whose header was sent before we joined.
            return;
        };
        let (stream, expected) = (open.stream, open.next);
        if chunk.chunk_index < expected {
            // A repeated chunk.
            return;
        }
        if chunk.chunk_index > expected {
            let error =
                StreamError::incomplete(format!("chunk {expected} is missing before {}", chunk.chunk_index));
            self.close(key, &chunk.stream_id);
            return self.end(stream, Err(error));
        }
        open.next += 1;
        self.content(stream, &chunk.content);
    }

    fn trailer(&mut self, key: &SenderKey, trailer: Trailer) {
        let Some(stream) = self.close(key, &trailer.stream_id) else { return };
        let reason = trailer.reason.trim();
        let result = match reason.is_empty() {
            true => Ok(trailer.attributes),
            false => Err(StreamError::Aborted { reason: shorten(reason, MAX_REASON_LEN) }),
        };
        self.end(stream, result);
    }

    /// Copies it: the packet may be much longer than its content.
    fn content(&mut self, stream: IncomingStream, content: &Bytes) {
        if !content.is_empty() {
            let content = Bytes::copy_from_slice(content);
            self.events.push_back(StreamEvent::Content { stream, content });
        }
    }

    fn close(&mut self, key: &SenderKey, id: &str) -> Option<IncomingStream> {
        let sender = self.senders.get_mut(key)?;
        let open = sender.streams.remove(id)?;
        if sender.streams.is_empty() {
            self.senders.remove(key);
            self.left.remove(key);
        }
        Some(open.stream)
    }

    fn end(&mut self, stream: IncomingStream, result: Result<BTreeMap<String, String>, StreamError>) {
        self.open = self.open.saturating_sub(1);
        self.events.push_back(StreamEvent::Ended { stream, result });
    }

    fn fail_all(&mut self, error: &StreamError) {
        self.left.clear();
        for sender in std::mem::take(&mut self.senders).into_values() {
            for open in sender.streams.into_values() {
                self.end(open.stream, Err(error.clone()));
            }
        }
    }

    fn violation(&mut self) {
        self.violations = self.violations.saturating_add(1);
    }
}

impl StreamPacket {
    /// The packet of a stream; `Err`: it is another one.
    pub(crate) fn of(value: proto::data_packet::Value) -> Result<Self, Box<proto::data_packet::Value>> {
        use proto::data_packet::Value;
        match value {
            Value::StreamHeader(header) => Ok(Self::Header(header)),
            Value::StreamChunk(chunk) => Ok(Self::Chunk(chunk)),
            Value::StreamTrailer(trailer) => Ok(Self::Trailer(trailer)),
            other => Err(Box::new(other)),
        }
    }
}
