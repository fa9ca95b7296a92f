//! How many jobs the file descriptors of a process allow.

/// The file descriptors of a process at the start of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DescriptorBudget {
    /// The limit of open descriptors.
    pub limit: usize,
    /// The descriptors that were open: standard streams, the runtime, files of the program.
    pub open: usize,
    /// The maximum that one job needs.
    pub per_job: usize,
}

/// Other descriptors of the program are rounded up to a multiple of this, since their number varies.
const STEP: usize = 16;
/// Reserved for everything but jobs: name lookups, the worker's connection while it is replaced, stores. A
/// sixteenth of the limit, within these bounds.
const MIN_RESERVE: usize = 8;
const MAX_RESERVE: usize = 64;

impl DescriptorBudget {
    /// The number of jobs that may run at once.
    ///
    /// ```
    /// use agent_core::DescriptorBudget;
    ///
    /// assert_eq!(DescriptorBudget { limit: 1024, open: 12, per_job: 4 }.jobs(), 236);
    /// assert_eq!(DescriptorBudget { limit: 64, open: 12, per_job: 4 }.jobs(), 10);
    /// ```
    #[must_use]
    pub fn jobs(&self) -> usize {
        let reserve = (self.limit / STEP).clamp(MIN_RESERVE, MAX_RESERVE);
        let free = self.limit.saturating_sub(self.others()).saturating_sub(reserve);
        free.checked_div(self.per_job).unwrap_or(usize::MAX)
    }

    /// The limit that this many jobs need.
    #[must_use]
    pub fn limit_for(&self, jobs: usize) -> usize {
        jobs.saturating_mul(self.per_job).saturating_add(self.others()).saturating_add(MAX_RESERVE)
    }

    fn others(&self) -> usize {
        self.open.checked_next_multiple_of(STEP).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_descriptors_are_few_jobs() {
        for (limit, open, per_job, jobs) in [
            (1024, 12, 4, 236),
            (1024, 16, 5, 188),
            (300, 12, 4, 66),
            (64, 16, 4, 10),
            (64, 17, 4, 6),
            (64, 60, 4, 0),
            (16, 12, 4, 0),
            (0, 0, 4, 0),
            (1024, 2000, 4, 0),
            // Rooms without sockets.
            (64, 12, 0, usize::MAX),
        ] {
            let found = DescriptorBudget { limit, open, per_job }.jobs();
            assert_eq!(found, jobs, "{limit} in all, {open} open, {per_job} for each job");
        }
    }

    proptest! {
        #[test]
        fn the_limit_for_a_number_of_jobs_is_enough(open in 0usize..5000, per_job in 1usize..10, jobs in 0usize..100_000) {
            let needed = DescriptorBudget { limit: 0, open, per_job }.limit_for(jobs);
            let enough = DescriptorBudget { limit: needed, open, per_job };
            prop_assert!(enough.jobs() >= jobs);
        }

        #[test]
        fn no_numbers_are_a_panic(limit: usize, open: usize, per_job: usize, jobs: usize) {
            let descriptors = DescriptorBudget { limit, open, per_job };
            let _ = (descriptors.jobs(), descriptors.limit_for(jobs));
        }
    }
}
