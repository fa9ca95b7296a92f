//! What arrives for one channel: read, counted and kept until its job asks for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::Span;

use agent_core::{Frame, FrameKind, Inbox, JobId, MAX_MESSAGE_LEN, Receive, SequenceTracker};
use agent_proto::text::{line, name};
use agent_proto::{DropOldest, Popped, QueueEntry, QueueLimits};

use super::Announcement;
use crate::telemetry::Meter;
use crate::telemetry::line_limit::LineLimit;

/// Something that came over a [`Channel`](super::Channel).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelEvent {
    /// Somebody published a message.
    Message(Message),
    /// Somebody announced itself; also one that was there before this job came.
    Announced(Announcement),
    /// So many messages of one publisher were lost on the way, before the next event of it. Told of the 1,024
    /// publishers that were heard last.
    Missed {
        /// Its id.
        from: String,
        /// How many.
        count: u64,
    },
    /// The way to the others was interrupted in a manner that may have cost messages, nobody knows how many.
    /// Everybody who has announced itself is asked to do so again.
    Interrupted,
    /// This job was too slow: so many messages and other events before the next one were dropped.
    Lagged {
        /// How many; those that were missing already are among them.
        missed: u64,
    },
}

/// A message of another job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The id of its publisher: `<job id>/<something>`.
    pub from: String,
    /// What was published.
    pub payload: Bytes,
}

impl Message {
    /// The job that published it: the one whose [`Announcement`] has the same id.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        JobId::new(self.from.rsplit_once('/').map_or(self.from.as_str(), |(job, _)| job))
    }

    /// The payload as text, with � where it is none.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The payload as JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }
}

/// Where what arrives for one channel is read, counted and kept. Cheap to clone.
#[derive(Clone)]
pub(super) struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    /// Whose inbox it is: what it has sent itself is not for it.
    publisher: String,
    state: Mutex<State>,
    filled: Notify,
    /// Somebody asks for our announcement.
    asked: Notify,
    /// We have to ask the others for theirs.
    greet: AtomicBool,
    meter: Arc<Meter>,
    /// The span of its job.
    span: Span,
    lines: LineLimit<Line>,
}

/// Lines that others can cause at will.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    TooLong,
    NoMessage,
    Forged,
    NoAnnouncement,
}

