//! What holds the slots of one worker, by its outputs alone.

use std::collections::BTreeMap;

use agent_core::{JobId, SlotCounts};

/// What holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Offer,
    Acceptance,
    Attempt,
    Cleanup,
    Wait,
    Stuck,
}

/// The used slots, counted as they change: they are compared with the machine's after each of its inputs.
#[derive(Default)]
pub(super) struct Slots {
    by_job: BTreeMap<JobId, Holds>,
    counts: SlotCounts,
}

impl Slots {
    /// The number of used slots.
    pub(super) fn used(&self) -> usize {
        self.by_job.len()
    }

    pub(super) const fn counts(&self) -> SlotCounts {
        self.counts
    }

    pub(super) fn get(&self, job: &JobId) -> Option<Holds> {
        self.by_job.get(job).copied()
    }

    pub(super) fn set(&mut self, job: &JobId, holds: Holds) {
        if let Some(before) = self.by_job.insert(job.clone(), holds) {
            *self.count(before) -= 1;
        }
        *self.count(holds) += 1;
    }

    pub(super) fn remove(&mut self, job: &JobId) {
        if let Some(before) = self.by_job.remove(job) {
            *self.count(before) -= 1;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    const fn count(&mut self, holds: Holds) -> &mut usize {
        match holds {
            Holds::Offer => &mut self.counts.offered,
            Holds::Acceptance => &mut self.counts.accepted,
            Holds::Attempt => &mut self.counts.running,
            Holds::Cleanup => &mut self.counts.cleaning,
            Holds::Wait => &mut self.counts.backing_off,
            Holds::Stuck => &mut self.counts.stuck,
        }
    }
}
