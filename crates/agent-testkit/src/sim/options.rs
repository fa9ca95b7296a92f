//! How a seed is run.

/// How a seed is run. By default everything is checked and nothing is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub(super) checks: bool,
    pub(super) record: bool,
    pub(super) run_twice: bool,
    #[cfg(test)]
    pub(super) bug: Option<super::planted::Bug>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checks: true,
            record: false,
            run_twice: false,
            #[cfg(test)]
            bug: None,
        }
    }
}

impl Options {
    /// Records the timeline.
    #[must_use]
    pub const fn recorded(self) -> Self {
        Self { record: true, ..self }
    }

    /// Checks nothing: to measure what the checks cost.
    #[must_use]
    pub const fn unchecked(self) -> Self {
        Self { checks: false, ..self }
    }

    /// Runs the seed a second time, which must give the same.
    #[must_use]
    pub const fn run_again(self) -> Self {
        Self { run_twice: true, ..self }
    }
}
