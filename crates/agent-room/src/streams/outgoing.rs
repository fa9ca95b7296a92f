//! What we send as streams, until the data channel has accepted it.
//!
//! Packets are made one by one when the channel has room, in turns between the streams, so that a long one
//! holds up neither the others nor data messages, and nothing is kept twice.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use agent_proto::livekit as proto;

use super::send::Form;
use super::source::Source;
use super::{Abilities, StreamOptions};
use crate::rpc::RpcSend;
use crate::{CommandId, RoomError};
use proto::data_packet::Value;
use proto::data_stream::{Chunk, Header, Trailer};

/// Maximum number of parts of one stream that wait.
const MAX_PARTS: usize = 1024;

/// The sender of something, which is notified of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SendOwner {
    Command(CommandId),
    Rpc(RpcSend),
}

/// A packet for the reliable channel.
#[derive(Debug, PartialEq)]
pub(crate) struct StreamOut {
    /// For [`Outgoing::accepted`].
    pub(crate) stream: u64,
    pub(crate) destinations: Vec<String>,
    /// Identity of the participant for whom it is sent; empty: ourselves.
    pub(crate) sender: String,
    pub(crate) value: Value,
}

/// The end of a send.
pub(crate) type SendDone = (SendOwner, Result<(), RoomError>);

pub(crate) struct Outgoing {
    streams: BTreeMap<u64, Stream>,
    /// Streams that are written in parts, by the command that opened them.
    writers: BTreeMap<CommandId, u64>,
    last: u64,
    /// The stream that had the last turn.
    turn: u64,
    /// Content that is not sent yet, in bytes.
    bytes: usize,
    max_streams: usize,
    max_bytes: usize,
}

struct Stream {
    options: StreamOptions,
    /// Until it was sent.
    header: Option<(SendOwner, Header)>,
    chunked: bool,
    chunks: u64,
    /// Content in order; the owner is notified after the last chunk of its part.
    parts: VecDeque<(Option<SendOwner>, Source)>,
    /// What follows the content.
    trailer: Option<(SendOwner, Trailer)>,
    /// Whether a packet was accepted by the channel.
    begun: bool,
    /// The packet that the channel has not accepted yet.
    under_way: Option<UnderWay>,
}

/// What the channel's acceptance of a packet completes.
struct UnderWay {
    owner: Option<SendOwner>,
    last: bool,
}

impl Outgoing {
    pub(crate) fn new(max_streams: usize, max_bytes: usize) -> Self {
        Self {
            streams: BTreeMap::new(),
            writers: BTreeMap::new(),
            last: 0,
            turn: 0,
            bytes: 0,
            max_streams,
            max_bytes,
        }
    }

    /// Sends a whole content. The owner is notified when the channel has accepted all of it.
    pub(crate) fn send(
        &mut self,
        owner: SendOwner,
        options: StreamOptions,
        content: Bytes,
        timestamp_ms: i64,
        abilities: Abilities,
    ) -> Result<(), RoomError> {
        self.check(content.len())?;
        let Form { header, source, chunked } = Form::whole(&options, content, timestamp_ms, abilities)?;
        let mut stream = Stream::new(options, chunked);
        if chunked {
            self.bytes += source.len();
            let trailer = Trailer { stream_id: stream.options.id.clone(), ..Trailer::default() };
            stream.trailer = Some((owner.clone(), trailer));
            stream.parts.push_back((None, source));
        }
        stream.header = Some((owner, header));
        self.insert(stream);
        Ok(())
    }

    /// Opens a stream that is written in parts. The owner is notified when the channel has accepted its
    /// header.
    pub(crate) fn open(
        &mut self,
        id: CommandId,
        options: StreamOptions,
        timestamp_ms: i64,
    ) -> Result<(), RoomError> {
        self.check(0)?;
        let form = Form::in_parts(&options, timestamp_ms)?;
        let mut stream = Stream::new(options, true);
        stream.header = Some((SendOwner::Command(id), form.header));
        let number = self.insert(stream);
        self.writers.insert(id, number);
        Ok(())
    }

    /// Writes the next part of the stream that the command `writer` opened. Completed when the channel has
    /// accepted it; `Ok(true)`: there is nothing to send.
    pub(crate) fn write(
        &mut self,
        id: CommandId,
        writer: CommandId,
        content: Bytes,
    ) -> Result<bool, RoomError> {
        let (len, full) = (content.len(), self.bytes + content.len() > self.max_bytes);
        let stream = self.writer(writer)?;
        if full || stream.parts.len() >= MAX_PARTS {
            return Err(RoomError::QueueFull);
        }
        if len == 0 {
            return Ok(true);
        }
        let source = match stream.options.kind {
            super::StreamKind::Text(_) => Source::Text(content),
            super::StreamKind::Bytes { .. } => Source::Bytes(content),
        };
        stream.parts.push_back((Some(SendOwner::Command(id)), source));
        self.bytes += len;
        Ok(false)
    }

    /// Ends the stream that the command `writer` opened, after what was written; a reason reports to the
    /// recipients that it is not complete.
    pub(crate) fn close(
        &mut self,
        id: CommandId,
        writer: CommandId,
        reason: String,
        attributes: BTreeMap<String, String>,
    ) -> Result<(), RoomError> {
        let stream = self.writer(writer)?;
        let trailer = Trailer { stream_id: stream.options.id.clone(), reason, attributes };
        stream.trailer = Some((SendOwner::Command(id), trailer));
        self.writers.remove(&writer);
        Ok(())
    }

    /// Whether nothing is waiting to be sent. Open writers do not count.
    pub(crate) fn is_idle(&self) -> bool {
        self.streams.values().all(|stream| stream.under_way.is_none() && !stream.has_next())
    }

