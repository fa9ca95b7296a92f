//! Checkpoints of a job, from which the next attempt, worker or machine resumes.
//!
//! `agent-core` decides the key, the encoding, when to save, who may write and whether the checkpoint is
//! kept; the store decides where it is kept.

mod auto_saved;
mod session;

pub use auto_saved::AutoSaved;
pub(crate) use session::Checkpoints;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use agent_core::{
    CheckpointError, Generation, KeyBy, decode_checkpoint, encode_checkpoint, verify_checkpoint,
};

use session::KeySession;

/// The saved progress of a job, from which the next attempt resumes, or another worker after this one was
/// drained or killed. Created by [`JobContext::checkpoint`](crate::JobContext::checkpoint); described in full
/// in the [guide](crate::guide::checkpoints).
///
/// # Automatic saves
/// [`resume`](Self::resume) returns a value that is saved automatically: every 30 s unless set, when the job
/// is cancelled, and when the handler returns.
/// ```
/// use agent_worker::{JobContext, JobResult};
///
/// #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
/// struct Progress { done: u64 }
///
/// async fn count(ctx: JobContext) -> JobResult {
///     let progress = ctx.checkpoint::<Progress>().resume().await?;
///     while progress.get().done < 10_000 && ctx.cancel_reason().is_none() {
///         let item = progress.get().done;
///         process(item).await?;
///         progress.set(Progress { done: item + 1 });
///     }
///     Ok(())
/// }
/// # async fn process(_: u64) -> std::io::Result<()> { tokio::time::sleep(std::time::Duration::from_millis(1)).await; Ok(()) }
/// ```
/// After a kill, the work since the last save is repeated: at most that of one interval. Nothing is skipped.
///
/// # Explicit saves
/// [`load`](Self::load), [`save`](Self::save) and [`delete`](Self::delete).
///
/// # Keys and ownership
/// Unless [`key`](Self::key) is set, a job resumes from the checkpoint of the last job with the same agent
/// name, room name, job kind and target participant, as a job that is dispatched again has a new job id and a
/// new dispatch id.
///
/// Loading, or the first save, takes the checkpoint over: later saves of the previous owner (a worker that
/// was believed to be dead) fail with [`CheckpointError::Superseded`].
///
/// # Lifetime
/// It is deleted when the handler returns `Ok` or a permanent error ([`Fatal`](crate::JobErrorKind::Fatal) or
/// [`Invalid`](crate::JobErrorKind::Invalid)), unless the job was cancelled. After a cancellation it is kept,
/// as after a panic, a retryable error and a timeout. It expires 24 h after the last save, unless set. A
/// checkpoint that could not be read is not deleted.
///
/// # Versions
/// Values are JSON: a type with a new field that has `#[serde(default)]` reads older checkpoints. Raise
/// [`version`](Self::version) with each change that an older agent must not read: it then gets
/// [`CheckpointError::Newer`], and leaves the checkpoint unchanged.
pub struct Checkpoint<T> {
    /// `None`: the worker has no store.
    session: Option<Arc<Checkpoints>>,
    by: KeyBy,
    version: u32,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Checkpoint<T> {
    pub(crate) fn new(session: Option<Arc<Checkpoints>>) -> Self {
        Self { session, by: KeyBy::default(), version: 1, value: PhantomData }
    }

    /// Sets what the checkpoint belongs to; see [`KeyBy`].
    #[must_use]
    pub fn key(mut self, by: KeyBy) -> Self {
        self.by = by;
        self
    }

    /// Sets the version of the agent's values; 1 unless set.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Deletes the saved checkpoint, readable or not. Later saves of this attempt are kept as usual.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn delete(&self) -> Result<(), CheckpointError> {
        self.session()?.open(&self.by)?.delete().await
    }

    fn session(&self) -> Result<&Arc<Checkpoints>, CheckpointError> {
        self.session.as_ref().ok_or(CheckpointError::NoStore)
    }
}

impl<T: Serialize + DeserializeOwned> Checkpoint<T> {
    /// The last saved value, of this job or a previous one; `None` if there is none.
    ///
    /// # Errors
    /// [`CheckpointError`]. With `?` it ends the job: retryable if the store is unavailable, fatal otherwise.
    pub async fn load(&self) -> Result<Option<T>, CheckpointError> {
        let key_session = self.session()?.open(&self.by)?;
        Ok(self.load_from(&key_session).await?.0)
    }

    /// Saves a value, which replaces the one before. When this returns, it is in the store, and verified to
    /// load again: a value that would not is refused ([`CheckpointError::Unwritable`]), such as one with a
    /// NaN in it.
    ///
    /// # Errors
    /// [`CheckpointError`]; the previously saved value is then unchanged.
    pub async fn save(&self, value: &T) -> Result<(), CheckpointError> {
        let now = agent_backends::wall_clock();
        self.session()?
            .open(&self.by)?
            .save(None, |epoch| {
                let record = encode_checkpoint(value, self.version, epoch, now)?;
                verify_checkpoint::<T>(&record)?;
                Ok(record)
            })
            .await
    }

    /// The last saved value, or the default. It is saved automatically from now on, until the attempt is over
    /// or the value is dropped.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn resume(&self) -> Result<AutoSaved<T>, CheckpointError>
    where
        T: Default + Send + 'static,
    {
        let session = self.session()?;
        let key_session = session.open(&self.by)?;
        let (value, generation) = self.load_from(&key_session).await?;
        // Even if there is no record: a save may be in the store although its answer was lost.
        key_session.mark_deletable().await;
        Ok(AutoSaved::start(value.unwrap_or_default(), self.version, generation, key_session, session))
    }

    async fn load_from(&self, key_session: &KeySession) -> Result<(Option<T>, Generation), CheckpointError> {
        let result = self.load_uncounted(key_session).await;
        self.session()?.parts.meter.checkpoint_loaded(result.as_ref().map(|(value, _)| value.is_some()));
        result
    }

    async fn load_uncounted(
        &self,
        key_session: &KeySession,
    ) -> Result<(Option<T>, Generation), CheckpointError> {
        let (record, generation) = key_session.claim().await?;
        let Some(record) = record else { return Ok((None, generation)) };
        let value = decode_checkpoint(&record, self.version)?;
        key_session.mark_deletable().await;
        Ok((Some(value), generation))
    }
}

impl<T> fmt::Debug for Checkpoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("by", &self.by)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
