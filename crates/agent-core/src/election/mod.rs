//! Leader election by lease: the rules of a candidate.
//!
//! One [`Election`] is one candidate for one lease in a store that all candidates share ([`LeaseRecord`]). It
//! decides when to acquire and when to renew the lease, and when a leader must consider its lease lost *by
//! its own clock*. It must never trust a lease for longer than the store does, which counts from when the
//! call arrives: it counts from when the call was *sent*, minus a margin for clock drift.
//!
//! It cannot prevent that a leader is stopped (a paused process, a frozen machine) between its last look at
//! the clock and its write. That is what the fencing token is for (I13): the store accepts only writes under
//! the last granted token.
//!
//! ```text
//!              Granted                 Resigned
//!   ┌─ Trying ─────────▶ Leading ─────────────────┐
//!   │   ▲  │ Held, Failed   │ Refused, deadline    ▼
//!   │   │  ▼                └──────────────────▶ Over
//!   │  Waiting ────────────────────────────────────▲
//!   │                        Resigned              │
//!   └──────────────────────────────────────────────┘
//!       Resigned; Failed on the first call
//! ```

mod io;
mod lease_record;

use std::collections::VecDeque;
use std::time::Duration;

pub use io::{ElectionInput, ElectionOutput, ElectionTimer, LeaseLoss};
pub use lease_record::{AcquireResult, LeaseRecord};

use crate::backoff::up_to;
use crate::{Backoff, Time};

/// The shortest lease: a busy machine would lose a shorter one.
pub const MIN_LEASE: Duration = Duration::from_millis(500);
/// The longest lease: after a crash of the leader there may be none for this long.
pub const MAX_LEASE: Duration = Duration::from_secs(3600);

/// Maximum jitter before a free lease is tried, so that not all followers call the store at once.
const MAX_JITTER: Duration = Duration::from_millis(250);
/// Minimum wait between two attempts of a follower.
const MIN_WAIT: Duration = Duration::from_millis(20);
/// Minimum time limit of a call that may have to connect to the store first.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// One candidate in one election.
///
/// The contract is that of every machine here: pass in what happened, then drain
/// [`poll_output`](Self::poll_output), then sleep until [`poll_timeout`](Self::poll_timeout).
///
/// ```
/// use agent_core::{Election, ElectionInput, ElectionOutput, Time};
/// use std::time::Duration;
///
/// let mut election = Election::new(Duration::from_secs(8), 7);
/// assert_eq!(election.poll_output(), Some(ElectionOutput::Try));
/// election.handle_input(ElectionInput::Granted { token: 5 }, Time::ZERO + Duration::from_millis(3));
/// let until = Time::ZERO + Duration::from_secs(7); // of the 8 s, one is the margin
/// assert_eq!(election.poll_output(), Some(ElectionOutput::Lead { token: 5, until }));
/// ```
#[derive(Debug)]
pub struct Election {
    lease: Duration,
    rng: fastrand::Rng,
    backoff: Backoff,
    state: State,
    /// The leader that we follow, as last output.
    leader: Option<String>,
    /// Whether the store has ever answered.
    has_answered: bool,
    /// Whether the store may have granted a lease that we do not know of.
    grant_unknown: bool,
    outputs: VecDeque<ElectionOutput>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Trying { sent: Time },
    Waiting { until: Time },
    Leading { token: u64, deadline: Time, renewal: Renewal },
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Renewal {
    Due(Time),
    Sent(Time),
}

impl Election {
    /// A candidate that tries to acquire the lease at once, at [`Time::ZERO`]. The lease is clamped to
    /// [`MIN_LEASE`] and [`MAX_LEASE`]; the seed determines the jitter.
    #[must_use]
    pub fn new(lease: Duration, seed: u64) -> Self {
        Self {
            lease: lease.clamp(MIN_LEASE, MAX_LEASE),
            rng: fastrand::Rng::with_seed(seed),
            // Short, as others may wait for a leader, but with jitter to protect a store that restarts.
            backoff: Backoff::new(MIN_WAIT, MAX_JITTER, Duration::from_millis(500)),
            state: State::Trying { sent: Time::ZERO },
            leader: None,
            has_answered: false,
            grant_unknown: false,
            outputs: VecDeque::from([ElectionOutput::Try]),
        }
    }

