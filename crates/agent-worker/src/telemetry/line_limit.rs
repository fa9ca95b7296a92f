//! Log lines that others can cause at will, limited on the clock of the runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use agent_core::{LeftOut, LogLimit, Time};

/// A [`LogLimit`] with a clock, to be shared.
pub(crate) struct LineLimit<K> {
    limit: Mutex<LogLimit<K>>,
    started: Instant,
}

impl<K: Clone + Ord> LineLimit<K> {
    pub(crate) fn new() -> Self {
        Self { limit: Mutex::default(), started: Instant::now() }
    }

    /// Whether to write a line of this kind, of which at most one a second is written. The answer is the end
    /// of its message.
    pub(crate) fn admit(&self, kind: K) -> Option<LeftOut> {
        self.admit_up_to(1, kind)
    }

    /// The same for a kind of which up to `most` are written in a second.
    pub(crate) fn admit_up_to(&self, most: u32, kind: K) -> Option<LeftOut> {
        self.lock().admit(kind, most, self.now())
    }

    /// When to sum up what was left out.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock().poll_timeout().map(|at| self.started + (at - Time::ZERO))
    }

    /// What is to be summed up now.
    pub(crate) fn take_due(&self) -> Option<(K, u64)> {
        self.lock().take_due(self.now())
    }

    /// What is left to be summed up, at the end.
    pub(crate) fn take_rest(&self) -> Option<(K, u64)> {
        self.lock().take_due(Time::from_nanos(u64::MAX))
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, LogLimit<K>> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
