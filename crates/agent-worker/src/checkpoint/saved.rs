//! A value that saves itself.

use super::session::{Checkpoints, Opened, Phase, Round};
use crate::context::CancelSignal;
use crate::error_text;
use agent_core::{CheckpointError, encode_checkpoint};
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;
use tracing::Instrument;

/// The state of a job that is saved as it changes: every 30 s (or as the builder says), when the job is told to stop, and when the
/// handler has returned. Made by [`Checkpoint::resume`](super::Checkpoint::resume); clones share the value.
///
/// A save that fails is logged and tried again, sooner than the next one would come: the job goes on. When another worker has taken the
/// checkpoint over, this attempt ends with [`CheckpointError::Superseded`]: what it does is done there, too.
pub struct Saved<T> {
    inner: Arc<Inner<T>>,
    /// The last clone ends the task that saves.
    _alive: watch::Sender<()>,
}

struct Inner<T> {
    state: Mutex<State<T>>,
    version: u32,
    round: Round,
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

impl<T: Serialize + Send + 'static> Saved<T> {
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
        round: Round,
        opened: Arc<Opened>,
        session: &Checkpoints,
    ) -> Self {
        let state = Mutex::new(State { value, changes: 0, saved: 0 });
        let inner = Arc::new(Inner { state, version, round, opened });
        let (alive, dropped) = watch::channel(());
        let saver = Saver {
            inner: Arc::clone(&inner),
            interval: session.settings.interval,
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

    fn has_changed(&self) -> bool {
        let state = self.lock();
        state.changes != state.saved
    }
}

impl<T: Serialize> Inner<T> {
    async fn save(&self) -> Result<(), CheckpointError> {
        let now = crate::store::wall_clock();
        let mut changes = 0;
        let result = self
            .opened
            .save(Some(self.round), |epoch| {
                // A panic while it was changed leaves the lock poisoned.
                let Ok(state) = self.state.lock() else {
                    return Err(CheckpointError::HalfChanged);
                };
                changes = state.changes;
                encode_checkpoint(&state.value, self.version, epoch, now)
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

/// After a save that failed, the next try comes after this, then twice this, and so on up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

impl<T: Serialize> Saver<T> {
    async fn run(mut self) {
        let mut next = Instant::now() + self.interval;
        let mut failures = 0_u32;
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
            let result = if self.inner.has_changed() { self.inner.save().await } else { Ok(()) };
            let wait = match result {
                Ok(()) => {
                    failures = 0;
                    self.interval
                }
                Err(error @ (CheckpointError::HalfChanged | CheckpointError::JobOver)) => {
                    tracing::error!(key = %self.inner.opened.key, "{error}");
                    return;
                }
                Err(error @ CheckpointError::Superseded) => {
                    tracing::error!(key = %self.inner.opened.key, "{error}");
                    // Another value of the attempt may have said so before.
                    let _ = self.superseded.set(());
                    return;
                }
                Err(error) => {
                    let retry = FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(self.interval);
                    failures = failures.saturating_add(1);
                    let what = if last { "lost" } else { "not saved yet" };
                    tracing::warn!(key = %self.inner.opened.key, "the progress since the last checkpoint is {what}: {}", error_text::chain(&error));
                    retry
                }
            };
            if last {
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
