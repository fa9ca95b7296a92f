//! The received streams of a room, until they are read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::reader::Reader;
use super::{IncomingStream, StreamError, StreamEvent, StreamInfo, StreamLimits, UnreadStream, unread};

/// Received streams by topic, with their unread content.
///
/// A stream goes to one receiver of its kind and topic. Without a receiver it is kept for one that opens
/// later, within limits: beyond them the oldest is dropped, as a stream on a topic without a reader is
/// ignored.
#[derive(Debug)]
pub struct StreamReaders {
    limits: StreamLimits,
    streams: BTreeMap<IncomingStream, Held>,
    topics: BTreeMap<TopicKey, Topic>,
    /// Streams without a receiver, oldest first.
    unclaimed: VecDeque<IncomingStream>,
    /// The size of all unread content, in bytes.
    unread: usize,
    /// The part of it without a receiver.
    unclaimed_bytes: usize,
    reported: unread::Reported,
    ended: bool,
}

/// Whether it is text, and the topic.
type TopicKey = (bool, String);

#[derive(Debug, Default)]
struct Topic {
    receivers: usize,
    /// Oldest first.
    untaken: VecDeque<IncomingStream>,
    missed: u64,
}

#[derive(Debug)]
struct Held {
    reader: Reader,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without a receiver.
    Unclaimed,
    /// With a receiver, which has not taken it yet.
    Untaken,
    Taken,
}

/// A stream that its receiver has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenedStream {
    /// The stream, to read it.
    pub stream: IncomingStream,
    /// Its description.
    pub info: Arc<StreamInfo>,
}

/// Streams that were dropped before their receiver took them, as there were too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} streams were dropped, as too many were waiting; take them faster")]
#[non_exhaustive]
pub struct MissedStreams {
    /// Their number.
    pub count: u64,
}

/// How much of a stream was received and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamProgress {
    /// Bytes that were read, after decompression.
    pub read: u64,
    /// Bytes that were received, as they were sent: possibly compressed.
    pub received: u64,
    /// The length of the content, if the sender announced it.
    pub total: Option<u64>,
}

