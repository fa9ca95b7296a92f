//! When a value that saves itself is saved.
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

/// No value is looked at more often.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
/// After a save that failed, the next one comes after this, then twice this, and so on up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Something that happened to a value that saves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveInput {
    /// The job was told to stop.
    Cancelled,
    /// The attempt is over, or the last handle of the value was dropped: its checkpoint is then kept.
    Ended(CheckpointRetention),
    /// Answers [`Look`](SaveOutput::Look).
    Looked {
        /// How often the value has been changed, if it was changed since it was saved last.
        unsaved: Option<u64>,
    },
    /// Answers [`Save`](SaveOutput::Save): the value is in the store.
    Saved,
    /// Answers [`Save`](SaveOutput::Save): it is not.
    Failed(SaveFailure),
}

/// Why a value was not saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveFailure {
    /// The value is refused, and will be until it is changed.
    Value {
        /// Why, to report each reason once.
        reason: String,
    },
    /// Nothing of this attempt can be saved any more.
    Over,
    /// Another worker has taken the checkpoint over.
    Superseded,
    /// The store did not do it.
    Store,
}

impl SaveFailure {
    /// What an error means for the saves to come.
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

/// What a value that saves itself wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutput {
    /// See whether the value was changed since it was saved last.
    Look,
    /// Save it.
    Save,
    /// Report the failure of the last save.
    Report(SaveReport),
    /// End the attempt: another worker goes on with the job.
    Supersede,
    /// Nothing is saved any more: the end.
    Finish,
}

/// How a failed save is reported in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveReport {
    /// It will be retried.
    Retrying,
    /// It was the last one: the changes since the save before it are lost.
    Lost,
    /// The value cannot be saved; what was saved before stays.
    Refused,
    /// The attempt is over, and its value could not be saved to the end.
    LostRefused,
    /// Nothing is saved any more.
    Stopped,
}

/// Decides when a changed value is saved: after each interval, when the job is told to stop, and when the attempt is over.
///
/// The contract is that of every machine here: tell it what happened, then drain [`poll_output`](Self::poll_output), then sleep until
/// [`poll_timeout`](Self::poll_timeout). At most one [`Look`](SaveOutput::Look) or [`Save`](SaveOutput::Save) is unanswered at a time;
/// what happens meanwhile counts once it is answered.
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
    /// Saves in a row that the store did not do.
    failures: u32,
    refused: Option<Refused>,
    cancelled: Cancelled,
    ended: Option<CheckpointRetention>,
    /// The look or save that is under way began after the end: there is no other one.
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
    /// A save of the value that had been changed so often.
    Saving {
        since: Time,
        changes: u64,
    },
    Over,
}

/// A value that cannot be saved, whatever the store says.
#[derive(Clone, Debug)]
struct Refused {
    /// How often it had been changed.
    changes: u64,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancelled {
    No,
    /// And what is not saved is to be saved.
    Pending,
    Handled,
}

impl SaveSchedule {
    /// The schedule of a value that is as it was saved.
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

    /// Tells what happened. What does not fit, such as an answer to nothing, changes nothing.
    pub fn handle_input(&mut self, input: SaveInput, now: Time) {
        match (self.state, input) {
            (State::Over, _) => {}
            (_, SaveInput::Cancelled) => {
                if self.cancelled == Cancelled::No {
                    self.cancelled = Cancelled::Pending;
                }
                self.go_on(now);
            }
            (_, SaveInput::Ended(retention)) => {
                self.ended.get_or_insert(retention);
                self.go_on(now);
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

    /// Tells that time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.look(now);
        }
    }

    /// What it wants next.
    pub fn poll_output(&mut self) -> Option<SaveOutput> {
        self.outputs.pop_front()
    }

    /// When it wants to be woken.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Looking { .. } | State::Saving { .. } | State::Over => None,
        }
    }

    /// Does what has happened meanwhile, unless something is still unanswered.
    fn go_on(&mut self, now: Time) {
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
            // It was refused as it is.
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
        // Counted from when the value was taken, so that an interval's worth is what is lost; but a slow store has its pauses.
        self.state = State::Waiting { until: (since + wait).max(now + wait / 10) };
        self.go_on(now);
    }

    fn report(&mut self, report: SaveReport) {
        self.outputs.push_back(SaveOutput::Report(report));
    }

    fn finish(&mut self) {
        self.state = State::Over;
        self.outputs.push_back(SaveOutput::Finish);
    }
}
