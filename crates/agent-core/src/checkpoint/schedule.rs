//! Schedule of an auto-saved value.
//!
//! ```text
//!              timer, Cancelled, Ended            unsaved
//!   ┌─ Waiting ───────────────────────▶ Looking ───────────▶ Saving
//!   │     ▲                                │ saved               │
//!   │     └────────────────────────────────┴─────────────────────┤ Saved, Failed
//!   │ Ended(Discard)                        after Ended(Keep)    ▼
//!   └──────────────────────────────────────────────────────▶ Over
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::error::CheckpointError;
use super::retention::CheckpointRetention;
use crate::Time;

/// The shortest interval.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
/// The retry delay after a failed save; it doubles with each failure, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What happened to an auto-saved value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveInput {
    /// The job was cancelled.
    Cancelled,
    /// The attempt is over, or the last handle of the value was dropped: its checkpoint is then kept.
    Ended(CheckpointRetention),
    /// Answers [`Look`](SaveOutput::Look).
    Looked {
        /// How often the value has been changed, if it was changed since it was saved last.
        unsaved: Option<u64>,
    },
    /// Answers [`Save`](SaveOutput::Save): the value is stored.
    Saved,
    /// Answers [`Save`](SaveOutput::Save): it is not.
    Failed(SaveFailure),
}

/// Why a value was not saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveFailure {
    /// The value is refused until it is changed.
    Value {
        /// The reason; each is reported once.
        reason: String,
    },
    /// Nothing of this attempt can be saved any more.
    Over,
    /// Another worker has taken over the checkpoint.
    Superseded,
    /// The store failed.
    Store,
}

impl SaveFailure {
    /// The meaning of an error for later saves.
    #[must_use]
    pub fn of(error: &CheckpointError) -> Self {
        match error {
            CheckpointError::HalfChanged | CheckpointError::JobOver => Self::Over,
            CheckpointError::Superseded => Self::Superseded,
            error if error.is_about_value() => Self::Value { reason: error.to_string() },
            _ => Self::Store,
        }
    }
}

/// What the driver of an auto-saved value has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutput {
    /// Check whether the value was changed since the last save.
    Look,
    /// Save it.
    Save,
    /// Report the failure of the last save.
    Report(SaveReport),
    /// End the attempt: another worker continues the job.
    Supersede,
    /// The end: nothing is saved any more.
    Finish,
}

/// How a failed save is reported in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveReport {
    /// It will be retried.
    Retrying,
    /// It was the last save: the changes since the one before are lost.
    Lost,
    /// The value cannot be saved; the last saved value is kept.
    Refused,
    /// The attempt is over, and its value could not be saved to the end.
    LostRefused,
    /// Nothing is saved any more.
    Stopped,
}

/// Decides when a changed value is saved: after each interval, when the job is cancelled, and when the
/// attempt is over.
///
/// The contract is that of every machine here: pass in what happened, then drain
/// [`poll_output`](Self::poll_output), then sleep until [`poll_timeout`](Self::poll_timeout). At most one
/// [`Look`](SaveOutput::Look) or [`Save`](SaveOutput::Save) is unanswered at a time; inputs meanwhile take
/// effect once it is answered.
///
/// ```
/// use agent_core::{CheckpointRetention, SaveInput, SaveOutput, SaveSchedule, Time};
/// use std::time::Duration;
///
/// let mut schedule = SaveSchedule::new(Duration::from_secs(30), Time::ZERO);
/// schedule.handle_input(SaveInput::Ended(CheckpointRetention::Keep), Time::ZERO);
/// assert_eq!(schedule.poll_output(), Some(SaveOutput::Look));
/// schedule.handle_input(SaveInput::Looked { unsaved: Some(1) }, Time::ZERO);
/// assert_eq!(schedule.poll_output(), Some(SaveOutput::Save));
/// schedule.handle_input(SaveInput::Saved, Time::ZERO);
/// assert_eq!(schedule.poll_output(), Some(SaveOutput::Finish));
/// ```
#[derive(Debug)]
pub struct SaveSchedule {
    interval: Duration,
    state: State,
    /// Consecutive failures of the store.
    failures: u32,
    refused: Option<Refused>,
    cancelled: Cancelled,
    ended: Option<CheckpointRetention>,
    /// The look or save in progress began after the end: it is the last one.
    last: bool,
    outputs: VecDeque<SaveOutput>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting {
        until: Time,
    },
    Looking {
        since: Time,
    },
    /// A save of the value after this number of changes.
    Saving {
        since: Time,
        changes: u64,
    },
    Over,
}

