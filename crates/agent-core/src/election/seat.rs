//! What a store keeps of one election, and what it answers. A store of any kind follows these rules; those that can call them do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The seat that candidates compete for: who holds it until when, and the token of the last grant.
///
/// All times are microseconds on the clock of the store, which is the only one that counts here. Tokens only grow: each is larger
/// than the one before and at least the time of its grant, so that they grow even when a store has lost everything.
///
/// ```
/// use agent_core::{Seat, SeatAnswer};
/// use std::time::Duration;
///
/// let lease = Duration::from_secs(10);
/// let mut seat = Seat::default();
/// assert_eq!(seat.acquire("a", lease, 1_000), SeatAnswer::Granted { token: 1_000 });
/// let held = seat.acquire("b", lease, 4_001_000);
/// assert_eq!(held, SeatAnswer::Held { by: "a".to_owned(), remaining: Duration::from_secs(6) });
/// assert_eq!(seat.acquire("b", lease, 10_001_000), SeatAnswer::Granted { token: 10_001_000 });
/// assert!(seat.may_write(10_001_000));
/// assert!(!seat.may_write(1_000), "the leader before");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The token of the last grant; 0 before the first.
    token: u64,
    holder: Option<Holder>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    id: String,
    /// The first microsecond at which it holds the seat no longer.
    until: u64,
}

/// What a store says to one who wants the seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatAnswer {
    /// It is yours.
    Granted {
        /// The fencing token of this grant.
        token: u64,
    },
    /// Somebody else has it.
    Held {
        /// Who.
        by: String,
        /// How long, unless it is renewed or released.
        remaining: Duration,
    },
}

impl Seat {
    /// Gives the seat to `id` if it is free. One who has it already keeps it, with the same token: the answer to an earlier call may
    /// have been lost.
    pub fn acquire(&mut self, id: &str, lease: Duration, now: u64) -> SeatAnswer {
        match &self.holder {
            Some(holder) if holder.until > now && holder.id != id => SeatAnswer::Held {
                by: holder.id.clone(),
                remaining: Duration::from_micros(holder.until - now),
            },
            Some(holder) if holder.until > now => {
                self.hold(id, lease, now);
                SeatAnswer::Granted { token: self.token }
            }
            Some(_) | None => {
                self.token = next_token(self.token, now);
                self.hold(id, lease, now);
                SeatAnswer::Granted { token: self.token }
            }
        }
    }

    /// Prolongs the hold of `id`, from now on; `false` when it is not held under this token any more.
    pub fn renew(&mut self, id: &str, token: u64, lease: Duration, now: u64) -> bool {
        let holds = self.token == token && self.holder.as_ref().is_some_and(|h| h.id == id && h.until > now);
        if holds {
            self.hold(id, lease, now);
        }
        holds
    }

    /// Frees the seat if `id` has it.
    pub fn release(&mut self, id: &str) {
        self.holder.take_if(|holder| holder.id == id);
    }

    /// Whether a write under this token counts: only under the token of the last grant. A leader whose lease is over may still
    /// write as long as there was none after it.
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

/// Grows with each grant, and with the clock where the last one is forgotten.
const fn next_token(last: u64, now: u64) -> u64 {
    let next = last.saturating_add(1);
    if next > now { next } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_micros(100);

    fn token(answer: SeatAnswer) -> u64 {
        match answer {
            SeatAnswer::Granted { token } => token,
            SeatAnswer::Held { by, .. } => panic!("held by {by}"),
        }
    }

    #[test]
    fn a_clock_that_went_back_does_not_make_tokens_go_back() {
        let mut seat = Seat::default();
        assert_eq!(token(seat.acquire("a", LEASE, 500)), 500);
        seat.release("a");
        assert_eq!(token(seat.acquire("b", LEASE, 20)), 501);
    }

    #[test]
    fn a_lost_answer_is_given_again_and_does_not_fence_its_own_asker() {
        let mut seat = Seat::default();
        let first = token(seat.acquire("a", LEASE, 1));
        assert_eq!(token(seat.acquire("a", LEASE, 50)), first);
        assert!(seat.renew("a", first, LEASE, 140), "the second call has prolonged it");
        assert_ne!(token(seat.acquire("a", LEASE, 240)), first, "its lease was over");
    }

    #[test]
    fn only_the_holder_renews_and_releases() {
        let mut seat = Seat::default();
        let a = token(seat.acquire("a", LEASE, 1));
        assert!(!seat.renew("b", a, LEASE, 2));
        assert!(!seat.renew("a", a + 1, LEASE, 2));
        seat.release("b");
        assert!(seat.renew("a", a, LEASE, 2));
        assert!(!seat.renew("a", a, LEASE, 102), "at its end the lease is over");
        seat.release("a");
        assert_eq!(token(seat.acquire("b", LEASE, 3)), a + 2);
    }

    #[test]
    fn nobody_writes_before_the_first_grant_or_after_everything_was_lost() {
        assert!(!Seat::default().may_write(0));
        assert!(!Seat::default().may_write(7));
    }
}