impl StreamReaders {
    /// Creates the readers of a room that was just joined.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        Self {
            limits,
            streams: BTreeMap::new(),
            topics: BTreeMap::new(),
            unclaimed: VecDeque::new(),
            unread: 0,
            unclaimed_bytes: 0,
            reported: unread::Reported::default(),
            ended: false,
        }
    }

    /// Takes an event. Returns a stream that has no receiver, and those that were dropped for it.
    pub fn push(&mut self, event: StreamEvent) -> Vec<UnreadStream> {
        match event {
            StreamEvent::Opened { stream, info } => return self.opened(stream, info),
            StreamEvent::Content { stream, content } => return self.content(stream, content),
            StreamEvent::Ended { stream, result } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.reader.finish(result);
                }
            }
        }
        Vec::new()
    }

    /// The room is over: receivers end after the streams that they have not taken yet.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Opens a receiver of the text streams (or byte streams) of a topic. It gets the streams that have
    /// waited for it.
    pub fn open_topic(&mut self, text: bool, topic: &str) {
        let key = (text, topic.to_owned());
        let waiting = self.topics.entry(key).or_default();
        waiting.receivers += 1;
        if waiting.receivers == 1 {
            let claimed = waiting.untaken.clone();
            self.set_state(&claimed, State::Untaken);
        }
    }

    /// Closes a receiver. The streams that it has not taken wait for the next one.
    pub fn close_topic(&mut self, text: bool, topic: &str) -> Vec<UnreadStream> {
        let key = (text, topic.to_owned());
        let Some(waiting) = self.topics.get_mut(&key) else { return Vec::new() };
        waiting.receivers = waiting.receivers.saturating_sub(1);
        if waiting.receivers > 0 {
            return Vec::new();
        }
        let left = waiting.untaken.clone();
        if left.is_empty() && waiting.missed == 0 {
            self.topics.remove(&key);
        }
        self.set_state(&left, State::Unclaimed);
        self.shrink_unclaimed()
    }

    /// Takes the next stream of a topic, or the number of missed ones before it. `Ready(None)` after the end
    /// of the room.
    pub fn next_stream(
        &mut self,
        text: bool,
        topic: &str,
    ) -> Poll<Option<Result<OpenedStream, MissedStreams>>> {
        let key = (text, topic.to_owned());
        if let Some(waiting) = self.topics.get_mut(&key) {
            if waiting.missed > 0 {
                let count = std::mem::take(&mut waiting.missed);
                return Poll::Ready(Some(Err(MissedStreams { count })));
            }
            if let Some(stream) = waiting.untaken.pop_front()
                && let Some(held) = self.streams.get_mut(&stream)
            {
                held.state = State::Taken;
                let info = Arc::clone(held.reader.info());
                return Poll::Ready(Some(Ok(OpenedStream { stream, info })));
            }
        }
        if self.ended { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Reads the next piece of a stream: of a text, whole characters. `Ready(None)` at its end, and for a
    /// stream that was closed.
    pub fn read(&mut self, stream: IncomingStream) -> Poll<Option<Result<Bytes, StreamError>>> {
        let Some(held) = self.streams.get_mut(&stream) else { return Poll::Ready(None) };
        let before = held.reader.unread();
        let next = held.reader.next();
        self.unread = self.unread.saturating_sub(before.saturating_sub(held.reader.unread()));
        next
    }

    /// Whether [`read`](Self::read) may return something new.
    #[must_use]
    pub fn is_ready(&self, stream: IncomingStream) -> bool {
        self.streams.get(&stream).is_none_or(|held| held.reader.is_ready())
    }

    /// Whether [`next_stream`](Self::next_stream) is ready.
    #[must_use]
    pub fn has_stream(&self, text: bool, topic: &str) -> bool {
        let waiting = self.topics.get(&(text, topic.to_owned()));
        self.ended || waiting.is_some_and(|topic| topic.missed > 0 || !topic.untaken.is_empty())
    }

    /// How much of a stream was received and read.
    #[must_use]
    pub fn progress(&self, stream: IncomingStream) -> StreamProgress {
        self.streams.get(&stream).map_or_else(StreamProgress::default, |held| StreamProgress {
            read: held.reader.read,
            received: held.reader.received,
            total: held.reader.info().total_length,
        })
    }

    /// The attributes of a stream's trailer, once it was read to its end; they replace those of the header.
    #[must_use]
    pub fn trailer(&self, stream: IncomingStream) -> Option<&BTreeMap<String, String>> {
        self.streams.get(&stream)?.reader.trailer()
    }

    /// Forgets a stream, whether or not it was read to its end.
    pub fn close(&mut self, stream: IncomingStream) {
        self.remove(stream);
    }

    /// The size of all unread content, in bytes.
    #[must_use]
    pub const fn unread(&self) -> usize {
        self.unread
    }

    fn opened(&mut self, stream: IncomingStream, info: Arc<StreamInfo>) -> Vec<UnreadStream> {
        let topic = self.topics.entry((info.is_text(), info.topic.clone())).or_default();
        topic.untaken.push_back(stream);
        let state = if topic.receivers > 0 { State::Untaken } else { State::Unclaimed };
        let oldest = match state {
            State::Untaken if topic.untaken.len() > self.limits.untaken => topic.untaken.pop_front(),
            _ => None,
        };
        topic.missed += u64::from(oldest.is_some());
        let cost = info.weight();
        self.unread += cost;
        let reader = Reader::new(Arc::clone(&info), self.limits.content);
        self.streams.insert(stream, Held { reader, state });
        let mut unread = Vec::new();
        if state == State::Unclaimed {
            self.unclaimed.push_back(stream);
            self.unclaimed_bytes += cost;
            unread.push(self.reported.waits(info));
        }
        unread.extend(self.shrink_unclaimed());
        unread.extend(oldest.and_then(|oldest| self.drop_unread(oldest)));
        unread
    }

    fn content(&mut self, stream: IncomingStream, content: Bytes) -> Vec<UnreadStream> {
        let Some(held) = self.streams.get_mut(&stream) else { return Vec::new() };
        if held.reader.has_ended() {
            return Vec::new();
        }
        let cost = Reader::cost(&content);
        let own = held.reader.unread() + cost;
        let limit = match (own > self.limits.unread, self.unread + cost > self.limits.unread_in_room) {
            (true, _) => Some((own, self.limits.unread)),
            (false, true) => Some((self.unread + cost, self.limits.unread_in_room)),
            (false, false) => None,
        };
        if let Some((unread, limit)) = limit {
            let freed = held.reader.unread();
            held.reader.fail(StreamError::BufferFull { unread, limit });
            self.unread = self.unread.saturating_sub(freed);
            if held.state == State::Unclaimed {
                self.unclaimed_bytes = self.unclaimed_bytes.saturating_sub(freed);
            }
            return Vec::new();
        }
        held.reader.push(content);
        self.unread += cost;
        if held.state == State::Unclaimed {
            self.unclaimed_bytes += cost;
        }
        self.shrink_unclaimed()
    }

    /// Drops the oldest streams without a receiver until they are within their limits.
    fn shrink_unclaimed(&mut self) -> Vec<UnreadStream> {
        let mut dropped = Vec::new();
        while self.unclaimed.len() > self.limits.unclaimed
            || self.unclaimed_bytes > self.limits.unclaimed_bytes
        {
            let Some(oldest) = self.unclaimed.front().copied() else { break };
            dropped.extend(self.drop_unread(oldest));
        }
        dropped
    }

    fn drop_unread(&mut self, stream: IncomingStream) -> Option<UnreadStream> {
        let info = self.remove(stream)?;
        Some(self.reported.dropped(info))
    }

    fn set_state(&mut self, streams: &VecDeque<IncomingStream>, state: State) {
        for stream in streams {
            if let Some(held) = self.streams.get_mut(stream) {
                held.state = state;
            }
        }
        let unclaimed = self.streams.iter().filter(|(_, held)| held.state == State::Unclaimed);
        (self.unclaimed, self.unclaimed_bytes) = unclaimed.fold((VecDeque::new(), 0), |mut sum, next| {
            sum.0.push_back(*next.0);
            sum.1 += next.1.reader.info().weight() + next.1.reader.unread();
            sum
        });
    }

    fn remove(&mut self, stream: IncomingStream) -> Option<Arc<StreamInfo>> {
        let held = self.streams.remove(&stream)?;
        let info = Arc::clone(held.reader.info());
        let cost = info.weight() + held.reader.unread();
        self.unread = self.unread.saturating_sub(cost);
        if held.state == State::Unclaimed {
            self.unclaimed_bytes = self.unclaimed_bytes.saturating_sub(cost);
            self.unclaimed.retain(|other| *other != stream);
        }
        let key = (info.is_text(), info.topic.clone());
        if let Some(topic) = self.topics.get_mut(&key) {
            topic.untaken.retain(|other| *other != stream);
            if topic.receivers == 0 && topic.untaken.is_empty() && topic.missed == 0 {
                self.topics.remove(&key);
            }
        }
        Some(info)
    }
}
