//! Stopping a process by signals: which of them count, what each means, and when a process that does not end
//! must be ended.

use std::collections::VecDeque;
use std::time::Duration;

use agent_proto::Time;

use crate::config::Config;

/// The exit code of a process that was forced to stop: as after Ctrl-C in a shell.
pub const FORCED_EXIT_CODE: u8 = 130;
/// The exit code of a process that failed.
pub const FAILED_EXIT_CODE: u8 = 1;

/// A signal within this time after one that counts is the same signal: a terminal signals each process of its
/// group, and a supervisor among them forwards the signal.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// How late a worker may stop before its runtime counts as blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(3);

/// Decides which signals of a process count.
///
/// ```
/// use agent_core::{SignalFilter, Time};
/// use std::time::Duration;
///
/// let mut filter = SignalFilter::default();
/// assert!(filter.counts(Time::ZERO));
/// assert!(!filter.counts(Time::ZERO + Duration::from_secs(1)));
/// assert!(filter.counts(Time::ZERO + Duration::from_millis(1001)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalFilter {
    last: Option<Time>,
}

/// How long workers may take to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownLimits {
    /// From the first signal until all have stopped: the drain timeout, the grace and the abort of what does
    /// not return.
    pub drain: Duration,
    /// The same from the second signal: the abort alone.
    pub abort: Duration,
    /// Time to close connections and rooms and run callbacks, after that.
    pub close: Duration,
}

/// What happened in the course of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownInput {
    /// A signal came that [counts](SignalFilter).
    Signalled,
    /// All workers have stopped, and close their connections now.
    WorkersStopped,
}

/// What to do about a signal, or about a shutdown that takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownAction {
    /// Drain: accept nothing new, and let jobs end.
    Drain,
    /// Abort what still runs.
    Abort,
    /// End the process at once, because of another signal.
    Exit {
        /// Its exit code.
        code: u8,
    },
    /// End the process at once: its workers are so late that blocking code must occupy their threads.
    ExitBlocked {
        /// Its exit code.
        code: u8,
    },
}

/// The course of one shutdown: drain, abort, exit. The contract is that of every machine here, see the
/// [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Shutdown {
    limits: ShutdownLimits,
    signals: u32,
    stopped: bool,
    deadline: Option<Time>,
    out: VecDeque<ShutdownAction>,
}

impl SignalFilter {
    /// Whether a signal that came now counts.
    pub fn counts(&mut self, now: Time) -> bool {
        if self.last.is_some_and(|last| now - last <= SAME_SIGNAL) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

impl ShutdownLimits {
    /// The limits of a worker with this configuration.
    #[must_use]
    pub fn of(config: &Config, drain_timeout: Duration, close: Duration) -> Self {
        let abort = config.abort_timeout;
        Self { drain: drain_timeout.saturating_add(config.grace).saturating_add(abort), abort, close }
    }

    /// The limits of two workers together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            drain: self.drain.max(other.drain),
            abort: self.abort.max(other.abort),
            close: self.close.max(other.close),
        }
    }
}

impl Shutdown {
    /// The shutdown of running workers.
    #[must_use]
    pub const fn new(limits: ShutdownLimits) -> Self {
        Self { limits, signals: 0, stopped: false, deadline: None, out: VecDeque::new() }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, input: ShutdownInput, now: Time) {
        match input {
            ShutdownInput::Signalled => self.on_signal(now),
            ShutdownInput::WorkersStopped => {
                self.stopped = true;
                if self.signals > 0 {
                    self.wait_for(self.limits.close, now);
                }
            }
        }
    }

