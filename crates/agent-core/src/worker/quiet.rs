//! Quiet: accept nothing new for a while, and go on with what there is.

use agent_proto::Time;

use super::Worker;
use super::io::{Notice, Output};
use crate::answer::DeclineReason;
use crate::job::lifecycle::{JobInput, JobState};

impl Worker {
    /// Whether it accepts no new jobs until it is told to. Not while it drains: that goes further.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn on_quiet(&mut self, quiet: bool, now: Time) {
        if self.drain.is_some() || self.quiet == quiet {
            return;
        }
        self.quiet = quiet;
        self.out.push_back(Output::Notice(Notice::Quiet { quiet, jobs: self.used_slots() }));
        if quiet {
            // A job that was accepted is ours already, and one that failed is retried.
            for job in self.jobs_where(|state| *state == JobState::Offered) {
                self.apply(&job, JobInput::Declined(DeclineReason::Quiet), now);
            }
        }
    }
}