    /// Takes what happened. Unexpected input, such as a second answer, changes nothing.
    pub fn handle_input(&mut self, input: ElectionInput, now: Time) {
        // After a long pause an answer may be read before the clock: an expired lease stays expired.
        self.handle_timeout(now);
        match (self.state, input) {
            (State::Over, _) => {}
            (State::Trying { sent }, ElectionInput::Granted { token }) => self.granted(token, sent, now),
            (State::Trying { .. }, ElectionInput::Held { by, remaining }) => {
                self.answered();
                self.follow(by);
                self.wait_for_lease(remaining, now);
            }
            (State::Trying { .. }, ElectionInput::Failed | ElectionInput::Refused) => self.try_failed(now),
            (State::Trying { .. }, ElectionInput::Resigned) => {
                self.outputs.push_back(ElectionOutput::Abandon);
                self.grant_unknown = true;
                self.over();
            }
            (State::Waiting { .. }, ElectionInput::Resigned) => self.over(),
            (
                State::Leading { token, renewal: Renewal::Sent(sent), .. },
                ElectionInput::Renewed | ElectionInput::Granted { .. },
            ) => {
                let deadline = self.deadline(sent);
                let renewal = Renewal::Due(self.renewal_after(sent));
                self.state = State::Leading { token, deadline, renewal };
                self.outputs.push_back(ElectionOutput::Extended { until: deadline });
                self.handle_timeout(now);
            }
            (
                State::Leading { renewal: Renewal::Sent(_), .. },
                ElectionInput::Refused | ElectionInput::Held { .. },
            ) => {
                self.lost(LeaseLoss::Refused);
            }
            (State::Leading { token, deadline, renewal: Renewal::Sent(_) }, ElectionInput::Failed) => {
                self.state =
                    State::Leading { token, deadline, renewal: Renewal::Due(self.retry_renewal_at(now)) };
            }
            (State::Leading { renewal, .. }, ElectionInput::Resigned) => {
                if matches!(renewal, Renewal::Sent(_)) {
                    self.outputs.push_back(ElectionOutput::Abandon);
                }
                self.grant_unknown = true;
                self.lost(LeaseLoss::Released);
            }
            // Answers without a pending call.
            (
                State::Trying { .. }
                | State::Waiting { .. }
                | State::Leading { renewal: Renewal::Due(_), .. },
                ElectionInput::Renewed | ElectionInput::Granted { .. } | ElectionInput::Held { .. },
            )
            | (
                State::Waiting { .. } | State::Leading { renewal: Renewal::Due(_), .. },
                ElectionInput::Refused | ElectionInput::Failed,
            ) => {}
        }
    }

    /// Takes the passing of time. Early and repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, timer)) = self.poll_timeout()
            && at <= now
        {
            self.due(timer, now);
        }
    }