/// A value that is refused independently of the store.
#[derive(Clone, Debug)]
struct Refused {
    /// The number of changes at that time.
    changes: u64,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancelled {
    No,
    /// Unsaved changes are to be saved.
    Pending,
    Handled,
}

impl SaveSchedule {
    /// The schedule of a value without unsaved changes.
    #[must_use]
    pub fn new(interval: Duration, now: Time) -> Self {
        let interval = interval.max(MIN_INTERVAL);
        Self {
            interval,
            state: State::Waiting { until: now + interval },
            failures: 0,
            refused: None,
            cancelled: Cancelled::No,
            ended: None,
            last: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened. Unexpected input, such as an answer without a request, changes nothing.
    pub fn handle_input(&mut self, input: SaveInput, now: Time) {
        match (self.state, input) {
            (State::Over, _) => {}
            (_, SaveInput::Cancelled) => {
                if self.cancelled == Cancelled::No {
                    self.cancelled = Cancelled::Pending;
                }
                self.proceed(now);
            }
            (_, SaveInput::Ended(retention)) => {
                self.ended.get_or_insert(retention);
                self.proceed(now);
            }
            (State::Looking { since }, SaveInput::Looked { unsaved }) => self.looked(unsaved, since, now),
            (State::Saving { since, .. }, SaveInput::Saved) => self.saved(since, now),
            (State::Saving { since, changes }, SaveInput::Failed(failure)) => {
                self.failed(failure, changes, since, now);
            }
            (
                State::Waiting { .. } | State::Looking { .. } | State::Saving { .. },
                SaveInput::Looked { .. } | SaveInput::Saved | SaveInput::Failed(_),
            ) => {}
        }
    }

    /// Takes the passing of time.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.look(now);
        }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<SaveOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Looking { .. } | State::Saving { .. } | State::Over => None,
        }
    }

    /// Handles what happened meanwhile, unless a request is still unanswered.
    fn proceed(&mut self, now: Time) {
        let State::Waiting { .. } = self.state else { return };
        match self.ended {
            Some(CheckpointRetention::Discard) => self.finish(),
            Some(CheckpointRetention::Keep) => self.look(now),
            None if self.cancelled == Cancelled::Pending => self.look(now),
            None => {}
        }
    }

    fn look(&mut self, now: Time) {
        if self.cancelled == Cancelled::Pending {
            self.cancelled = Cancelled::Handled;
        }
        self.last = self.ended == Some(CheckpointRetention::Keep);
        self.state = State::Looking { since: now };
        self.outputs.push_back(SaveOutput::Look);
    }

    fn looked(&mut self, unsaved: Option<u64>, since: Time, now: Time) {
        match unsaved {
            // It was refused and has not changed.
            Some(changes) if self.refused.as_ref().is_some_and(|refused| refused.changes == changes) => {
                self.wait(self.interval, since, now);
            }
            Some(changes) => {
                self.state = State::Saving { since, changes };
                self.outputs.push_back(SaveOutput::Save);
            }
            None => self.saved(since, now),
        }
    }

    fn saved(&mut self, since: Time, now: Time) {
        self.failures = 0;
        self.refused = None;
        self.wait(self.interval, since, now);
    }

    fn failed(&mut self, failure: SaveFailure, changes: u64, since: Time, now: Time) {
        match failure {
            SaveFailure::Value { reason } => {
                if self.refused.as_ref().is_none_or(|refused| refused.reason != reason) {
                    self.report(SaveReport::Refused);
                }
                self.refused = Some(Refused { changes, reason });
                self.wait(self.interval, since, now);
            }
            SaveFailure::Over => {
                self.report(SaveReport::Stopped);
                self.finish();
            }
            SaveFailure::Superseded => {
                self.report(SaveReport::Stopped);
                self.outputs.push_back(SaveOutput::Supersede);
                self.finish();
            }
            SaveFailure::Store => {
                let retry = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(self.interval);
                self.failures = self.failures.saturating_add(1);
                self.report(if self.last { SaveReport::Lost } else { SaveReport::Retrying });
                self.wait(retry, since, now);
            }
        }
    }

    /// Waits for the next save, if there is one.
    fn wait(&mut self, wait: Duration, since: Time, now: Time) {
        if self.last {
            if self.refused.is_some() {
                self.report(SaveReport::LostRefused);
            }
            return self.finish();
        }
        // Counted from when the value was read, so that at most one interval's changes are lost; but with a
        // pause after a slow store.
        self.state = State::Waiting { until: (since + wait).max(now + wait / 10) };
        self.proceed(now);
    }

    fn report(&mut self, report: SaveReport) {
        self.outputs.push_back(SaveOutput::Report(report));
    }

    fn finish(&mut self) {
        self.state = State::Over;
        self.outputs.push_back(SaveOutput::Finish);
    }
}
