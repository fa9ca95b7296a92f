//! Gaps in a stream of data messages.

use std::fmt;

use crate::RoomEvent;

/// Missing messages of a data stream, at the position where they would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// Number of messages: exact for [`QueueFull`](MissedCause::QueueFull), an upper bound for
    /// [`Reconnected`](MissedCause::Reconnected), where 0 means that the number is unknown.
    pub count: u64,
    /// The cause.
    pub cause: MissedCause,
}

/// Why messages are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedCause {
    /// They were the oldest of more messages than a stream queues: 1,024 messages and 4 MiB.
    QueueFull,
    /// The connection to the room was lost, and a new session does not receive messages to the previous one.
    /// Whether messages of this stream are among them is unknown.
    Reconnected {
        /// Identity of the sender; `None`: any sender.
        sender: Option<String>,
    },
}

impl Missed {
    /// Creates a gap of this many messages, with this cause.
    #[must_use]
    pub const fn new(count: u64, cause: MissedCause) -> Self {
        Self { count, cause }
    }

    /// The gap that an event reports.
    pub(super) fn of(event: RoomEvent) -> Option<Self> {
        let (count, cause) = match event {
            RoomEvent::Lagged { missed } => (missed, MissedCause::QueueFull),
            RoomEvent::DataMissed { sender, up_to } => {
                (up_to.into(), MissedCause::Reconnected { sender: Some(sender) })
            }
            RoomEvent::Reconnected(_) => (0, MissedCause::Reconnected { sender: None }),
            _ => return None,
        };
        Some(Self { count, cause })
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = match (self.count, &self.cause) {
            (0, _) => "an unknown number of data messages".to_owned(),
            (1, MissedCause::QueueFull) => "1 data message".to_owned(),
            (count, MissedCause::QueueFull) => format!("{count} data messages"),
            (count, MissedCause::Reconnected { .. }) => format!("at most {count} data messages"),
        };
        match &self.cause {
            MissedCause::QueueFull => {
                write!(
                    f,
                    "{messages} dropped: the reader is too slow, and more than 1,024 messages or 4 MiB were queued"
                )
            }
            MissedCause::Reconnected { sender } => {
                let sender = sender.as_ref().map(|sender| format!(" from {sender}")).unwrap_or_default();
                write!(f, "{messages}{sender} may be missing: the connection to the room was re-established")
            }
        }
    }
}

impl std::error::Error for Missed {}
