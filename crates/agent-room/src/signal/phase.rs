//! The phases of a room, from its first packet to its last, with the state of each.

use std::time::Duration;

use agent_proto::Time;

use crate::{CommandId, Connected, DisconnectReason, JoinFailure};

pub(super) enum Phase {
    Unbound,
    Connecting,
    Joining,
    Joined {
        connected: Box<Connected>,
    },
    /// Admitted, but without media for too long. The user retries, or leaves.
    JoinFailed {
        connected: Box<Connected>,
        failure: JoinFailure,
        /// Whether the media connection is established by now.
        ready: bool,
    },
    Connected,
    Recovering(Box<Recovery>),
    Leaving {
        until: Time,
        asked: Vec<CommandId>,
        /// Whether there is a WebSocket for the Leave.
        signal: bool,
    },
    /// The user left before the server's Join. It may have admitted us already, and it does not read a Leave
    /// before it has, so its Join is awaited.
    GivenUp {
        until: Time,
        asked: Vec<CommandId>,
        opened: bool,
        /// Whether the user was in the room before, and is notified of its end.
        was_connected: bool,
    },
    Closed,
}

impl Phase {
    /// Whether there is a WebSocket for a Leave. The server may not read it before its Join.
    pub(super) fn signal_open(&self) -> bool {
        matches!(self, Self::Joining | Self::GivenUp { opened: true, .. }) || self.signal_established()
    }

    /// Whether the server reads our messages, and sends some at least as often as announced.
    pub(super) fn signal_established(&self) -> bool {
        match self {
            Self::Joined { .. } | Self::JoinFailed { .. } | Self::Connected => true,
            Self::Leaving { signal, .. } => *signal,
            Self::Recovering(recovery) => matches!(recovery.step, Step::Restarting | Step::Joined),
            Self::Unbound | Self::Connecting | Self::Joining | Self::GivenUp { .. } | Self::Closed => false,
        }
    }
}

/// Ping schedule and round-trip time of a signalling connection. It starts with the server's Join and
/// restarts with each resume.
pub(super) struct PingSchedule {
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    pub(super) next_ping: Time,
    pub(super) last_received: Time,
    /// The server's answer to our last ping, to be returned with the next one.
    pub(super) round_trip_ms: i64,
}

impl PingSchedule {
    pub(super) fn restart(&mut self, now: Time) {
        self.next_ping = now + self.ping_interval;
        self.last_received = now;
    }
}

/// The recovery of a lost connection.
pub(super) struct Recovery {
    pub(super) since: Time,
    /// The cause of the loss.
    pub(super) cause: DisconnectReason,
    /// Why the last attempt failed.
    pub(super) last: Option<DisconnectReason>,
    /// Whether there is nothing to resume.
    pub(super) new_session: bool,
    pub(super) step: Step,
    /// The end of the delay, or the deadline of the step.
    pub(super) until: Time,
    pub(super) unanswered: u32,
    /// The sid of the previous room.
    pub(super) room_sid: String,
    /// Number of reliable messages that the old session may have lost.
    pub(super) unconfirmed: u64,
}

impl Recovery {
    pub(super) fn abandons_session(&self) -> bool {
        let old = matches!(self.step, Step::Waiting | Step::Opening | Step::Asking | Step::Restarting);
        self.new_session && old
    }
}

pub(super) enum Step {
    /// Waiting for the next attempt.
    Waiting,
    /// The WebSocket for a resume is being opened.
    Opening,
    /// Waiting for the server's answer whether it knows the session.
    Asking,
    /// It does: the media connection looks for a path.
    Restarting,
    /// A socket for a new session is being bound.
    Binding,
    /// Its WebSocket is being opened.
    Connecting,
    /// Waiting for the server's Join.
    Joining,
    /// Joined: the media connection is being established.
    Joined,
}
