//! A value that saves itself.

use super::session::{Checkpoints, Opened, Phase};
use crate::job::cancel::CancelSignal;
use agent_core::{CheckpointError, Generation, encode_checkpoint, verify_checkpoint};
use agent_proto::error_text;
use agent_proto::text::line;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;
use tracing::Instrument;

/// The state of a job that is saved as it changes: every 30 s (or as the builder says), when the job is told to stop, and when the
/// handler has returned. Made by [`Checkpoint::resume`](super::Checkpoint::resume); clones share the value.
///
/// A save that fails is logged and retried, sooner than the next one would come: the job goes on. A value that cannot be saved at all (it
/// would not load again, or is too large) is logged as an error, once until one is saved again, and retried when it has changed. When
/// another worker has taken the checkpoint over, this attempt ends with [`CheckpointError::Superseded`]: what it does is done there, too.
pub struct Saved<T> {
    inner: Arc<Inner<T>>,
    /// The last clone ends the task that saves.
    _alive: watch::Sender<()>,
}

struct Inner<T> {
    state: Mutex<State<T>>,
    version: u32,
    generation: Generation,
    opened: Arc<Opened>,
}

struct State<T> {
    value: T,
    /// How often it was changed, and what that number was when it was saved last.
    changes: u64,
    saved: u64,
}

impl<T> Saved<T> {
    /// The value.
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.inner.lock().value.clone()
    }

    /// Looks at the value.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.inner.lock().value)
    }

    /// Puts another value in its place, to be saved when it is time.
    pub fn set(&self, value: T) {
        self.update(|old| *old = value);
    }

    /// Changes the value, to be saved when it is time. Do not wait for anything in here: nothing is saved meanwhile.
    ///
    /// A value whose change panicked is not saved any more: it may be half changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.inner.lock();
        state.changes += 1;
        change(&mut state.value)
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Saved<T> {
    /// Saves the value now. It is in the store when this returns.
    ///
    /// # Errors
    /// [`CheckpointError`]; what was saved before is then still there.
    pub async fn save(&self) -> Result<(), CheckpointError> {
        self.inner.save().await
    }

    pub(super) fn start(
        value: T,
        version: u32,
        generation: Generation,
        opened: Arc<Opened>,
        session: &Checkpoints,
    ) -> Self {
        let state = Mutex::new(State { value, changes: 0, saved: 0 });
        let inner = Arc::new(Inner { state, version, generation, opened });
        let (alive, dropped) = watch::channel(());
        let saver = Saver {
            inner: Arc::clone(&inner),
            interval: session.parts.settings.checkpoints.interval,
            cancel: session.cancel.clone(),
            superseded: session.superseding(),
            phase: session.phase(),
            dropped,
        };
        session.start_saver(saver.run().in_current_span());
        Self { inner, _alive: alive }
    }
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was changed since it was saved; and its number of changes.
    fn has_changed(&self) -> (bool, u64) {
        let state = self.lock();
        (state.changes != state.saved, state.changes)
    }
}

impl<T: Serialize + DeserializeOwned> Inner<T> {
    async fn save(&self) -> Result<(), CheckpointError> {
        let now = agent_backends::wall_clock();
        let mut changes = 0;
        let result = self
            .opened
            .save(Some(self.generation), |epoch| {
                let record = {
                    // A panic while it was changed leaves the lock poisoned.
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
            // Another save may have come and gone meanwhile.
            state.saved = state.saved.max(changes);
        }
        result
    }
}

/// The task that saves.
struct Saver<T> {
    inner: Arc<Inner<T>>,
    interval: Duration,
    cancel: CancelSignal,
    /// Ends the attempt.
    superseded: Arc<SetOnce<()>>,
    phase: watch::Receiver<Phase>,
    dropped: watch::Receiver<()>,
}

/// A value that cannot be saved, whatever the store says.
#[derive(Default)]
struct Refused {
    /// How often it had been changed.
    changes: Option<u64>,
    /// Why, as it was logged.
    text: String,
}

/// After a save that failed, the next try comes after this, then twice this, and so on up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

impl<T: Serialize + DeserializeOwned> Saver<T> {
    async fn run(mut self) {
        let mut next = Instant::now() + self.interval;
        let mut failures = 0_u32;
        let mut refused = Refused::default();
        let mut told_to_stop = false;
        loop {
            let last = tokio::select! {
                biased;
                phase = self.phase.wait_for(|phase| *phase != Phase::Open) => {
                    // The attempt is gone if nobody is there to tell.
                    if phase.is_ok_and(|phase| *phase == Phase::Discard) {
                        return;
                    }
                    true
                }
                // Nothing is ever sent: the last clone of the value is gone.
                _ = self.dropped.changed() => true,
                _ = self.cancel.wait(), if !told_to_stop => {
                    told_to_stop = true;
                    false
                }
                () = tokio::time::sleep_until(next) => false,
            };
            let begun = Instant::now();
            let (changed, changes) = self.inner.has_changed();
            let is_refused = changed && refused.changes == Some(changes);
            let result = if changed && !is_refused { self.inner.save().await } else { Ok(()) };
            let wait = match result {
                Ok(()) if is_refused => self.interval,
                Ok(()) => {
                    failures = 0;
                    refused = Refused::default();
                    self.interval
                }
                Err(error) if error.is_about_value() => {
                    let text = error.to_string();
                    if refused.text != text {
                        tracing::error!(key = %line(&self.inner.opened.key), "{}; what was saved before stays", line(&text));
                    }
                    refused = Refused { changes: Some(changes), text };
                    self.interval
                }
                Err(error @ (CheckpointError::HalfChanged | CheckpointError::JobOver)) => {
                    tracing::error!(key = %line(&self.inner.opened.key), "{}", line(&error));
                    return;
                }
                Err(error @ CheckpointError::Superseded) => {
                    tracing::error!(key = %line(&self.inner.opened.key), "{}", line(&error));
                    // Another value of the attempt may have said so before.
                    let _ = self.superseded.set(());
                    return;
                }
                Err(error) => {
                    let retry = FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(self.interval);
                    failures = failures.saturating_add(1);
                    let what = if last { "lost" } else { "not saved yet" };
                    tracing::warn!(key = %line(&self.inner.opened.key), "the progress since the last checkpoint is {what}: {}", line(error_text::chain(&error)));
                    retry
                }
            };
            if last {
                if refused.changes.is_some() {
                    tracing::warn!(key = %line(&self.inner.opened.key), "the progress since the last checkpoint is lost: its value cannot be saved");
                }
                return;
            }
            // Counted from when the value was taken, so that an interval's worth is what is lost; but a slow store has its pauses.
            next = (begun + wait).max(Instant::now() + wait / 10);
        }
    }
}

impl<T> Clone for Saved<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), _alive: self._alive.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Saved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        f.debug_struct("Saved")
            .field("value", &state.value)
            .field("changed", &(state.changes != state.saved))
            .finish_non_exhaustive()
    }
}
