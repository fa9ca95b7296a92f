//! The receiving half of a channel: decodes frames, detects losses, and queues events for the job.

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

/// An event of a [`Channel`](super::Channel).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelEvent {
    /// A job published a message.
    Message(Message),
    /// A job announced itself; also one that was present before this job.
    Announced(Announcement),
    /// Messages from one publisher were lost in transit, before its next event. Tracked for the 1,024
    /// publishers that were active last.
    Missed {
        /// The id of the publisher.
        from: String,
        /// How many.
        count: u64,
    },
    /// The connection was interrupted, and an unknown number of messages may be lost. Jobs that have
    /// announced themselves are asked to repeat it.
    Interrupted,
    /// This job read too slowly: messages and other events before the next one were dropped.
    Lagged {
        /// How many, including those that were missing before.
        missed: u64,
    },
}

/// A message of another job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The id of its publisher: `<job id>/<suffix>`.
    pub from: String,
    /// The published bytes.
    pub payload: Bytes,
}

impl Message {
    /// The job that published it, as in its [`Announcement`].
    #[must_use]
    pub fn job_id(&self) -> JobId {
        JobId::new(self.from.rsplit_once('/').map_or(self.from.as_str(), |(job, _)| job))
    }

    /// The payload as text, with � for invalid UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The payload as JSON.
    ///
    /// # Errors
    /// The payload is not valid JSON for `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }
}

/// The receiving half of one channel. Cheap to clone.
#[derive(Clone)]
pub(super) struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    /// Our own publisher id, whose frames are ignored.
    publisher: String,
    state: Mutex<State>,
    filled: Notify,
    /// Notified when our announcement is requested.
    asked: Notify,
    /// Whether to request the announcements of the others.
    greet: AtomicBool,
    meter: Arc<Meter>,
    /// The span of the job.
    span: Span,
    lines: LineLimit<Line>,
}

/// Kinds of log lines that others can cause at will.
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

    /// The end that a pub/sub backend holds.
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
                    tracing::warn!("dropped a message that cannot be decoded: {}{more}", line(error));
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
                tracing::warn!(%sender, %of, "dropped a message with the id of another sender{more}");
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
                        tracing::warn!(%from, "dropped an announcement that cannot be decoded: {error}{more}");
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

    /// Closes it without a reader: nothing is queued any more.
    pub(super) fn abandon(&self) {
        *self.lock() = State { closed: true, ..State::default() };
    }

    /// The next event; `None` once it is closed.
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

    /// Waits until the announcement is to be repeated. Returns whether to request those of the others first.
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
        // The delivering task may belong to another span.
        self.shared.span.in_scope(|| self.take(sender, frame));
    }

    fn interrupted(&self) {
        let mut state = self.lock();
        // Coalesce consecutive interruptions.
        let repeated =
            state.events.entries().next_back().is_some_and(|last| last.0 == ChannelEvent::Interrupted);
        let lagged = if repeated { 0 } else { state.push(ChannelEvent::Interrupted) };
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
    /// Queues an event, and returns the number of events dropped for it.
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

/// A queued event.
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
        // A report of losses counts as the losses, not as an event.
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
