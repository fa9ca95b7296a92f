//! The received streams of a room, which its readers and its backend share.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use agent_proto::text::name;
use agent_room::{
    Dropped, IncomingStream, MissedStreams, OpenedStream, StreamError, StreamEvent, StreamLimits,
    StreamReaders, UnreadStream,
};

/// The streams whose content is read, and their readers.
pub(crate) struct Streams {
    state: Mutex<State>,
}

struct State {
    readers: StreamReaders,
    last: u64,
    receivers: BTreeMap<u64, Receiver>,
    /// The streams that were taken in the current attempt, with the task that waits for content.
    taken: BTreeMap<IncomingStream, Option<Waker>>,
}

struct Receiver {
    is_text: bool,
    topic: String,
    waker: Option<Waker>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        let state = State {
            readers: StreamReaders::new(StreamLimits::default()),
            last: 0,
            receivers: BTreeMap::new(),
            taken: BTreeMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Distributes an event of a stream.
    pub(crate) fn push(&self, event: StreamEvent) -> Dropped {
        let mut state = self.lock();
        let topic = match &event {
            StreamEvent::Opened { info, .. } => Some((info.is_text(), info.topic.clone())),
            StreamEvent::Content { .. } | StreamEvent::Ended { .. } => None,
        };
        let reader = match &event {
            StreamEvent::Opened { .. } => None,
            StreamEvent::Content { stream, .. } | StreamEvent::Ended { stream, .. } => Some(*stream),
        };
        let unread = state.readers.push(event);
        let mut woken = Vec::new();
        if let Some((is_text, topic)) = topic {
            let receivers = state.receivers.values_mut();
            let receivers = receivers.filter(|one| one.is_text == is_text && one.topic == topic);
            woken.extend(receivers.filter_map(|receiver| receiver.waker.take()));
        }
        woken.extend(reader.and_then(|stream| state.taken.get_mut(&stream)?.take()));
        unlock(state, woken);
        report(&unread)
    }

    /// The room is over.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.readers.end();
        let woken = state.receivers.values_mut().filter_map(|receiver| receiver.waker.take()).collect();
        unlock(state, woken);
    }

    /// Ends the receivers and the readers of an attempt. Streams that none of them has taken wait for those
    /// of the next attempt.
    pub(crate) fn end_attempt(&self) -> Dropped {
        let mut state = self.lock();
        let (receivers, taken) = (mem::take(&mut state.receivers), mem::take(&mut state.taken));
        taken.keys().for_each(|stream| state.readers.close(*stream));
        let mut unread = Vec::new();
        for receiver in receivers.values() {
            unread.extend(state.readers.close_topic(receiver.is_text, &receiver.topic));
        }
        let woken = receivers.into_values().filter_map(|receiver| receiver.waker);
        unlock(state, woken.chain(taken.into_values().flatten()).collect());
        report(&unread)
    }

    /// Opens a receiver. `is_over`: whether its attempt is over, so that it gets nothing.
    pub(super) fn open(&self, is_text: bool, topic: &str, is_over: impl FnOnce() -> bool) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let id = state.last;
        if !is_over() {
            state.readers.open_topic(is_text, topic);
            state.receivers.insert(id, Receiver { is_text, topic: topic.to_owned(), waker: None });
        }
        id
    }

    pub(super) fn close(&self, receiver: u64) -> Dropped {
        let mut state = self.lock();
        let Some(Receiver { is_text, topic, waker }) = state.receivers.remove(&receiver) else {
            return Dropped::default();
        };
        let unread = state.readers.close_topic(is_text, &topic);
        drop(state);
        // Dropping it may run code of the executor.
        drop(waker);
        report(&unread)
    }

    pub(super) fn poll_stream(
        &self,
        id: u64,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<OpenedStream, MissedStreams>>> {
        let mut state = self.lock();
        let State { readers, receivers, taken, .. } = &mut *state;
        let Some(receiver) = receivers.get_mut(&id) else { return Poll::Ready(None) };
        let polled = readers.next_stream(receiver.is_text, &receiver.topic);
        let before = match &polled {
            Poll::Pending => receiver.waker.replace(cx.waker().clone()),
            Poll::Ready(opened) => {
                if let Some(Ok(opened)) = opened {
                    taken.insert(opened.stream, None);
                }
                None
            }
        };
        drop(state);
        drop(before);
        polled
    }

    /// Reads the next piece of a stream.
    pub(super) fn poll_content(
        &self,
        stream: IncomingStream,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, StreamError>>> {
        let mut state = self.lock();
        let State { readers, taken, .. } = &mut *state;
        let Some(waker) = taken.get_mut(&stream) else {
            return Poll::Ready(Some(Err(StreamError::AttemptOver)));
        };
        let polled = readers.read(stream);
        let before = match &polled {
            Poll::Pending => waker.replace(cx.waker().clone()),
            Poll::Ready(_) => None,
        };
        drop(state);
        drop(before);
        polled
    }

    /// Looks at the readers.
    pub(super) fn readers<T>(&self, look: impl FnOnce(&StreamReaders) -> T) -> T {
        look(&self.lock().readers)
    }

    /// Forgets a stream that was taken.
    pub(super) fn forget(&self, stream: IncomingStream) {
        let mut state = self.lock();
        state.readers.close(stream);
        let waker = state.taken.remove(&stream);
        drop(state);
        drop(waker);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes tasks after the lock: a waker may run code of the executor.
fn unlock(state: MutexGuard<'_, State>, woken: Vec<Waker>) {
    drop(state);
    woken.into_iter().for_each(Waker::wake);
}

fn report(unread: &[UnreadStream]) -> Dropped {
    for stream in unread.iter().filter(|stream| stream.first) {
        let (topic, sender) = (name(&stream.info.topic), name(&stream.info.sender));
        let method = if stream.info.is_text() { "text_streams" } else { "byte_streams" };
        if stream.dropped {
            tracing::warn!(
                %topic, %sender,
                "dropped a stream before it was read, as too many of its topic wait: read them with `Room::{method}` as they arrive"
            );
        } else {
            tracing::info!(
                %topic, %sender,
                "a stream waits to be read, and its topic has no reader: open one with `Room::{method}`"
            );
        }
    }
    let streams = unread.iter().filter(|stream| stream.dropped).count() as u64;
    Dropped { streams, ..Dropped::default() }
}
