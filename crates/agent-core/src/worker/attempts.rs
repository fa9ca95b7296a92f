//! What comes after an attempt: its cleanup, then the outcome or another attempt. Promises I2, I6.

use std::time::Duration;

use agent_proto::Time;

use super::Worker;
use super::io::{Notice, Output};
use crate::job::JobId;
use crate::job::lifecycle::{JobInput, JobState, Phase};
use crate::outcome::AttemptEnd;

impl Worker {
    pub(super) fn on_attempt_ended(&mut self, id: &JobId, end: AttemptEnd, room_gone: bool, now: Time) {
        // The end of an attempt that is over already changes nothing.
        if let Some(entry) = self.jobs.get_mut(id).filter(|entry| entry.state.has_attempt()) {
            entry.took = Some(now - entry.attempt_at);
            entry.room_gone = room_gone;
            if let AttemptEnd::Error { text, .. } | AttemptEnd::Panicked(text) = &end {
                entry.keep_error(text);
            }
        }
        self.apply(id, JobInput::Ended(end.bounded()), now);
    }

    pub(super) fn on_cleaned(&mut self, id: &JobId, attempt: u32, now: Time) {
        let waited_for = self.jobs.get(id).is_some_and(|entry| entry.state.is_cleaning(attempt));
        // Otherwise it timed out, and the job has continued without it.
        if waited_for {
            self.cleaned(id, now);
        }
    }

    /// The cleanup has not ended, though it was to be dropped at its time limit: it blocks a thread.
    pub(super) fn on_cleanup_overdue(&mut self, id: &JobId, now: Time) {
        self.out.push_back(Output::Notice(Notice::CleanupStuck { job: id.clone() }));
        self.cleaned(id, now);
    }

    /// The time limit of a cleanup that begins now. A drain waits for it no longer than for its handler, but
    /// at least the abort timeout.
    pub(super) fn cleanup_time(&self, now: Time) -> Duration {
        let limit = self.config.cleanup_timeout;
        self.drain.as_ref().map_or(limit, |drain| limit.min(self.config.abort_timeout.max(drain.end - now)))
    }

    fn cleaned(&mut self, id: &JobId, now: Time) {
        let input = match self.wait_for_next_attempt(id, now) {
            None => JobInput::Cleaned,
            Some(wait) => {
                if let Some(entry) = self.jobs.get_mut(id) {
                    entry.retry_wait = wait;
                }
                JobInput::CleanedToRetry
            }
        };
        self.apply(id, input, now);
    }

    /// The wait before the next attempt, if there is one.
    fn wait_for_next_attempt(&mut self, id: &JobId, now: Time) -> Option<Duration> {
        let entry = self.jobs.get(id)?;
        let JobState::Assigned {
            attempt,
            phase: Phase::Cleaning { end: AttemptEnd::Error { kind, text }, reason: None },
        } = &entry.state
        else {
            return None;
        };
        if self.drain.is_some() || entry.room_gone {
            return None;
        }
        let wait = self.config.retry.wait(*attempt, kind, now - entry.assigned_at, &mut self.rng)?;
        // Waiting until the job's timeout would hide the error.
        if entry.deadline.is_some_and(|deadline| now + wait >= deadline) {
            return None;
        }
        let (job, attempt, error) = (id.clone(), *attempt, text.clone());
        self.out.push_back(Output::Notice(Notice::Retrying { job, attempt, error, wait }));
        Some(wait)
    }
}