    /// Takes the next packet. Each one must be [accepted](Self::accepted) or [refused](Self::refused) before
    /// the next packet of its stream.
    pub(crate) fn next_packet(&mut self) -> Option<StreamOut> {
        let after = self.streams.range((Bound::Excluded(self.turn), Bound::Unbounded));
        let number = after
            .chain(self.streams.range(..=self.turn))
            .find(|(_, stream)| stream.under_way.is_none() && stream.has_next())
            .map(|(number, _)| *number)?;
        self.turn = number;
        let stream = self.streams.get_mut(&number)?;
        let (value, sent) = stream.next_value()?;
        self.bytes = self.bytes.saturating_sub(sent);
        Some(StreamOut {
            stream: number,
            destinations: stream.options.destinations.clone(),
            // Only of a header: chunks and trailers are our own.
            sender: match &value {
                Value::StreamHeader(_) => stream.options.sender.clone().unwrap_or_default(),
                _ => String::new(),
            },
            value,
        })
    }

    /// The channel has accepted the packet of a stream.
    pub(crate) fn accepted(&mut self, number: u64) -> Option<SendDone> {
        let stream = self.streams.get_mut(&number)?;
        stream.begun = true;
        let UnderWay { owner, last } = stream.under_way.take()?;
        if last {
            self.streams.remove(&number);
        }
        Some((owner?, Ok(())))
    }

    /// The channel will never accept the packet of a stream.
    pub(crate) fn refused(&mut self, number: u64, error: &RoomError) -> Vec<SendDone> {
        self.fail(number, error)
    }

    /// Our session is a new one: streams that have begun have lost their recipients. Returns the streams that
    /// failed, whose packets must not be sent.
    pub(crate) fn interrupted(&mut self) -> (Vec<u64>, Vec<SendDone>) {
        let begun: Vec<u64> =
            self.streams.iter().filter(|(_, stream)| stream.begun).map(|(number, _)| *number).collect();
        let done =
            begun.iter().flat_map(|number| self.fail(*number, &RoomError::StreamInterrupted)).collect();
        (begun, done)
    }

    /// The room is over.
    pub(crate) fn take_all(&mut self, error: &RoomError) -> Vec<SendDone> {
        let all: Vec<u64> = self.streams.keys().copied().collect();
        all.into_iter().flat_map(|number| self.fail(number, error)).collect()
    }

    fn check(&self, len: usize) -> Result<(), RoomError> {
        if self.streams.len() >= self.max_streams || self.bytes + len > self.max_bytes {
            return Err(RoomError::QueueFull);
        }
        Ok(())
    }

    fn insert(&mut self, stream: Stream) -> u64 {
        self.last += 1;
        self.streams.insert(self.last, stream);
        self.last
    }

    fn writer(&mut self, writer: CommandId) -> Result<&mut Stream, RoomError> {
        let number = self.writers.get(&writer).ok_or(RoomError::StreamClosed)?;
        self.streams.get_mut(number).ok_or(RoomError::StreamClosed)
    }

    /// Removes a stream; each owner that waits for it is notified once.
    fn fail(&mut self, number: u64, error: &RoomError) -> Vec<SendDone> {
        let Some(stream) = self.streams.remove(&number) else { return Vec::new() };
        self.bytes = self.bytes.saturating_sub(stream.content_len());
        self.writers.retain(|_, other| *other != number);
        let header = stream.header.map(|(owner, _)| owner);
        let under_way = stream.under_way.and_then(|under_way| under_way.owner);
        let parts = stream.parts.into_iter().filter_map(|(owner, _)| owner);
        let trailer = stream.trailer.map(|(owner, _)| owner);
        let mut owners: Vec<SendOwner> = Vec::new();
        for owner in header.into_iter().chain(under_way).chain(parts).chain(trailer) {
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        owners.into_iter().map(|owner| (owner, Err(error.clone()))).collect()
    }
}

impl Stream {
    fn new(options: StreamOptions, chunked: bool) -> Self {
        Self {
            options,
            header: None,
            chunked,
            chunks: 0,
            parts: VecDeque::new(),
            trailer: None,
            begun: false,
            under_way: None,
        }
    }

    fn has_next(&self) -> bool {
        self.header.is_some() || !self.parts.is_empty() || self.trailer.is_some()
    }

    /// Content that is not sent yet, in bytes.
    fn content_len(&self) -> usize {
        self.parts.iter().map(|(_, source)| source.len()).sum()
    }

    /// The next packet, and how much of the content went into it, before compression.
    fn next_value(&mut self) -> Option<(Value, usize)> {
        if let Some((owner, header)) = self.header.take() {
            // The owner of a whole content is notified at its end.
            let waits = self.trailer.as_ref().is_some_and(|(other, _)| *other == owner);
            self.under_way = Some(UnderWay { owner: Some(owner).filter(|_| !waits), last: !self.chunked });
            return Some((Value::StreamHeader(header), 0));
        }
        while let Some((owner, source)) = self.parts.front_mut() {
            let before = source.len();
            let Some(content) = source.next() else {
                self.parts.pop_front();
                continue;
            };
            let sent = before.saturating_sub(source.len());
            let owner = if source.is_empty() { owner.take() } else { None };
            if source.is_empty() {
                self.parts.pop_front();
            }
            self.under_way = Some(UnderWay { owner, last: false });
            let chunk_index = self.chunks;
            self.chunks += 1;
            let stream_id = self.options.id.clone();
            let chunk = Chunk { stream_id, chunk_index, content, ..Chunk::default() };
            return Some((Value::StreamChunk(chunk), sent));
        }
        let (owner, trailer) = self.trailer.take()?;
        self.under_way = Some(UnderWay { owner: Some(owner), last: true });
        Some((Value::StreamTrailer(trailer), 0))
    }
}
