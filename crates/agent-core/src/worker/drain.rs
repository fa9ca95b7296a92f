//! Stopping: take nothing new, let what runs end, cancel what does not, report what became of it. Promise I7.

use super::Worker;
use super::io::{DrainReport, Output};
use super::timers::Timer;
use crate::job::JobId;
use crate::job::lifecycle::{JobInput, JobState};
use crate::outcome::{AttemptEnd, CancelReason, Outcome};
use crate::time::Time;
use std::time::Duration;

/// A worker that stops.
#[derive(Default)]
pub(super) struct Drain {
    report: DrainReport,
}

impl Drain {
    pub(super) const fn report(&self) -> DrainReport {
        self.report
    }

    pub(super) const fn count(&mut self, outcome: &Outcome) {
        if outcome.is_success() {
            self.report.succeeded += 1;
        } else {
            self.report.failed += 1;
        }
    }
}

impl Worker {
    pub(super) fn on_drain(&mut self, within: Duration, now: Time) {
        if self.drain.is_some() {
            return;
        }
        self.drain = Some(Drain::default());
        // An offer in the user's hands is refused; one that was accepted is ours already, if it is assigned.
        for job in self.jobs_where(|state| *state == JobState::Offered) {
            self.apply(&job, JobInput::Declined, now);
        }
        self.timers.set(Timer::DrainLimit, now + within);
        self.timers.set(Timer::DrainEnd, now + within + self.config.grace + self.config.abort_timeout);
    }

    pub(super) fn on_drain_limit(&mut self, now: Time) {
        for job in self.jobs_where(|_| true) {
            self.apply(&job, JobInput::Cancelled(CancelReason::Drained), now);
        }
    }

    /// Stop without waiting for anybody.
    pub(super) fn on_stop(&mut self, now: Time) {
        self.on_drain(Duration::ZERO, now);
        self.timers.clear(&Timer::DrainLimit);
        self.on_drain_limit(now);
        for job in self.jobs_where(|state| matches!(state, JobState::Cancelled(_))) {
            self.apply(&job, JobInput::GraceOver, now);
        }
        self.timers.set(Timer::DrainEnd, now + self.config.abort_timeout);
    }

    pub(super) fn on_drain_end(&mut self, now: Time) {
        self.stop(Ok(()), now);
    }

    pub(super) fn stop_if_drained(&mut self, now: Time) {
        if self.drain.is_some()
            && !self.is_stopped()
            && self.closing.is_empty()
            && self.jobs.values().all(|entry| entry.state == JobState::Stuck)
        {
            self.stop(Ok(()), now);
        }
    }

    /// Ends what is left, so that each assignment has its outcome (I3) and each status its chance.
    pub(super) fn end_all(&mut self, now: Time) {
        while let Some((id, entry)) = self.jobs.pop_first() {
            match &entry.state {
                JobState::Offered | JobState::Accepted => {}
                JobState::Starting | JobState::Running => {
                    self.out.push_back(Output::Abort { job: id });
                    self.finish(entry.assignment(), Outcome::failed("aborted: the worker stopped"), now);
                }
                JobState::Cancelled(reason) | JobState::Aborting(reason) => {
                    let outcome = Outcome::of_cancelled(reason, AttemptEnd::Aborted);
                    self.out.push_back(Output::Abort { job: id });
                    self.finish(entry.assignment(), outcome, now);
                }
                JobState::Stuck => {
                    if let Some(drain) = &mut self.drain {
                        drain.report.stuck += 1;
                    }
                }
            }
        }
        let unsent = self.flush_closing();
        if let Some(drain) = &mut self.drain {
            drain.report.unsent += unsent;
        }
    }

    fn jobs_where(&self, wanted: impl Fn(&JobState) -> bool) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, entry)| wanted(&entry.state)).map(|(id, _)| id.clone()).collect()
    }
}
