//! Distribution of events to the streams of a room, and the queues for streams that are not open yet.

use std::collections::BTreeMap;
use std::mem;
use std::task::Poll;

use agent_proto::QueueLimits;

use crate::RoomEvent;

mod missed;
#[cfg(test)]
mod promises;
mod queue;
#[cfg(test)]
mod tests;
mod waiting;

pub use missed::{Missed, MissedCause};
pub(crate) use queue::losses;
use queue::{Entry, Queue, is_data, is_gap};
use waiting::Waiting;

/// The streams of one room, and the queues of unread events.
///
/// A data message goes to each open stream that accepts it. If no event stream is open, it is also queued for
/// the next one, and if no stream of its topic is open, for the next one of that; each queue holds at most
/// 1,024 messages and 4 MiB. Unread messages of a closed stream are queued in the same way. So each message
/// is read, queued, or reported as missed at its position; only messages that several streams of one kind had
/// may be read more than once.
///
/// Other events are state: a new event stream begins with the participants who are present. Only the first
/// one of an attempt has all events since the beginning of the attempt.
#[derive(Debug)]
pub struct Inbox {
    limits: QueueLimits,
    /// The number of the last event.
    seq: u64,
    last_id: u64,
    streams: BTreeMap<StreamId, Stream>,
    /// Open since the attempt began, for the first event stream.
    unread: Option<StreamId>,
    /// For the next event stream.
    for_events: Queue,
    /// For the next stream of all topics, once there was one.
    for_all_topics: Option<Queue>,
    /// For the next stream of its topic.
    for_topics: Waiting,
    ended: bool,
}

/// One stream of an [`Inbox`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    /// A stream that has ended.
    pub const ENDED: Self = Self(0);
}

/// The data messages that a stream accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFilter {
    /// Messages of one topic.
    Topic(String),
    /// All messages.
    AllTopics,
}

/// Number of events and messages that were dropped because a stream was read too slowly, or opened too late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Events of event streams.
    pub events: u64,
    /// Messages of data streams.
    pub messages: u64,
    /// Frames of streams of a track, which do not belong to an [`Inbox`], and frames of our tracks that the
    /// network did not take in time.
    pub frames: u64,
    /// Text and byte streams, which do not belong to an [`Inbox`] either.
    pub streams: u64,
}

#[derive(Debug)]
struct Stream {
    kind: Kind,
    queue: Queue,
    /// The number of the first event after the stream was opened.
    from: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Event streams of the attempt.
    Events,
    /// Event streams that do not affect the others: they take nothing and leave nothing unread.
    Side,
    Data(DataFilter),
}

impl Inbox {
    /// Creates the inbox of a room that was just joined; `present` are the events about its participants.
    pub fn new(present: impl IntoIterator<Item = RoomEvent>) -> Self {
        Self::with_limits(QueueLimits::default(), present)
    }

    fn with_limits(limits: QueueLimits, present: impl IntoIterator<Item = RoomEvent>) -> Self {
        let mut inbox = Self {
            limits,
            seq: 0,
            last_id: 0,
            streams: BTreeMap::new(),
            unread: None,
            for_events: Queue::default(),
            for_all_topics: None,
            for_topics: Waiting::new(limits),
            ended: false,
        };
        inbox.begin_attempt(present);
        inbox
    }

