//! Checkpoints of a job, for the attempt, worker or machine that goes on with it.
//!
//! Whose checkpoint it is, what its bytes are, when they are saved, who may write and whether it is kept is
//! decided in `agent-core`; where they go, by the store.

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

/// What a job saves of its progress, so that whoever goes on with it does not begin anew: the next attempt,
/// or another worker after this one was drained or killed. Made by
/// [`JobContext::checkpoint`](crate::JobContext::checkpoint). The whole story is in the
/// [guide](crate::guide::checkpoints).
///
/// # The short way
/// [`resume`](Self::resume) gives a value that saves itself: every 30 s (or as the builder says), when the
/// job is told to stop, and when the handler returns.
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
/// After a kill, what was done since the last save is done again: at most one interval's worth, and nothing
/// is skipped.
///
/// # By hand
/// [`load`](Self::load), [`save`](Self::save) and [`delete`](Self::delete).
///
/// # Whose it is
/// Unless [`key`](Self::key) says otherwise, a job goes on with the checkpoint of the last one for the same
/// agent name, room name, kind of job and target participant, as a job that is dispatched again has a new job
/// id and a new dispatch id.
///
/// Loading, or the first save, takes the checkpoint over: whoever had it before (a worker that was believed
/// to be dead) saves nothing any more and is told [`CheckpointError::Superseded`].
///
/// # How long it lives
/// It is deleted when the handler returns `Ok`, or an error that will not go away
/// ([`Fatal`](crate::JobErrorKind::Fatal) or [`Invalid`](crate::JobErrorKind::Invalid)), unless the job was
/// told to stop: then it is kept, as it is after a panic, a retryable error and a job over its time. It
/// expires 24 h (or as the builder says) after the last save. One that could not be read is not deleted.
///
/// # Versions
/// Values are JSON: fields that are added with `#[serde(default)]` read older checkpoints. Raise
/// [`version`](Self::version) with each change that an older agent must not read: it then gets
/// [`CheckpointError::Newer`], and leaves the checkpoint as it is.
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

    /// What it belongs to; see [`KeyBy`].
    #[must_use]
    pub fn key(mut self, by: KeyBy) -> Self {
        self.by = by;
        self
    }

    /// The version of the agent's values; 1 unless set.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Deletes what is saved, readable or not. What is saved later in this attempt is kept as ever.
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
    /// What was saved last, by this job or the one before it; `None` when there is nothing.
    ///
    /// # Errors
    /// [`CheckpointError`]. With `?` it ends the job: a store that is away is worth another attempt, the rest
    /// is fatal.
    pub async fn load(&self) -> Result<Option<T>, CheckpointError> {
        let key_session = self.session()?.open(&self.by)?;
        Ok(self.load_from(&key_session).await?.0)
    }

    /// Saves a value, in the place of what was saved before. It is in the store when this returns, and is
    /// known to load again: a value that would not is refused ([`CheckpointError::Unwritable`]), such as one
    /// with a NaN in it.
    ///
    /// # Errors
    /// [`CheckpointError`]; what was saved before is then still there.
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

    /// What was saved last, or the default; it saves itself from now on, until the attempt is over or the
    /// value is dropped.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub async fn resume(&self) -> Result<AutoSaved<T>, CheckpointError>
    where
        T: Default + Send + 'static,
    {
        let session = self.session()?;
        let key_session = session.open(&self.by)?;
        let (value, generation) = self.load_from(&key_session).await?;
        // Also when there is nothing: a save may be in the store though its answer was lost.
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
