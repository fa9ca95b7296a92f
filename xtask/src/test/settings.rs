//! Settings of a run.

use std::time::Duration;

use super::process::LIMIT;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// For CI: a suite that cannot run is a failure, Cargo.lock must be up to date and every command has a
    /// timeout.
    pub(super) strict: bool,
    /// The full number of repetitions instead of a few.
    pub(super) long: bool,
    /// Beside something else: at the lowest priority, and without output unless it fails.
    pub(super) beside: bool,
}

impl Settings {
    pub(super) fn limit(self) -> Option<Duration> {
        self.strict.then_some(LIMIT)
    }
}
