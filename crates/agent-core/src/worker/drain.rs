//! Draining: accept nothing new, let running jobs end, cancel what does not, report the result. Promise I7.

use std::time::Duration;

use agent_proto::Time;

use super::Worker;
use super::entries::Drain;
use super::io::{AbortCause, DrainReport, Notice, Output};
use super::timers::Timer;
use crate::job::JobId;
use crate::job::lifecycle::{JobInput, JobState, Phase};
use crate::outcome::{AttemptEnd, CancelReason, Verdict};

/// How often a drain reports what it waits for.
const PROGRESS: Duration = Duration::from_secs(10);

impl Worker {
    pub(super) fn on_drain(&mut self, within: Duration, now: Time) {
        if self.drain.is_some() {
            return self.shorten_drain(within, now);
        }
        self.out.push_back(Output::Notice(Notice::Draining { jobs: self.used_slots(), within }));
        self.quiet = false;
        self.timers.set(Timer::DrainLimit, now + within);
        self.timers.set(Timer::DrainProgress, now + PROGRESS);
        self.end_drain_at(now + within + self.config.grace + self.config.abort_timeout);
        // A pending offer is declined, and there is no retry; a job that was accepted is ours already, if it
        // is assigned.
        for job in self.jobs_where(|_| true) {
            self.apply(&job, JobInput::Draining, now);
        }
    }

    /// Of the limits of two drains the earlier one counts.
    fn shorten_drain(&mut self, within: Duration, now: Time) {
        // Without a limit its jobs are cancelled already.
        if self.timers.at(&Timer::DrainLimit).is_none_or(|limit| limit <= now + within) {
            return;
        }
        self.out.push_back(Output::Notice(Notice::Draining { jobs: self.used_slots(), within }));
        self.timers.set(Timer::DrainLimit, now + within);
        self.end_drain_at(now + within + self.config.grace + self.config.abort_timeout);
    }

    pub(super) fn on_drain_limit(&mut self, now: Time) {
        self.cancel_all(&CancelReason::Drained, now);
    }

    /// Stops without waiting for jobs. A drain, or an earlier stop, ends no later for it.
    pub(super) fn on_stop(&mut self, now: Time) {
        self.abort_cause = AbortCause::StopRequested;
        let end = now + self.config.abort_timeout;
        let end = self.drain.as_ref().map_or(end, |drain| end.min(drain.end));
        if self.drain.is_none() {
            self.on_drain(Duration::ZERO, now);
        }
        self.timers.clear(&Timer::DrainLimit);
        self.end_drain_at(end);
        self.cancel_all(&CancelReason::Stopped, now);
        for job in self.jobs_where(|state| matches!(state.phase(), Some(Phase::Cancelled { .. }))) {
            self.apply(&job, JobInput::GraceOver, now);
        }
    }

    pub(super) fn on_drain_progress(&mut self, now: Time) {
        let Some(drain) = &self.drain else { return };
        let (jobs, left) = (self.used_slots() + self.closing.len(), drain.end - now);
        self.out.push_back(Output::Notice(Notice::StillDraining { jobs, left }));
        self.timers.set(Timer::DrainProgress, now + PROGRESS);
    }

    pub(super) fn on_drain_end(&mut self, now: Time) {
        self.stop(Ok(()), now);
    }

    pub(super) fn stop_if_drained(&mut self, now: Time) {
        if self.drain.is_some()
            && !self.is_stopped()
            && self.closing.is_empty()
            && self.jobs.values().all(|entry| entry.state.phase() == Some(&Phase::Stuck))
        {
            self.stop(Ok(()), now);
        }
    }

    /// Ends the remaining jobs, so that each assignment has its outcome (I3) and each status is sent if
    /// possible.
    pub(super) fn end_all(&mut self, now: Time) {
        while let Some((id, entry)) = self.jobs.pop_first() {
            let JobState::Assigned { attempt, phase } = &entry.state else { continue };
            if phase.in_attempt() {
                let (attempt, within) = (*attempt, self.cleanup_time(now));
                self.out.push_back(Output::Abort { job: id.clone(), cause: AbortCause::WorkerStopped });
                self.out.push_back(Output::Clean { job: id, attempt, within });
            }
            let stuck = match phase {
                Phase::Abandoned { .. } | Phase::Stuck => true,
                // The abort timeout may not quite be over when the timer fired late.
                Phase::Aborting { .. } => self.drain.as_ref().is_some_and(|drain| now >= drain.end),
                Phase::Starting
                | Phase::Running
                | Phase::Cancelled { .. }
                | Phase::Cleaning { .. }
                | Phase::BackingOff { .. } => false,
            };
            if stuck && *phase != Phase::Stuck {
                self.out.push_back(Output::Notice(Notice::Stuck { job: entry.job.id.clone() }));
            }
            if let Some(drain) = self.drain.as_mut().filter(|_| stuck) {
                drain.report.stuck += 1;
            }
            let verdict = match phase.clone() {
                Phase::Stuck => continue,
                Phase::Starting | Phase::Running => Verdict::fatal("aborted", "aborted: the worker stopped"),
                Phase::Cancelled { reason } | Phase::Aborting { reason } | Phase::Abandoned { reason } => {
                    Verdict::of_cancelled(&reason, AttemptEnd::Aborted)
                }
                Phase::Cleaning { end, reason: Some(reason) } => Verdict::of_cancelled(&reason, end),
                Phase::Cleaning { end, reason: None } | Phase::BackingOff { end } => Verdict::of(end),
            };
            self.finish(entry.assignment(now), verdict, now);
        }
        let unsent = self.flush_closing();
        if let Some(drain) = &mut self.drain {
            drain.report.unsent += unsent;
        }
    }

    fn cancel_all(&mut self, reason: &CancelReason, now: Time) {
        for job in self.jobs_where(|_| true) {
            self.apply(&job, JobInput::Cancelled(reason.clone()), now);
        }
    }

    fn end_drain_at(&mut self, end: Time) {
        self.drain.get_or_insert(Drain { report: DrainReport::default(), end }).end = end;
        self.timers.set(Timer::DrainEnd, end);
    }

    pub(super) fn jobs_where(&self, wanted: impl Fn(&JobState) -> bool) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, entry)| wanted(&entry.state)).map(|(id, _)| id.clone()).collect()
    }
}
