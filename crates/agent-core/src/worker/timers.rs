//! The timers of a worker machine, in one table.

use std::collections::{BTreeMap, BTreeSet};

use agent_proto::Time;

use crate::job::JobId;

/// The timers of a worker machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Timer {
    // First, as of two timers at the same time the one listed first fires first: a job that is found stuck at
    // the end of the drain is still counted.
    /// A timer of a job.
    Job(JobId, JobTimer),
    /// The preparation takes too long.
    Prepare,
    /// Reconnect.
    Reconnect,
    /// Opening the connection takes too long.
    Connect,
    /// The answer to the registration takes too long.
    Register,
    /// Ping the server.
    Ping,
    /// The confirmation that the server has read what was sent takes too long.
    Receipt,
    /// Nothing was received for too long.
    Silence,
    /// The connection has been established long enough to reset the backoff.
    Stable,
    /// Enough time has passed since there was no file descriptor left.
    Descriptors,
    /// Report what the drain waits for.
    DrainProgress,
    /// The drain's time limit is over: cancel running jobs.
    DrainLimit,
    /// The cancelled jobs had their time, too: stop without them.
    DrainEnd,
}

/// The timers of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum JobTimer {
    /// The timeout of the job's state: of the answer, the assignment, the grace, the abort, the cleanup, or
    /// the wait before the next attempt.
    Step,
    /// The end of its time limit.
    Deadline,
    /// The repeat of its final status.
    Repeat,
    /// The end of the wait for somebody to join, or to return.
    Empty,
    /// The handler has reported no progress for too long.
    Stale,
}

/// There are thousands of jobs, and each moves its timers several times: they are indexed by job. The
/// worker's own timers are few, and move with each message.
#[derive(Default)]
pub(super) struct Timers {
    /// Timers of jobs, in the order in which they fire.
    by_time: BTreeSet<(Time, JobId, JobTimer)>,
    /// The same by their jobs; each has at least one.
    by_job: BTreeMap<JobId, Waits>,
    /// All others, in no order.
    own: Vec<(Time, Timer)>,
}

/// What one job waits for.
#[derive(Default, PartialEq)]
struct Waits {
    step: Option<Time>,
    deadline: Option<Time>,
    repeat: Option<Time>,
    empty: Option<Time>,
    stale: Option<Time>,
}

impl Waits {
    const fn of(&mut self, timer: JobTimer) -> &mut Option<Time> {
        match timer {
            JobTimer::Step => &mut self.step,
            JobTimer::Deadline => &mut self.deadline,
            JobTimer::Repeat => &mut self.repeat,
            JobTimer::Empty => &mut self.empty,
            JobTimer::Stale => &mut self.stale,
        }
    }
}

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        if let Timer::Job(job, timer) = timer {
            let before = self.by_job.entry(job.clone()).or_default().of(timer).replace(at);
            if let Some(before) = before {
                self.by_time.remove(&(before, job.clone(), timer));
            }
            self.by_time.insert((at, job, timer));
        } else {
            self.clear(&timer);
            self.own.push((at, timer));
        }
    }

    pub(super) fn clear(&mut self, timer: &Timer) {
        if let Timer::Job(job, timer) = timer {
            self.clear_job(job, &[*timer]);
        } else {
            self.own.retain(|(_, other)| other != timer);
        }
    }

    /// When a timer fires that is not of a job, if it is set.
    pub(super) fn at(&self, timer: &Timer) -> Option<Time> {
        self.own.iter().find(|(_, other)| other == timer).map(|(at, _)| *at)
    }

    /// Whether a timer that is not of a job is set.
    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.at(timer).is_some()
    }

    /// Clears several timers of a job.
    pub(super) fn clear_job(&mut self, job: &JobId, timers: &[JobTimer]) {
        let Some(waits) = self.by_job.get_mut(job) else { return };
        for timer in timers {
            if let Some(at) = waits.of(*timer).take() {
                self.by_time.remove(&(at, job.clone(), *timer));
            }
        }
        if *waits == Waits::default() {
            self.by_job.remove(job);
        }
    }

    /// Takes the earliest timer that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        // After most inputs none is due: that is found out without a copy.
        let own = self.own.iter().map(|(at, _)| *at).min();
        let of_jobs = self.by_time.first().map(|(at, ..)| *at);
        if own.into_iter().chain(of_jobs).min()? > now {
            return None;
        }
        let (_, timer) = self.next()?;
        self.clear(&timer);
        Some(timer)
    }

    /// The earliest timer; of several at one moment the one that `Timer` lists first.
    pub(super) fn next(&self) -> Option<(Time, Timer)> {
        let own = self.own.iter().min();
        match self.by_time.first() {
            Some((at, job, timer)) if own.is_none_or(|(other, _)| at <= other) => {
                Some((*at, Timer::Job(job.clone(), *timer)))
            }
            _ => own.cloned(),
        }
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [Timer; 4] = [Timer::Reconnect, Timer::Ping, Timer::Silence, Timer::DrainEnd];
    const OF_JOBS: [JobTimer; 5] =
        [JobTimer::Step, JobTimer::Deadline, JobTimer::Repeat, JobTimer::Empty, JobTimer::Stale];

    /// The same in one map.
    #[derive(Default)]
    struct Model(BTreeMap<Timer, Time>);

    impl Model {
        fn next(&self) -> Option<(Time, Timer)> {
            self.0.iter().map(|(timer, at)| (*at, timer.clone())).min()
        }
    }

    #[test]
    fn timers_fire_in_order_after_any_are_set_moved_and_cleared() {
        let mut rng = fastrand::Rng::with_seed(4);
        let (mut timers, mut model) = (Timers::default(), Model::default());
        let mut fired = 0;
        for _ in 0..20_000 {
            // Few moments, so that many fire at one.
            let at = Time::from_nanos(rng.u64(0..20));
            let job = JobId::new(&format!("AJ_{}", rng.u8(0..4)));
            let of_job = OF_JOBS[rng.usize(..OF_JOBS.len())];
            let timer = match rng.usize(..OWN.len() * 2) {
                own if own < OWN.len() => OWN[own].clone(),
                _ => Timer::Job(job.clone(), of_job),
            };
            match rng.u8(0..8) {
                0..4 => {
                    model.0.insert(timer.clone(), at);
                    timers.set(timer, at);
                }
                4 => {
                    timers.clear(&timer);
                    model.0.remove(&timer);
                }
                5 => {
                    let some = [JobTimer::Step, of_job];
                    timers.clear_job(&job, &some);
                    model.0.retain(|other, _| !some.iter().any(|s| *other == Timer::Job(job.clone(), *s)));
                }
                _ => {
                    let due = model.next().filter(|(first, _)| *first <= at).map(|(_, timer)| timer);
                    assert_eq!(timers.take_due(at), due);
                    fired += usize::from(due.is_some_and(|timer| model.0.remove(&timer).is_some()));
                }
            }
            assert_eq!(timers.next(), model.next());
        }
        assert!(fired > 1000, "{fired}");
        timers.clear_all();
        assert_eq!(timers.next(), None);
        assert!(timers.by_job.is_empty() && timers.by_time.is_empty() && timers.own.is_empty());
    }
}
