//! Who leads: the rules of a candidate in an election by lease.
//!
//! One [`Election`] is one candidate for one seat in a store that all candidates share ([`Seat`]). It decides when to ask for
//! the lead and when to renew it, and when a leader must take its lease for lost *by its own clock*. It must never believe in
//! a lease for longer than the store does (which counts later, from when the call arrives): a lease counts from the moment at
//! which the call was *sent*, minus a margin for clocks that run differently.
//!
//! What it cannot rule out is a leader that was stopped (a paused process, a frozen machine) between its last look at the
//! clock and its write. That is what the fencing token is for (I13): the store takes no write but under the last one granted.
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
mod seat;

use std::collections::VecDeque;
use std::time::Duration;

pub use io::{ElectionInput, ElectionOutput, ElectionTimer, LeaseLoss};
pub use seat::{Seat, SeatAnswer};

use crate::backoff::up_to;
use crate::{Backoff, Time};

/// The shortest lease: below that, a busy machine loses it by itself.
pub const MIN_LEASE: Duration = Duration::from_millis(500);
/// The longest lease: nobody leads for so long after a leader is gone.
pub const MAX_LEASE: Duration = Duration::from_secs(3600);

/// A free seat is tried at most so much later, so that not all followers ask at once.
const MAX_JITTER: Duration = Duration::from_millis(250);
/// How soon a follower asks again, at the least.
const MIN_WAIT: Duration = Duration::from_millis(20);
/// A call to a store that may have to be connected first has at least this time.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// One candidate in one election.
///
/// The contract is that of every machine here: tell it what happened, then drain [`poll_output`](Self::poll_output), then sleep
/// until [`poll_timeout`](Self::poll_timeout).
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
    /// Whom we follow, as last told.
    leader: Option<String>,
    /// Whether the store has ever answered.
    heard: bool,
    /// Whether the store may hold something for us that we do not know of.
    unsure: bool,
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
    /// A candidate that asks for the lead at once, at [`Time::ZERO`]. The lease is kept within [`MIN_LEASE`] and [`MAX_LEASE`]; the
    /// seed decides the jitter.
    #[must_use]
    pub fn new(lease: Duration, seed: u64) -> Self {
        Self {
            lease: lease.clamp(MIN_LEASE, MAX_LEASE),
            rng: fastrand::Rng::with_seed(seed),
            // Short, as somebody may wait for a leader, and yet a store that comes back is not stormed.
            backoff: Backoff::new(MIN_WAIT, MAX_JITTER, Duration::from_millis(500)),
            state: State::Trying { sent: Time::ZERO },
            leader: None,
            heard: false,
            unsure: false,
            outputs: VecDeque::from([ElectionOutput::Try]),
        }
    }

    /// Tells what happened. What does not fit, such as a second answer, changes nothing.
    pub fn handle_input(&mut self, input: ElectionInput, now: Time) {
        // After a long stop an answer may be read before the clock: a lease that is over stays over.
        self.handle_timeout(now);
        match (self.state, input) {
            (State::Over, _) => {}
            (State::Trying { sent }, ElectionInput::Granted { token }) => self.granted(token, sent, now),
            (State::Trying { .. }, ElectionInput::Held { by, remaining }) => {
                self.answered();
                self.follow(by);
                self.wait_for_seat(remaining, now);
            }
            (State::Trying { .. }, ElectionInput::Failed | ElectionInput::Refused) => self.try_failed(now),
            (State::Trying { .. }, ElectionInput::Resigned) => {
                self.outputs.push_back(ElectionOutput::Abandon);
                self.unsure = true;
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
                self.state = State::Leading { token, deadline, renewal: Renewal::Due(self.renew_again(now)) };
            }
            (State::Leading { renewal, .. }, ElectionInput::Resigned) => {
                if matches!(renewal, Renewal::Sent(_)) {
                    self.outputs.push_back(ElectionOutput::Abandon);
                }
                self.unsure = true;
                self.lost(LeaseLoss::Released);
            }
            // Answers that nobody waits for.
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

    /// Does what is due. Early and repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, timer)) = self.poll_timeout()
            && at <= now
        {
            self.due(timer, now);
        }
    }

    /// The next thing that it wants; `None` when there is nothing more.
    pub fn poll_output(&mut self) -> Option<ElectionOutput> {
        self.outputs.pop_front()
    }

    /// When it wants to be woken, and why.
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

    /// Whether it has come to its end: nothing more happens.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn due(&mut self, timer: ElectionTimer, now: Time) {
        match (self.state, timer) {
            (State::Trying { .. }, _) => {
                self.outputs.push_back(ElectionOutput::Abandon);
                self.unsure = true;
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
                self.unsure = true;
                self.lost(LeaseLoss::Expired);
            }
            (State::Leading { token, deadline, renewal: Renewal::Due(_) }, _) => {
                self.state = State::Leading { token, deadline, renewal: Renewal::Sent(now) };
                self.outputs.push_back(ElectionOutput::Renew { token });
            }
            (State::Leading { token, deadline, renewal: Renewal::Sent(_) }, _) => {
                self.outputs.push_back(ElectionOutput::Abandon);
                self.state = State::Leading { token, deadline, renewal: Renewal::Due(self.renew_again(now)) };
            }
            (State::Over, _) => {}
        }
    }

    fn granted(&mut self, token: u64, sent: Time, now: Time) {
        self.answered();
        let deadline = self.deadline(sent);
        if deadline <= now {
            // The answer took so long that the lease is over already.
            self.unsure = true;
            self.wait_for_seat(Duration::ZERO, now);
            return;
        }
        self.state = State::Leading { token, deadline, renewal: Renewal::Due(self.renewal_after(sent)) };
        self.outputs.push_back(ElectionOutput::Lead { token, until: deadline });
        self.handle_timeout(now);
    }

    fn answered(&mut self) {
        self.heard = true;
        self.unsure = false;
        self.backoff.reset();
    }

    fn follow(&mut self, leader: String) {
        if self.leader.as_ref() != Some(&leader) {
            self.leader = Some(leader.clone());
            self.outputs.push_back(ElectionOutput::Follow { leader });
        }
    }

    /// A follower asks when the lease that it has heard of ends, and now and then before: the leader may step down.
    fn wait_for_seat(&mut self, remaining: Duration, now: Time) {
        let jitter = up_to((self.lease / 10).min(MAX_JITTER), &mut self.rng);
        let until = now + remaining.min(self.lease / 3).max(MIN_WAIT) + jitter;
        self.state = State::Waiting { until };
    }

    fn try_failed(&mut self, now: Time) {
        if self.heard {
            self.state = State::Waiting { until: now + self.backoff.next(&mut self.rng) };
        } else {
            self.outputs.push_back(ElectionOutput::GaveUp);
            self.over();
        }
    }

    /// After a third of the lease at the latest. Those who were elected in one moment, as after a restart of their store, do not all
    /// come back in one moment.
    fn renewal_after(&mut self, sent: Time) -> Time {
        sent + (self.lease / 3).saturating_sub(up_to(self.lease / 12, &mut self.rng))
    }

    /// A renewal that failed has to succeed before the lease is over.
    fn renew_again(&mut self, now: Time) -> Time {
        let least = (self.lease / 40).max(MIN_WAIT);
        now + least + up_to(least, &mut self.rng)
    }

    fn lost(&mut self, why: LeaseLoss) {
        self.outputs.push_back(ElectionOutput::Lost(why));
        self.over();
    }

    fn over(&mut self) {
        self.state = State::Over;
        if self.unsure {
            self.outputs.push_back(ElectionOutput::Release);
        }
    }

    /// When a lease that was asked for at `sent` has to be taken for lost.
    fn deadline(&self, sent: Time) -> Time {
        sent + (self.lease - self.lease / 8)
    }

    fn try_limit(&self) -> Duration {
        self.renew_limit().max(CONNECT_TIME)
    }

    fn renew_limit(&self) -> Duration {
        Self::answer_limit(self.lease)
    }

    /// How long a candidate waits for the answer to a renewal. Later ones are not believed: a store that has not answered by then
    /// should be asked over another connection, as the one in use may be half open.
    #[must_use]
    pub fn answer_limit(lease: Duration) -> Duration {
        lease / 4
    }
}
