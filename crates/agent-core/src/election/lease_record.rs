//! The record that a store keeps of one election, and its rules. Stores that cannot call them reimplement
//! them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The lease that candidates compete for: who holds it until when, and the token of the last grant.
///
/// All times are in microseconds of the store's clock, which is the only one that counts here. Tokens only
/// grow: each is larger than the one before and at least the time of its grant, so that they grow even when a
/// store has lost its data.
///
/// ```
/// use agent_core::{LeaseRecord, AcquireResult};
/// use std::time::Duration;
///
/// let lease = Duration::from_secs(10);
/// let mut record = LeaseRecord::default();
/// assert_eq!(record.acquire("a", lease, 1_000), AcquireResult::Granted { token: 1_000 });
/// let held = record.acquire("b", lease, 4_001_000);
/// assert_eq!(held, AcquireResult::Held { by: "a".to_owned(), remaining: Duration::from_secs(6) });
/// assert_eq!(record.acquire("b", lease, 10_001_000), AcquireResult::Granted { token: 10_001_000 });
/// assert!(record.may_write(10_001_000));
/// assert!(!record.may_write(1_000), "the leader before");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The token of the last grant; 0 before the first.
    token: u64,
    holder: Option<Holder>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    id: String,
    /// The first microsecond at which it no longer holds the lease.
    until: u64,
}

/// The answer of a store to a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquireResult {
    /// The lease is granted.
    Granted {
        /// The fencing token of this grant.
        token: u64,
    },
    /// Another candidate holds it.
    Held {
        /// The holder.
        by: String,
        /// The rest of its lease, unless it is renewed or released.
        remaining: Duration,
    },
}

impl LeaseRecord {
    /// Grants the lease to `id` if it is free. The present holder keeps it, with the same token: the answer
    /// to an earlier call may have been lost.
    pub fn acquire(&mut self, id: &str, lease: Duration, now: u64) -> AcquireResult {
        match &self.holder {
            Some(holder) if holder.until > now && holder.id != id => AcquireResult::Held {
                by: holder.id.clone(),
                remaining: Duration::from_micros(holder.until - now),
            },
            Some(holder) if holder.until > now => {
                self.hold(id, lease, now);
                AcquireResult::Granted { token: self.token }
            }
            Some(_) | None => {
                self.token = next_token(self.token, now);
                self.hold(id, lease, now);
                AcquireResult::Granted { token: self.token }
            }
        }
    }

    /// Extends the lease of `id` from now on; `false` when it is no longer held under this token.
    pub fn renew(&mut self, id: &str, token: u64, lease: Duration, now: u64) -> bool {
        let holds = self.token == token && self.holder.as_ref().is_some_and(|h| h.id == id && h.until > now);
        if holds {
            self.hold(id, lease, now);
        }
        holds
    }

    /// Releases the lease if `id` holds it.
    pub fn release(&mut self, id: &str) {
        self.holder.take_if(|holder| holder.id == id);
    }

    /// Whether a write under this token is accepted: only under the token of the last grant. A leader whose
    /// lease has expired may still write until the next grant.
    #[must_use]
    pub const fn may_write(&self, token: u64) -> bool {
        token != 0 && self.token == token
    }

    /// The token of the last grant; 0 before the first.
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.token
    }

    fn hold(&mut self, id: &str, lease: Duration, now: u64) {
        let lease = u64::try_from(lease.as_micros()).unwrap_or(u64::MAX);
        self.holder = Some(Holder { id: id.to_owned(), until: now.saturating_add(lease) });
    }
}

/// The next token: larger than the last, and at least the time, in case the last one was lost.
const fn next_token(last: u64, now: u64) -> u64 {
    let next = last.saturating_add(1);
    if next > now { next } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_micros(100);

    fn token(answer: AcquireResult) -> u64 {
        match answer {
            AcquireResult::Granted { token } => token,
            AcquireResult::Held { by, .. } => panic!("held by {by}"),
        }
    }

    #[test]
    fn tokens_grow_even_if_the_clock_goes_back() {
        let mut record = LeaseRecord::default();
        assert_eq!(token(record.acquire("a", LEASE, 500)), 500);
        record.release("a");
        assert_eq!(token(record.acquire("b", LEASE, 20)), 501);
    }

    #[test]
    fn a_lost_answer_is_repeated_and_does_not_fence_its_own_caller() {
        let mut record = LeaseRecord::default();
        let first = token(record.acquire("a", LEASE, 1));
        assert_eq!(token(record.acquire("a", LEASE, 50)), first);
        assert!(record.renew("a", first, LEASE, 140), "the second call has prolonged it");
        assert_ne!(token(record.acquire("a", LEASE, 240)), first, "its lease was over");
    }

    #[test]
    fn a_lease_is_held_until_its_end_and_free_from_then_on() {
        let mut record = LeaseRecord::default();
        let first = token(record.acquire("a", LEASE, 1));
        for (now, remaining) in [(40, 61), (100, 1)] {
            let held =
                AcquireResult::Held { by: "a".to_owned(), remaining: Duration::from_micros(remaining) };
            assert_eq!(record.acquire("b", LEASE, now), held);
        }
        assert_eq!((record.token(), record.may_write(first)), (first, true));
        assert_eq!(record.acquire("b", LEASE, 101), AcquireResult::Granted { token: 101 });
        assert_eq!((record.token(), record.may_write(first)), (101, false));
    }

    #[test]
    fn only_the_holder_renews_and_releases() {
        let mut record = LeaseRecord::default();
        let a = token(record.acquire("a", LEASE, 1));
        assert!(!record.renew("b", a, LEASE, 2));
        assert!(!record.renew("a", a + 1, LEASE, 2));
        record.release("b");
        assert!(record.renew("a", a, LEASE, 2));
        assert!(!record.renew("a", a, LEASE, 102), "at its end the lease is over");
        record.release("a");
        assert_eq!(token(record.acquire("b", LEASE, 3)), a + 2);
    }

    #[test]
    fn there_is_no_write_before_the_first_grant_or_after_everything_was_lost() {
        assert!(!LeaseRecord::default().may_write(0));
        assert!(!LeaseRecord::default().may_write(7));
    }
}