    /// Takes the passing of time. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.deadline.take_if(|deadline| *deadline <= now).is_some() {
            let code = if self.signals > 1 { FORCED_EXIT_CODE } else { FAILED_EXIT_CODE };
            self.out.push_back(ShutdownAction::ExitBlocked { code });
        }
    }

    /// The next action; drain it to `None` after every input and timeout.
    pub fn poll_output(&mut self) -> Option<ShutdownAction> {
        self.out.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    fn on_signal(&mut self, now: Time) {
        self.signals = self.signals.saturating_add(1);
        let action = match self.signals {
            1 => {
                self.wait_for(self.limits.drain, now);
                ShutdownAction::Drain
            }
            2 => {
                self.wait_for(self.limits.abort, now);
                ShutdownAction::Abort
            }
            _ => ShutdownAction::Exit { code: FORCED_EXIT_CODE },
        };
        self.out.push_back(action);
    }

    fn wait_for(&mut self, limit: Duration, now: Time) {
        let limit = if self.stopped { self.limits.close } else { limit };
        self.deadline = Some(now + limit + BLOCKED_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::ShutdownInput::{Signalled, WorkersStopped};
    use super::*;

    const fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Milliseconds at which signals come, and which of them count.
    #[test]
    fn signals_within_a_second_of_one_that_counts_are_the_same() {
        let table: &[(&[u64], &[u64])] = &[
            (&[0], &[0]),
            (&[0, 0], &[0]),
            (&[0, 1], &[0]),
            (&[0, 1000], &[0]),
            (&[0, 1001], &[0, 1001]),
            // A group and its supervisor, three times.
            (&[0, 5, 2000, 2005, 4000, 4005], &[0, 2000, 4000]),
            // The second is that of the one that counts, not of the one that came last.
            (&[0, 400, 800, 1200, 1600, 2000, 2400], &[0, 1200, 2400]),
            (&[5000, 5900, 6100], &[5000, 6100]),
        ];
        for (come, expected) in table {
            let mut filter = SignalFilter::default();
            let counted: Vec<u64> =
                come.iter().copied().filter(|&millis| filter.counts(at(millis))).collect();
            assert_eq!(counted, *expected, "{come:?}");
        }
    }

    const LIMITS: ShutdownLimits = ShutdownLimits {
        drain: Duration::from_secs(70),
        abort: Duration::from_secs(1),
        close: Duration::from_secs(10),
    };
    const FAILED: Option<ShutdownAction> = Some(ShutdownAction::ExitBlocked { code: 1 });
    const FORCED: Option<ShutdownAction> = Some(ShutdownAction::ExitBlocked { code: 130 });

    fn input(shutdown: &mut Shutdown, input: ShutdownInput, millis: u64) -> Option<ShutdownAction> {
        shutdown.handle_input(input, at(millis));
        let action = shutdown.poll_output();
        assert_eq!(shutdown.poll_output(), None, "one thing at a time");
        action
    }

    fn timed_out(shutdown: &mut Shutdown, now: Time) -> Option<ShutdownAction> {
        shutdown.handle_timeout(now);
        shutdown.poll_output()
    }

    /// When and how it is ended, if nothing else happens.
    fn ends(shutdown: &Shutdown) -> Option<(Time, Option<ShutdownAction>)> {
        let mut shutdown = shutdown.clone();
        let due = shutdown.poll_timeout()?;
        assert_eq!(timed_out(&mut shutdown, Time::from_nanos(due.as_nanos() - 1)), None, "too early");
        let action = timed_out(&mut shutdown, due);
        assert_eq!((timed_out(&mut shutdown, due), shutdown.poll_timeout()), (None, None), "only once");
        Some((due, action))
    }

    #[test]
    fn the_first_drains_the_second_aborts_the_third_ends_the_process() {
        let mut shutdown = Shutdown::new(LIMITS);
        assert_eq!(ends(&shutdown), None, "a worker that runs is late for nothing");
        assert_eq!(input(&mut shutdown, Signalled, 0), Some(ShutdownAction::Drain));
        assert_eq!(input(&mut shutdown, Signalled, 2000), Some(ShutdownAction::Abort));
        for _ in 0..3 {
            assert_eq!(input(&mut shutdown, Signalled, 4000), Some(ShutdownAction::Exit { code: 130 }));
        }
    }

    #[test]
    fn a_process_whose_workers_do_not_stop_in_time_is_ended() {
        let mut shutdown = Shutdown::new(LIMITS);
        input(&mut shutdown, Signalled, 0);
        assert_eq!(ends(&shutdown), Some((at(73_000), FAILED)));
        let mut stopped = shutdown.clone();
        assert_eq!(input(&mut stopped, WorkersStopped, 20_000), None);
        assert_eq!(ends(&stopped), Some((at(33_000), FAILED)), "the rest has its own time");
        input(&mut shutdown, Signalled, 20_000);
        assert_eq!(ends(&shutdown), Some((at(24_000), FORCED)));
        input(&mut shutdown, WorkersStopped, 21_000);
        assert_eq!(ends(&shutdown), Some((at(34_000), FORCED)));
        // A signal after they have stopped by themselves.
        let mut shutdown = Shutdown::new(LIMITS);
        input(&mut shutdown, WorkersStopped, 0);
        assert_eq!(ends(&shutdown), None, "nothing asks the process to end");
        input(&mut shutdown, Signalled, 5000);
        assert_eq!(ends(&shutdown), Some((at(18_000), FAILED)));
    }

    #[test]
    fn limits_are_those_of_the_slowest_and_never_overflow() {
        let config = Config::default();
        let limits = ShutdownLimits::of(&config, Duration::from_secs(60), Duration::from_secs(10));
        assert_eq!(limits, ShutdownLimits { drain: Duration::from_secs(71), ..LIMITS });
        let endless = ShutdownLimits::of(&config, Duration::MAX, Duration::ZERO);
        assert_eq!(limits.and(endless), ShutdownLimits { drain: Duration::MAX, ..LIMITS });
        let mut shutdown = Shutdown::new(limits.and(endless));
        input(&mut shutdown, Signalled, 1);
        assert_eq!(shutdown.poll_timeout(), Some(Time::from_nanos(u64::MAX)));
    }
}
