//! What a stream of data messages reports where messages are missing.

use std::fmt;

use crate::RoomEvent;

/// Messages that are missing from a stream of data, at the place where they would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// How many: exactly for [`QueueFull`](MissedCause::QueueFull), at most for [`Reconnected`](MissedCause::Reconnected), where 0 means that
    /// the number is unknown.
    pub count: u64,
    /// Why.
    pub cause: MissedCause,
}

/// Why messages are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedCause {
    /// They were the oldest of more than wait for a reader: 1,024 messages and 4 MiB.
    QueueFull,
    /// The connection to the room was lost, and another session does not get what was sent to the one before. Whether messages of this
    /// stream are among them is not known.
    Reconnected {
        /// Whose messages, by identity; `None`: anybody's.
        sender: Option<String>,
    },
}

impl Missed {
    /// This many, for this reason.
    #[must_use]
    pub const fn new(count: u64, cause: MissedCause) -> Self {
        Self { count, cause }
    }

    /// What an event says about missing messages.
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
                write!(f, "{messages} dropped: more arrived than wait for a reader (1,024 messages, 4 MiB)")
            }
            MissedCause::Reconnected { sender } => {
                let sender = sender.as_ref().map(|sender| format!(" from {sender}")).unwrap_or_default();
                write!(f, "{messages}{sender} may be missing: the connection to the room was re-established")
            }
        }
    }
}

impl std::error::Error for Missed {}
