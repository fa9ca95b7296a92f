//! Rate limit for log lines that others can cause at will, on the runtime's clock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use agent_core::{LeftOut, LogLimit, Time};

/// A [`LogLimit`] with a clock, for shared use.
pub(crate) struct LineLimit<K> {
    limit: Mutex<LogLimit<K>>,
    started: Instant,
}

impl<K: Clone + Ord> LineLimit<K> {
    pub(crate) fn new() -> Self {
        Self { limit: Mutex::default(), started: Instant::now() }
    }

    /// Whether to write a line of this kind: at most one a second. The returned value ends the message.
    pub(crate) fn admit(&self, kind: K) -> Option<LeftOut> {
        self.admit_up_to(1, kind)
    }

    /// Like [`admit`](Self::admit), with up to `most` lines a second.
    pub(crate) fn admit_up_to(&self, most: u32, kind: K) -> Option<LeftOut> {
        self.lock().admit(kind, most, self.now())
    }

    /// When the next summary of suppressed lines is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lock().poll_timeout().map(|at| self.started + (at - Time::ZERO))
    }

    /// The next summary that is due now: a kind, and its suppressed lines.
    pub(crate) fn take_due(&self) -> Option<(K, u64)> {
        self.lock().take_due(self.now())
    }

    /// The next remaining summary, at the end.
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
