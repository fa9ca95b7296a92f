//! A value that is saved automatically.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use agent_core::{
    CheckpointError, CheckpointRetention, Generation, SaveFailure, SaveInput, SaveOutput, SaveReport,
    SaveSchedule, Time, encode_checkpoint, verify_checkpoint,
};
use agent_proto::error_text;
use agent_proto::text::line;
use agent_proto::watch;

use super::session::{Checkpoints, KeySession, Phase};
use crate::job::cancel::CancelSignal;
use crate::job::sleep::sleep_until;

/// The state of a job, saved automatically when it has changed: every 30 s unless set, when the job is
/// cancelled, and when the handler has returned. Created by
/// [`Checkpoint::resume`](super::Checkpoint::resume); clones share the value.
///
/// A failed save is logged and retried before the next interval; the job continues. A value that cannot be
/// saved at all (it would not load again, or is too large) is logged as an error, once until a save succeeds,
/// and retried when it has changed. When another worker has taken the checkpoint over, this attempt ends with
/// [`CheckpointError::Superseded`], as the other worker does the same work.
pub struct AutoSaved<T> {
    inner: Arc<Inner<T>>,
    /// Dropped with the last clone, which ends the task that saves.
    _alive: Arc<watch::Sender<()>>,
}

struct Inner<T> {
    state: Mutex<State<T>>,
    version: u32,
    generation: Generation,
    key_session: Arc<KeySession>,
}

struct State<T> {
    value: T,
    /// Number of changes, and that number at the last save.
    changes: u64,
    saved: u64,
}

impl<T> AutoSaved<T> {
    /// Returns a copy of the value.
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.inner.lock().value.clone()
    }

    /// Calls `look` with the value.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.inner.lock().value)
    }

    /// Replaces the value; the next save stores it.
    pub fn set(&self, value: T) {
        self.update(|old| *old = value);
    }

    /// Changes the value; the next save stores it. Do not block in the closure: nothing is saved meanwhile.
    ///
    /// If the closure panics, the value is not saved any more, as it may be half changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.inner.lock();
        state.changes += 1;
        change(&mut state.value)
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> AutoSaved<T> {
    /// Saves the value now. When this returns, it is in the store.
    ///
    /// # Errors
    /// [`CheckpointError`]; the previously saved value is then unchanged.
    pub async fn save(&self) -> Result<(), CheckpointError> {
        self.inner.save().await
    }

    pub(super) fn start(
        value: T,
        version: u32,
        generation: Generation,
        key_session: Arc<KeySession>,
        session: &Checkpoints,
    ) -> Self {
        let state = Mutex::new(State { value, changes: 0, saved: 0 });
        let inner = Arc::new(Inner { state, version, generation, key_session });
        let (alive, dropped) = watch::channel(());
        let saver = Saver {
            inner: Arc::clone(&inner),
            interval: session.parts.settings.checkpoints.interval,
            cancel: session.cancel.clone(),
            superseded: session.superseding(),
            phase: session.phase(),
            dropped,
        };
        session.start_saver(saver.run());
        Self { inner, _alive: Arc::new(alive) }
    }
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of changes, if there are unsaved ones.
    fn unsaved(&self) -> Option<u64> {
        let state = self.lock();
        (state.changes != state.saved).then_some(state.changes)
    }
}

impl<T: Serialize + DeserializeOwned> Inner<T> {
    async fn save(&self) -> Result<(), CheckpointError> {
        let now = agent_backends::wall_clock();
        let mut changes = 0;
        let result = self
            .key_session
            .save(Some(self.generation), |epoch| {
                let record = {
                    // A panic in a change leaves the lock poisoned.
                    let state = self.state.lock().map_err(|_| CheckpointError::HalfChanged)?;
                    changes = state.changes;
                    encode_checkpoint(&state.value, self.version, epoch, now)?
                };
                verify_checkpoint::<T>(&record)?;
                Ok(record)
            })
            .await;
        if result.is_ok() {
            let mut state = self.lock();
            // Another save may have finished meanwhile.
            state.saved = state.saved.max(changes);
        }
        result
    }
}

