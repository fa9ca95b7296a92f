//! Inputs and outputs of an election.

use std::time::Duration;

use crate::Time;

/// What happened to a candidate. All but [`Resigned`](Self::Resigned) answer its last call to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionInput {
    /// The store granted the lease.
    Granted {
        /// The fencing token.
        token: u64,
    },
    /// Another candidate leads.
    Held {
        /// The leader.
        by: String,
        /// The rest of its lease, unless renewed.
        remaining: Duration,
    },
    /// The store renewed our lease.
    Renewed,
    /// Our lease is no longer held.
    Refused,
    /// The call to the store failed.
    Failed,
    /// This process neither leads nor follows any more.
    Resigned,
}

/// What the driver of a candidate has to do. At most one of [`Try`](Self::Try), [`Renew`](Self::Renew) is in
/// progress at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionOutput {
    /// Acquire the lease.
    Try,
    /// Renew the lease.
    Renew {
        /// The token of the lease.
        token: u64,
    },
    /// Abandon the call in progress: its answer would be ignored. The store may still execute it.
    Abandon,
    /// Release the lease that the store may have granted. Best effort: without it, the lease expires.
    Release,
    /// We lead.
    Lead {
        /// The fencing token.
        token: u64,
        /// When we no longer lead, unless the lease is renewed.
        until: Time,
    },
    /// Our lease was extended.
    Extended {
        /// When we no longer lead.
        until: Time,
    },
    /// Another candidate leads; repeated when the leader changes.
    Follow {
        /// The leader.
        leader: String,
    },
    /// We no longer lead. The election is over.
    Lost(LeaseLoss),
    /// The first call failed, so that there is nothing to follow either. The election is over.
    GaveUp,
}

/// Why a leader lost its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseLoss {
    /// It could not be renewed in time, by our own clock: the store was unreachable, or this process was
    /// paused.
    Expired,
    /// The store no longer holds it: another candidate leads, or the store has lost its data.
    Refused,
    /// It was released.
    Released,
}

impl LeaseLoss {
    /// The value of the metric label for this reason.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Released => "released",
        }
    }
}

/// The timers of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionTimer {
    /// The call to the store has timed out.
    Answer,
    /// Try to acquire the lease.
    Try,
    /// Renew the lease.
    Renew,
    /// The lease has expired, by our clock.
    Deadline,
}
