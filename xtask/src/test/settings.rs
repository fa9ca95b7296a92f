//! How a run goes.

use super::process::LIMIT;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// For CI: a ring that cannot run is a failure, Cargo.lock must be up to date and nothing may hang.
    pub(super) strict: bool,
    /// The full figures instead of a few repetitions.
    pub(super) long: bool,
    /// Beside something else: at the lowest priority, and without a word unless it fails.
    pub(super) beside: bool,
}

impl Settings {
    pub(super) fn limit(self) -> Option<Duration> {
        self.strict.then_some(LIMIT)
    }
}