    /// The next output; `None` when there are no more.
    pub fn poll_output(&mut self) -> Option<ElectionOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, ElectionTimer)> {
        match self.state {
            State::Trying { sent } => Some((sent + self.try_limit(), ElectionTimer::Answer)),
            State::Waiting { until } => Some((until, ElectionTimer::Try)),
            State::Leading { deadline, renewal, .. } => {
                let (at, timer) = match renewal {
                    Renewal::Due(at) => (at, ElectionTimer::Renew),
                    Renewal::Sent(sent) => (sent + self.renew_limit(), ElectionTimer::Answer),
                };
                Some(if deadline <= at { (deadline, ElectionTimer::Deadline) } else { (at, timer) })
            }
            State::Over => None,
        }
    }

    /// Whether the election is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn due(&mut self, timer: ElectionTimer, now: Time) {
        match (self.state, timer) {
            (State::Trying { .. }, _) => {
                self.outputs.push_back(ElectionOutput::Abandon);
                self.grant_unknown = true;
                self.try_failed(now);
            }
            (State::Waiting { .. }, _) => {
                self.state = State::Trying { sent: now };
                self.outputs.push_back(ElectionOutput::Try);
            }
            (State::Leading { renewal, .. }, ElectionTimer::Deadline) => {
                if matches!(renewal, Renewal::Sent(_)) {
                    self.outputs.push_back(ElectionOutput::Abandon);
                }
                self.grant_unknown = true;
                self.lost(LeaseLoss::Expired);
            }
            (State::Leading { token, deadline, renewal: Renewal::Due(_) }, _) => {
                self.state = State::Leading { token, deadline, renewal: Renewal::Sent(now) };
                self.outputs.push_back(ElectionOutput::Renew { token });
            }
            (State::Leading { token, deadline, renewal: Renewal::Sent(_) }, _) => {
                self.outputs.push_back(ElectionOutput::Abandon);
                self.state =
                    State::Leading { token, deadline, renewal: Renewal::Due(self.retry_renewal_at(now)) };
            }
            (State::Over, _) => {}
        }
    }

    fn granted(&mut self, token: u64, sent: Time, now: Time) {
        self.answered();
        let deadline = self.deadline(sent);
        if deadline <= now {
            // The lease has expired before the answer came.
            self.grant_unknown = true;
            self.wait_for_lease(Duration::ZERO, now);
            return;
        }
        self.state = State::Leading { token, deadline, renewal: Renewal::Due(self.renewal_after(sent)) };
        self.outputs.push_back(ElectionOutput::Lead { token, until: deadline });
        self.handle_timeout(now);
    }

    fn answered(&mut self) {
        self.has_answered = true;
        self.grant_unknown = false;
        self.backoff.reset();
    }

    fn follow(&mut self, leader: String) {
        if self.leader.as_ref() != Some(&leader) {
            self.leader = Some(leader.clone());
            self.outputs.push_back(ElectionOutput::Follow { leader });
        }
    }

    /// A follower retries when
    fn wait_for_lease(&mut self, remaining: Duration, now: Time) {
        let jitter = up_to((self.lease / 10).min(MAX_JITTER), &mut self.rng);
        let until = now + remaining.min(self.lease / 3).max(MIN_WAIT) + jitter;
        self.state = State::Waiting { until };
    }

    fn try_failed(&mut self, now: Time) {
        if self.has_answered {
            self.state = State::Waiting { until: now + self.backoff.next(&mut self.rng) };
        } else {
            self.outputs.push_back(ElectionOutput::GaveUp);
            self.over();
        }
    }

    /// After a third of the lease at the latest. Jitter spreads the renewals of leaders that were elected at
    /// the same moment, as after a restart of their store.
    fn renewal_after(&mut self, sent: Time) -> Time {
        sent + (self.lease / 3).saturating_sub(up_to(self.lease / 12, &mut self.rng))
    }

    /// The time of the retry after a failed renewal, which has to succeed before the lease ends.
    fn retry_renewal_at(&mut self, now: Time) -> Time {
        let least = (self.lease / 40).max(MIN_WAIT);
        now + least + up_to(least, &mut self.rng)
    }

    fn lost(&mut self, why: LeaseLoss) {
        self.outputs.push_back(ElectionOutput::Lost(why));
        self.over();
    }

    fn over(&mut self) {
        self.state = State::Over;
        if self.grant_unknown {
            self.outputs.push_back(ElectionOutput::Release);
        }
    }

    /// When a lease whose call was sent at `sent` counts as lost.
    fn deadline(&self, sent: Time) -> Time {
        sent + (self.lease - self.lease / 8)
    }

    fn try_limit(&self) -> Duration {
        self.renew_limit().max(CONNECT_TIME)
    }

    fn renew_limit(&self) -> Duration {
        Self::answer_limit(self.lease)
    }

    /// How long a candidate waits for the answer to a renewal. Later answers are ignored: the store should
    /// then be called over another connection, as the present one may be half open.
    #[must_use]
    pub fn answer_limit(lease: Duration) -> Duration {
        lease / 4
    }
}