#[derive(Default)]
struct State {
    publishers: SequenceTracker,
    events: DropOldest<Waiting>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(publisher: &str, meter: Arc<Meter>) -> Self {
        let shared = Shared {
            publisher: publisher.to_owned(),
            state: Mutex::default(),
            filled: Notify::new(),
            asked: Notify::new(),
            greet: AtomicBool::new(false),
            meter,
            span: Span::current(),
            lines: LineLimit::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The end of it that a carrier holds.
    pub(super) fn inbox(&self) -> Inbox {
        Inbox::new(Arc::new(self.clone()))
    }

    fn take(&self, sender: &str, frame: &Bytes) {
        let frame = match Frame::decode(frame) {
            Ok(frame) if frame.payload.len() <= MAX_MESSAGE_LEN => frame,
            Ok(frame) => {
                if let Some(more) = self.shared.lines.admit(Line::TooLong) {
                    tracing::warn!(len = frame.payload.len(), "dropped a message that is too long{more}");
                }
                return;
            }
            Err(error) => {
                if let Some(more) = self.shared.lines.admit(Line::NoMessage) {
                    tracing::warn!("dropped something that is no message of a job: {}{more}", line(error));
                }
                return;
            }
        };
        if frame.publisher == self.shared.publisher {
            return;
        }
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let received = state.publishers.receive(&frame, sender);
        if received.forged {
            if let Some(more) = self.shared.lines.admit(Line::Forged) {
                let (sender, of) = (name(sender), name(&frame.publisher));
                tracing::warn!(%sender, %of, "dropped a message under the id of another sender{more}");
            }
            return;
        }
        let Frame { publisher: from, kind, payload } = frame;
        let lost = received.missed;
        let missed = (lost > 0).then(|| ChannelEvent::Missed { from: from.clone(), count: lost });
        let event = match kind {
            FrameKind::Hello { .. } => {
                self.shared.asked.notify_one();
                None
            }
            FrameKind::Message { .. } if received.new => {
                Some(ChannelEvent::Message(Message { from, payload }))
            }
            FrameKind::Announcement { .. } if received.new => match serde_json::from_slice(&payload) {
                Ok(announcement) => Some(ChannelEvent::Announced(announcement)),
                Err(error) => {
                    if let Some(more) = self.shared.lines.admit(Line::NoAnnouncement) {
                        let (from, error) = (name(&from), line(error));
                        tracing::warn!(%from, "dropped something that is no announcement: {error}{more}");
                    }
                    None
                }
            },
            FrameKind::Message { .. } | FrameKind::Announcement { .. } | FrameKind::Here { .. } => None,
        };
        if event.is_some() {
            self.shared.meter.received();
        }
        let lagged = missed.into_iter().chain(event).map(|event| state.push(event)).sum();
        drop(state);
        self.shared.meter.missed(lost, lagged);
        self.shared.filled.notify_one();
    }

    /// Nobody reads any more: nothing is kept.
    pub(super) fn abandon(&self) {
        *self.lock() = State { closed: true, ..State::default() };
    }

    /// The next event; `None` after the end.
    pub(super) async fn next(&self) -> Option<ChannelEvent> {
        loop {
            {
                let mut state = self.lock();
                if let Some(event) = state.pop() {
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            self.shared.filled.notified().await;
        }
    }

    /// Waits until the announcement is to be repeated, and says whether the others are to be asked for theirs
    /// first.
    pub(super) async fn asked(&self) -> bool {
        self.shared.asked.notified().await;
        self.shared.greet.swap(false, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receive for Mailbox {
    fn receive(&self, sender: &str, frame: &Bytes) {
        // Whoever delivers works for others, too.
        self.shared.span.in_scope(|| self.take(sender, frame));
    }

    fn interrupted(&self) {
        let mut state = self.lock();
        // Twice in a row says no more than once.
        let again =
            state.events.entries().next_back().is_some_and(|last| last.0 == ChannelEvent::Interrupted);
        let lagged = if again { 0 } else { state.push(ChannelEvent::Interrupted) };
        drop(state);
        self.shared.meter.interrupted();
        self.shared.meter.missed(0, lagged);
        self.shared.filled.notify_one();
        self.shared.greet.store(true, Ordering::Relaxed);
        self.shared.asked.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.shared.filled.notify_one();
    }
}

impl State {
    /// Keeps an event, and gives the number of those that were dropped for it.
    fn push(&mut self, event: ChannelEvent) -> u64 {
        if self.closed {
            return 0;
        }
        self.events.push_within(Waiting(event), QueueLimits::default())
    }

    fn pop(&mut self) -> Option<ChannelEvent> {
        Some(match self.events.pop()? {
            Popped::Missed(missed) => ChannelEvent::Lagged { missed },
            Popped::Entry(Waiting(event)) => event,
        })
    }
}

/// An event that waits for a slow reader.
struct Waiting(ChannelEvent);

impl QueueEntry for Waiting {
    fn bytes(&self) -> usize {
        match &self.0 {
            ChannelEvent::Message(message) => message.payload.len(),
            ChannelEvent::Announced(Announcement { job_id, worker_id, capability, .. }) => {
                job_id.as_str().len() + worker_id.len() + capability.len()
            }
            ChannelEvent::Missed { .. } | ChannelEvent::Interrupted | ChannelEvent::Lagged { .. } => 0,
        }
    }

    fn losses(&self) -> u64 {
        // One that says how many were lost before is not an event by itself.
        if let ChannelEvent::Missed { count, .. } = &self.0 { *count } else { 1 }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("of", &self.shared.publisher)
            .field("waiting", &self.lock().events.len())
            .finish_non_exhaustive()
    }
}