/// The task that saves according to the schedule.
struct Saver<T> {
    inner: Arc<Inner<T>>,
    interval: Duration,
    cancel: CancelSignal,
    /// Ends the attempt.
    superseded: Arc<SetOnce<()>>,
    phase: watch::Receiver<Phase>,
    dropped: watch::Receiver<()>,
}

impl<T: Serialize + DeserializeOwned> Saver<T> {
    async fn run(mut self) {
        let started = Instant::now();
        let now = || Time::ZERO + started.elapsed();
        let mut schedule = SaveSchedule::new(self.interval, now());
        let mut cancelled = false;
        loop {
            let mut failure = None;
            while let Some(output) = schedule.poll_output() {
                match output {
                    SaveOutput::Look => {
                        schedule.handle_input(SaveInput::Looked { unsaved: self.inner.unsaved() }, now());
                    }
                    SaveOutput::Save => {
                        let input = match self.inner.save().await {
                            Ok(()) => SaveInput::Saved,
                            Err(error) => SaveInput::Failed(SaveFailure::of(failure.insert(error))),
                        };
                        schedule.handle_input(input, now());
                    }
                    SaveOutput::Report(report) => self.report(report, failure.as_ref()),
                    // Another value of the attempt may have set it before.
                    SaveOutput::Supersede => drop(self.superseded.set(())),
                    SaveOutput::Finish => return,
                }
            }
            let wake = schedule.poll_timeout().map(|at| started + (at - Time::ZERO));
            tokio::select! {
                biased;
                input = self.next_input(cancelled) => {
                    cancelled |= input == SaveInput::Cancelled;
                    schedule.handle_input(input, now());
                }
                () = sleep_until(wake) => schedule.handle_timeout(now()),
            }
        }
    }

    async fn next_input(&mut self, cancelled: bool) -> SaveInput {
        tokio::select! {
            biased;
            phase = self.phase.wait_for(|phase| *phase != Phase::Open) => {
                // A closed channel means that the attempt was dropped.
                let discard = phase.is_ok_and(|phase| *phase == Phase::Discard);
                SaveInput::Ended(if discard { CheckpointRetention::Discard } else { CheckpointRetention::Keep })
            }
            // Nothing is ever sent: the last clone of the value was dropped.
            _ = self.dropped.changed() => SaveInput::Ended(CheckpointRetention::Keep),
            _ = self.cancel.wait(), if !cancelled => SaveInput::Cancelled,
        }
    }

    fn report(&self, report: SaveReport, failure: Option<&CheckpointError>) {
        let key = &self.inner.key_session.key;
        // Every report but the last follows a failed save.
        let text = failure.map(ToString::to_string).unwrap_or_default();
        let chain = failure.map(|error| error_text::chain(error)).unwrap_or_default();
        match report {
            SaveReport::Retrying => {
                tracing::warn!(key = %line(key), "the progress since the last checkpoint is not saved yet: {}", line(chain));
            }
            SaveReport::Lost => {
                tracing::warn!(key = %line(key), "the progress since the last checkpoint is lost: {}", line(chain));
            }
            SaveReport::Refused => {
                tracing::error!(key = %line(key), "{}; what was saved before stays", line(text))
            }
            SaveReport::Stopped => tracing::error!(key = %line(key), "{}", line(text)),
            SaveReport::LostRefused => {
                tracing::warn!(key = %line(key), "the progress since the last checkpoint is lost: its value cannot be saved");
            }
        }
    }
}

impl<T> Clone for AutoSaved<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), _alive: Arc::clone(&self._alive) }
    }
}

impl<T: fmt::Debug> fmt::Debug for AutoSaved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        f.debug_struct("AutoSaved")
            .field("value", &state.value)
            .field("changed", &(state.changes != state.saved))
            .finish_non_exhaustive()
    }
}
