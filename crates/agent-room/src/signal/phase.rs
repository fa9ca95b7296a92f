//! Where a room is between its first packet and its last, and what it holds there.

use super::recovery::{Recovery, Step};
use crate::{CommandId, Connected, JoinFailure};
use agent_proto::Time;
use std::time::Duration;

pub(super) enum Phase {
    Unbound,
    Connecting,
    Joining,
    Joined {
        connected: Box<Connected>,
    },
    /// Let in, but without media for too long. The user retries, or leaves.
    JoinFailed {
        connected: Box<Connected>,
        failure: JoinFailure,
        /// Whether the media connection stands by now.
        ready: bool,
    },
    Connected,
    Recovering(Box<Recovery>),
    Leaving {
        until: Time,
        asked: Vec<CommandId>,
        /// Whether there is a WebSocket to say goodbye on.
        signal: bool,
    },
    /// Told to leave before the server's Join. It may have let us in already, and it does not hear a Leave before it has: its
    /// Join is waited for.
    GivenUp {
        until: Time,
        asked: Vec<CommandId>,
        opened: bool,
        /// Whether the user was in the room before, and is told its end.
        stood: bool,
    },
    Closed,
}

impl Phase {
    /// Whether the server reads what we say, and says something at least as often as it promised.
    pub(super) fn signal_stands(&self) -> bool {
        match self {
            Self::Joined { .. } | Self::JoinFailed { .. } | Self::Connected => true,
            Self::Leaving { signal, .. } => *signal,
            Self::Recovering(recovery) => matches!(recovery.step, Step::Restarting | Step::Joined),
            Self::Unbound | Self::Connecting | Self::Joining | Self::GivenUp { .. } | Self::Closed => false,
        }
    }
}

/// The pulse of a signalling connection. It begins with the server's Join, and anew with each resume.
pub(super) struct Clock {
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    pub(super) next_ping: Time,
    pub(super) last_heard: Time,
    /// The server's answer to our last ping, as it wants it told with the next one.
    pub(super) round_trip_ms: i64,
}

impl Clock {
    pub(super) fn restart(&mut self, now: Time) {
        self.next_ping = now + self.ping_interval;
        self.last_heard = now;
    }
}
