//! What an election hears and what it wants.

use std::time::Duration;

use crate::Time;

/// Something that happened to a candidate. All but [`Resigned`](Self::Resigned) answer its last call to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionInput {
    /// The store gave us the lead.
    Granted {
        /// The fencing token.
        token: u64,
    },
    /// Somebody else leads.
    Held {
        /// Who.
        by: String,
        /// How long, unless the lease is renewed.
        remaining: Duration,
    },
    /// The store prolonged our lease.
    Renewed,
    /// Our lease is not there any more.
    Refused,
    /// The store could not be asked.
    Failed,
    /// Nobody here wants to lead or to follow any more.
    Resigned,
}

/// Something that a candidate wants. At most one of [`Try`](Self::Try), [`Renew`](Self::Renew) is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionOutput {
    /// Ask the store for the lead.
    Try,
    /// Ask the store to prolong the lease.
    Renew {
        /// The token of the lease.
        token: u64,
    },
    /// Forget the call that is under way: its answer would not be believed. The store may still carry it out.
    Abandon,
    /// Give back what the store may have given us. Best effort: without it, the lease runs out.
    Release,
    /// We lead.
    Lead {
        /// The fencing token.
        token: u64,
        /// From then on we do not, unless the lease is prolonged.
        until: Time,
    },
    /// We lead for longer.
    Extended {
        /// From then on we do not.
        until: Time,
    },
    /// Somebody else leads; said again when it is another one.
    Follow {
        /// Who.
        leader: String,
    },
    /// We lead no longer. The election is over.
    Lost(LeaseLoss),
    /// The first call failed, so that there is nothing to follow either. The election is over.
    GaveUp,
}

/// Why a leader leads no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseLoss {
    /// It could not be renewed in time, by our own clock: the store could not be reached, or this process stood still.
    Expired,
    /// The store does not know it any more: another one leads, or the store has lost its data.
    Refused,
    /// It was given back.
    Released,
}

impl LeaseLoss {
    /// Why in one word, as metrics count it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Released => "released",
        }
    }
}

/// Why an election wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionTimer {
    /// The store takes too long to answer.
    Answer,
    /// Try to become the leader.
    Try,
    /// Renew the lease.
    Renew,
    /// The lease is over, as far as we can know.
    Deadline,
}
