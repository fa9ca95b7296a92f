//! The figures that a subject measures of itself.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::usage::{memory_bytes, monotonic_ns, processor_ns};

/// Three digits, from a nanosecond to a minute: some 200 KiB, allocated at the start.
const LONGEST_NS: u64 = 60_000_000_000;

/// Records the time from each job's assignment to the start of its handler.
pub(super) struct Probe(Mutex<Histogram<u64>>);

/// A subject's figures at one time.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    /// Number of jobs whose handler began since the last mark.
    pub(crate) began: u64,
    /// Median time from the assignment to the handler, since the last mark.
    pub(crate) p50_ns: u64,
    /// The 99th percentile of the same.
    pub(crate) p99_ns: u64,
    /// Processor time since the process started.
    pub(crate) processor_ns: u64,
    /// Current memory use.
    pub(crate) memory_bytes: u64,
}

impl Probe {
    pub(super) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3)?;
        Ok(Self(Mutex::new(histogram)))
    }

    /// Records the start of a handler; the job's metadata is the time at which the assignment was written.
    pub(super) fn began(&self, metadata: &str) -> Result<()> {
        let written: u64 = metadata.parse().context("the metadata is not a time")?;
        let waited = monotonic_ns().saturating_sub(written);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(waited);
        Ok(())
    }

    /// The figures since the last mark; starts a new count.
    pub(super) fn mark(&self) -> Result<Mark> {
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = Mark {
            began: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            processor_ns: processor_ns(),
            memory_bytes: memory_bytes()?,
        };
        histogram.reset();
        Ok(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_has_the_jobs_since_the_last_one() {
        let probe = Probe::new().unwrap();
        let second_ago = monotonic_ns() - 1_000_000_000;
        for _ in 0..3 {
            probe.began(&format!("{second_ago:020}")).unwrap();
        }
        let mark = probe.mark().unwrap();
        assert_eq!(mark.began, 3);
        assert!(mark.p50_ns > 990_000_000 && mark.p99_ns >= mark.p50_ns, "{mark:?}");
        assert_eq!(probe.mark().unwrap().began, 0);
        assert!(probe.began("{}").is_err());
    }
}
