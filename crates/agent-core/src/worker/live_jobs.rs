//! The jobs of a worker that hold a slot, as seen from outside.

use std::sync::Arc;

use agent_proto::Time;

use super::Worker;
use super::entries::Entry;
use super::view::{LiveJob, LiveState};
use crate::job::JobId;
use crate::text::shorten;

/// How much of the last error of a job is kept, in characters.
const MAX_LAST_ERROR: usize = 300;

impl Worker {
    /// Whether a job holds a slot.
    #[must_use]
    pub fn has_job(&self, job: &JobId) -> bool {
        self.jobs.contains_key(job)
    }

    /// The jobs that hold a slot, in the order of their ids.
    pub fn live_jobs(&self, now: Time) -> impl Iterator<Item = LiveJob> {
        self.jobs.values().map(move |entry| entry.live(now))
    }
}

impl Entry {
    /// Keeps an error for the list of live jobs.
    pub(super) fn keep_error(&mut self, text: &str) {
        self.last_error = Some(shorten(text, MAX_LAST_ERROR).into());
    }

    fn live(&self, now: Time) -> LiveJob {
        LiveJob {
            job: Arc::clone(&self.job),
            state: LiveState::of(&self.state),
            attempts: self.state.attempt(),
            age: now - self.assigned_at,
            last_error: self.last_error.clone(),
        }
    }
}
