//! Which tasks block their threads: what is made of looks at all of them from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::Time;

/// A look that comes so much later than the one before says nothing: the process was stopped meanwhile, or
/// had no processor.
const LATE_LOOKS: u32 = 4;

/// Finds tasks that block, by looking at them at intervals of half the limit.
///
/// Each task counts when it begins to run and when it pauses, so it runs while its count is odd. A task whose
/// count stays the same odd number blocks its thread. The result is a report after the limit, after each
/// doubling of that time, and when it has ended.
///
/// ```
/// use agent_core::{BlockingReport, BlockingWatch, Time};
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let mut watch = BlockingWatch::new(2 * second);
/// assert!(watch.look([(7, 1)], Time::ZERO).is_empty()); // task 7 runs
/// assert!(watch.look([(7, 1)], Time::ZERO + second).is_empty());
/// let reports = watch.look([(7, 1)], Time::ZERO + 2 * second);
/// assert_eq!(reports, [BlockingReport { task: 7, lasted: 2 * second, ended: false }]);
/// ```
#[derive(Clone, Debug)]
pub struct BlockingWatch {
    limit: Duration,
    last: Option<Time>,
    running: BTreeMap<u64, Running>,
}

/// A task that was running at the last look.
#[derive(Clone, Copy, Debug)]
struct Running {
    count: u64,
    /// When it was first seen with this count.
    since: Time,
    /// After how long it is reported next.
    next: Duration,
    reported: bool,
}

/// A task that blocks its thread, or has stopped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockingReport {
    /// Its number.
    pub task: u64,
    /// For how long it was seen to, at least.
    pub lasted: Duration,
    /// Whether it has ended.
    pub ended: bool,
}

impl BlockingWatch {
    /// Reports what blocks for so long.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit, last: None, running: BTreeMap::new() }
    }

    /// How often to look.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.limit / 2
    }

    /// Looks at all tasks: their numbers and counts. First those that have ended are reported.
    pub fn look(&mut self, tasks: impl IntoIterator<Item = (u64, u64)>, now: Time) -> Vec<BlockingReport> {
        let late = self.last.is_some_and(|last| now - last > self.interval().saturating_mul(LATE_LOOKS));
        self.last = Some(now);
        let mut before = std::mem::take(&mut self.running);
        let mut blocking = Vec::new();
        for (task, count) in tasks.into_iter().filter(|(_, count)| !count.is_multiple_of(2)) {
            let same = before.get(&task).is_some_and(|seen| seen.count == count);
            let seen = if same { before.remove(&task) } else { None };
            let counts = seen.filter(|seen| seen.reported || !late);
            let mut running =
                counts.unwrap_or(Running { count, since: now, next: self.limit, reported: false });
            let lasted = now - running.since;
            if lasted >= running.next {
                running.reported = true;
                running.next = lasted * 2;
                blocking.push(BlockingReport { task, lasted, ended: false });
            }
            self.running.insert(task, running);
        }
        let ended = before.into_iter().filter(|(_, running)| running.reported);
        let ended =
            ended.map(|(task, running)| BlockingReport { task, lasted: now - running.since, ended: true });
        ended.chain(blocking).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// What is reported of task 1 with these counts, at looks every half a second; the limit is one second.
    fn reports(counts: &[Option<u64>]) -> Vec<String> {
        let mut watch = BlockingWatch::new(Duration::from_secs(1));
        let mut all = Vec::new();
        for (at, count) in (0..).zip(counts) {
            for report in watch.look(count.map(|count| (1, count)), millis(at * 500)) {
                let end = if report.ended { "ended" } else { "blocks" };
                all.push(format!("{end} {:?} at {at}", report.lasted));
            }
        }
        all
    }

    #[test]
    fn a_task_that_blocks_is_reported_ever_more_seldom_and_at_its_end() {
        let mut counts = vec![Some(3); 12];
        counts.push(Some(4));
        let expected = ["blocks 1s at 2", "blocks 2s at 4", "blocks 4s at 8", "ended 6s at 12"];
        assert_eq!(reports(&counts), expected);
        // It is gone, or runs once more.
        for last in [None, Some(5)] {
            *counts.last_mut().unwrap() = last;
            assert_eq!(reports(&counts), expected);
        }
    }

    #[test]
    fn a_task_that_runs_often_is_not_one_that_blocks() {
        let counts: Vec<_> = (0..20).map(|at| Some(2 * at + 1)).collect();
        assert_eq!(reports(&counts), [""; 0]);
        assert_eq!(reports(&[Some(2); 20]), [""; 0], "it waits");
        assert_eq!(reports(&[Some(1), Some(1), Some(2)]), [""; 0], "not long enough");
    }

    /// A process that was stopped has not blocked.
    #[test]
    fn a_look_that_is_late_says_nothing() {
        let mut watch = BlockingWatch::new(Duration::from_secs(1));
        let mut look = |at| watch.look([(1, 1)], millis(at));
        assert!(look(0).is_empty() && look(500).is_empty());
        assert!(look(60_000).is_empty(), "a minute later");
        assert!(look(60_500).is_empty());
        assert_eq!(look(61_000).len(), 1);
        let lasted = Duration::from_secs(121) - Duration::from_secs(60);
        assert_eq!(look(121_000), [BlockingReport { task: 1, lasted, ended: false }], "it is known to block");
    }

    #[test]
    fn tasks_are_told_apart() {
        let mut watch = BlockingWatch::new(Duration::from_secs(1));
        watch.look([(1, 1), (2, 1), (3, 2)], millis(0));
        let reports = watch.look([(1, 1), (2, 3), (3, 2)], millis(1000));
        assert_eq!(reports.iter().map(|report| report.task).collect::<Vec<_>>(), [1]);
    }
}