    /// Ends an attempt: its streams end, and their unread messages are queued for those of the next one.
    pub fn end_attempt(&mut self) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        self.unread = None;
        ids.into_iter().for_each(|id| self.close(id));
    }

    /// Begins another attempt, after the end of the previous one.
    pub fn begin_attempt(&mut self, present: impl IntoIterator<Item = RoomEvent>) {
        self.end_attempt();
        self.unread = Some(self.open(Kind::Events, present));
    }

    /// Distributes an event; the last one is the end of the room.
    pub fn push(&mut self, event: &RoomEvent) -> Dropped {
        let mut dropped = Dropped::default();
        if self.ended {
            return dropped;
        }
        self.seq += 1;
        self.ended = matches!(event, RoomEvent::Disconnected { .. });
        let entry = Entry::new(self.seq, event.clone());
        let (mut events, mut all_topics, mut topic) = (false, false, false);
        for (id, stream) in &mut self.streams {
            if !stream.kind.takes(event) {
                continue;
            }
            match &stream.kind {
                Kind::Side => {}
                Kind::Events => events = true,
                Kind::Data(DataFilter::AllTopics) => all_topics = true,
                Kind::Data(DataFilter::Topic(_)) => topic = true,
            }
            stream.queue.push(entry.clone());
            let lost = stream.queue.shrink(self.limits);
            if self.unread == Some(*id) {
                // It may never be read.
                stream.queue.unreported += lost;
            } else if matches!(stream.kind, Kind::Data(_)) {
                dropped.messages += lost;
            } else {
                dropped.events += lost;
            }
        }
        let (data, gap) = (is_data(event), is_gap(event));
        if (data || gap) && !events {
            self.for_events.keep(entry.clone(), self.limits);
        }
        if let Some(waiting) = &mut self.for_all_topics
            && (data || gap)
            && !all_topics
        {
            waiting.keep(entry.clone(), self.limits);
        }
        if gap {
            self.for_topics.gap(entry);
        } else if data && !topic {
            self.for_topics.push(entry);
        }
        dropped
    }

    /// Opens an event stream that begins with the participants who are present; the first one of an attempt
    /// has all events since it began.
    pub fn open_events(&mut self, present: impl IntoIterator<Item = RoomEvent>) -> (StreamId, Dropped) {
        let id = match self.unread.take() {
            Some(first) => first,
            None => self.open(Kind::Events, present),
        };
        (id, Dropped { events: self.late_drops(id), ..Dropped::default() })
    }

    /// As [`open_events`](Self::open_events), beginning with the participants who are present and future
    /// events: queued events are left to the other event streams.
    pub fn open_side(&mut self, present: impl IntoIterator<Item = RoomEvent>) -> StreamId {
        self.open(Kind::Side, present)
    }

    /// Opens a stream of data messages, which begins with those queued for it.
    pub fn open_data(&mut self, filter: DataFilter) -> (StreamId, Dropped) {
        let id = self.open(Kind::Data(filter), []);
        (id, Dropped { messages: self.late_drops(id), ..Dropped::default() })
    }

    /// Ends a stream. Its unread messages are queued for the next one of its kind.
    pub fn close(&mut self, id: StreamId) {
        let Some(Stream { kind, mut queue, .. }) = self.streams.remove(&id) else { return };
        let others = self.streams.values().filter(|other| other.kind == kind);
        // Messages that it took over when it was opened precede all of these: no other stream has them.
        let had_by_others = others.map(|other| other.from).min().unwrap_or(u64::MAX);
        queue.retain_data_before(had_by_others);
        match kind {
            Kind::Side => {}
            Kind::Events => self.for_events.merge(queue, self.limits),
            Kind::Data(DataFilter::AllTopics) => {
                self.for_all_topics.get_or_insert_default().merge(queue, self.limits);
            }
            Kind::Data(DataFilter::Topic(topic)) => self.for_topics.give_back(topic, queue, self.seq),
        }
    }

    /// Polls for the next event of an event stream; `Ready(None)` after its end.
    pub fn next_event(&mut self, id: StreamId) -> Poll<Option<RoomEvent>> {
        match self.streams.get_mut(&id).map(|stream| stream.queue.pop()) {
            None => Poll::Ready(None),
            Some(None) if !self.ended => Poll::Pending,
            Some(next) => Poll::Ready(next),
        }
    }

    /// Polls for the next message of a data stream, or the number of missing ones at this position;
    /// `Ready(None)` after its end.
    pub fn next_message(&mut self, id: StreamId) -> Poll<Option<Result<crate::DataReceived, Missed>>> {
        loop {
            let event = match self.next_event(id) {
                Poll::Ready(Some(event)) => event,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            if let RoomEvent::DataReceived(message) = event {
                return Poll::Ready(Some(Ok(message)));
            }
            if let Some(missed) = Missed::of(event) {
                return Poll::Ready(Some(Err(missed)));
            }
        }
    }

    /// Whether the next poll of a stream is ready.
    #[must_use]
    pub fn is_ready(&self, id: StreamId) -> bool {
        self.ended || self.streams.get(&id).is_none_or(|stream| !stream.queue.is_empty())
    }

    /// Number of queued events of a stream.
    #[must_use]
    pub fn len(&self, id: StreamId) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.queue.len())
    }

    fn open(&mut self, kind: Kind, present: impl IntoIterator<Item = RoomEvent>) -> StreamId {
        let another = self.streams.values().any(|stream| stream.kind == kind);
        let waiting = match &kind {
            Kind::Side => Queue::default(),
            Kind::Events => mem::take(&mut self.for_events),
            Kind::Data(DataFilter::AllTopics) => match &mut self.for_all_topics {
                Some(waiting) => mem::take(waiting),
                none => {
                    *none = Some(Queue::default());
                    self.for_topics.copy_all()
                }
            },
            Kind::Data(DataFilter::Topic(topic)) => {
                self.for_topics.take(topic, if another { self.seq } else { 0 })
            }
        };
        self.last_id += 1;
        let id = StreamId(self.last_id);
        let stream = Stream { kind, queue: waiting.beginning_with(present), from: self.seq + 1 };
        self.streams.insert(id, stream);
        id
    }

    fn late_drops(&mut self, id: StreamId) -> u64 {
        self.streams.get_mut(&id).map_or(0, |stream| mem::take(&mut stream.queue.unreported))
    }
}

impl Kind {
    fn takes(&self, event: &RoomEvent) -> bool {
        match (self, event) {
            (Self::Events | Self::Side, _) => true,
            (Self::Data(DataFilter::AllTopics), RoomEvent::DataReceived(_)) => true,
            (Self::Data(DataFilter::Topic(topic)), RoomEvent::DataReceived(message)) => {
                message.topic == *topic
            }
            (Self::Data(_), event) => is_gap(event),
        }
    }
}

impl Dropped {
    /// Whether anything was dropped.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.events > 0 || self.messages > 0 || self.frames > 0 || self.streams > 0
    }
}
