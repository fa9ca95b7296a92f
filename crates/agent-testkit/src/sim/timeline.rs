//! The readable record of a run.

use agent_proto::Time;

/// The lines of a run, if it is recorded.
pub(super) struct Timeline {
    lines: Option<Vec<String>>,
}

impl Timeline {
    pub(super) fn new(on: bool) -> Self {
        Self { lines: on.then(Vec::new) }
    }

    /// Adds a line.
    pub(super) fn note(&mut self, now: Time, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{now:>9} {}", text()));
        }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
