//! The checkpoints of one attempt: one claim for each key, and what happens to them at the end of the
//! attempt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::Instant;

use agent_core::CheckpointStore;
use agent_core::{
    AttemptEnd, CheckpointChange, CheckpointError, CheckpointKey, CheckpointRetention, ClaimSession, Epoch,
    Generation, Job, KeyBy, StoreRequest, checkpoint_retention,
};
use agent_proto::error_text;
use agent_proto::text::line;
use agent_proto::watch;

use crate::job::cancel::CancelSignal;
use crate::worker::parts::Parts;

/// The phase of an attempt, which the tasks that save observe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The attempt runs.
    Open,
    /// The attempt is over: save unsaved changes, and end.
    Flush,
    /// The attempt is over, and its checkpoint will be deleted: end.
    Discard,
}

pub(crate) struct Checkpoints {
    pub(super) parts: Arc<Parts>,
    store: Arc<dyn CheckpointStore>,
    job: Arc<Job>,
    pub(super) cancel: CancelSignal,
    /// Set when another worker has taken over, which ends the attempt.
    superseded: Arc<SetOnce<()>>,
    /// `None` once the job is over.
    keys: Mutex<Option<BTreeMap<CheckpointKey, Arc<KeySession>>>>,
    phase: watch::Sender<Phase>,
    /// Number of running tasks that save.
    savers: Arc<watch::Sender<usize>>,
}

impl Checkpoints {
    /// `None`: the worker has no store.
    pub(crate) fn new(parts: Arc<Parts>, job: Arc<Job>, cancel: CancelSignal) -> Option<Arc<Self>> {
        let store = parts.settings.checkpoints.store.clone()?;
        Some(Self::over(store, parts, job, cancel))
    }

    fn over(
        store: Arc<dyn CheckpointStore>,
        parts: Arc<Parts>,
        job: Arc<Job>,
        cancel: CancelSignal,
    ) -> Arc<Self> {
        Arc::new(Self {
            parts,
            store,
            job,
            cancel,
            superseded: Arc::default(),
            keys: Mutex::new(Some(BTreeMap::new())),
            phase: watch::Sender::new(Phase::Open),
            savers: Arc::new(watch::Sender::new(0)),
        })
    }

    pub(crate) fn for_next_attempt(&self) -> Arc<Self> {
        let (store, parts) = (Arc::clone(&self.store), Arc::clone(&self.parts));
        Self::over(store, parts, Arc::clone(&self.job), self.cancel.clone())
    }

    /// Waits until an automatic save was refused, as another worker has taken the checkpoint over.
    pub(crate) async fn superseded(&self) -> CheckpointError {
        self.superseded.wait().await;
        CheckpointError::Superseded
    }

    pub(super) fn superseding(&self) -> Arc<SetOnce<()>> {
        Arc::clone(&self.superseded)
    }

    /// Handles the end of the handler. If the checkpoint is kept, the last value is saved when this returns,
    /// as far as possible.
    pub(crate) async fn handler_ended(&self, how: &AttemptEnd) {
        match checkpoint_retention(self.cancel.reason().as_ref(), how) {
            CheckpointRetention::Discard => self.end(Phase::Discard),
            CheckpointRetention::Keep => self.flush().await,
        }
    }

    /// Closes all keys when the job has its outcome; deletes checkpoints that are not kept.
    pub(crate) async fn finish(&self) {
        self.flush().await;
        let over = *self.phase.borrow() == Phase::Discard;
        let keys = self.lock().take().unwrap_or_default();
        for (key, session) in keys {
            if let Err(error) = session.close(over).await
                && !matches!(error, CheckpointError::Superseded)
            {
                tracing::warn!(key = %line(&key), "the checkpoint of an ended job could not be deleted and stays until it expires: {}", line(error_text::chain(&error)));
            }
        }
    }

    async fn flush(&self) {
        self.end(Phase::Flush);
        let mut savers = self.savers.subscribe();
        let limit = self.parts.settings.checkpoint_flush_timeout();
        if tokio::time::timeout(limit, savers.wait_for(|savers| *savers == 0)).await.is_err() {
            tracing::warn!(
                "the checkpoint store did not answer within {limit:?}: the job ends without waiting for it any longer"
            );
        }
    }

    /// Returns the session of one of this job's keys; the same one each time.
    pub(super) fn open(&self, by: &KeyBy) -> Result<Arc<KeySession>, CheckpointError> {
        let key = CheckpointKey::of(&self.job, by)?;
        let mut keys = self.lock();
        let session =
            keys.as_mut().ok_or(CheckpointError::JobOver)?.entry(key.clone()).or_insert_with(|| {
                let (store, parts) = (Arc::clone(&self.store), Arc::clone(&self.parts));
                Arc::new(KeySession { key, store, parts, session: tokio::sync::Mutex::default() })
            });
        Ok(Arc::clone(session))
    }

    /// Starts a task that saves until its phase ends.
    pub(super) fn start_saver(&self, saver: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(&self.savers);
        tokio::spawn(async move {
            let _counted = counted;
            saver.await;
        });
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The first call wins.
    fn end(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let first = *current == Phase::Open;
            if first {
                *current = phase;
            }
            first
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<CheckpointKey, Arc<KeySession>>>> {
        // No code under the lock can panic halfway through a change.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a task until it is dropped, however it ends.
struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// One key and our claim of it. Its operations are serialised, so that an older value never replaces a newer
/// one.
pub(super) struct KeySession {
    pub(super) key: CheckpointKey,
    store: Arc<dyn CheckpointStore>,
    parts: Arc<Parts>,
    session: tokio::sync::Mutex<ClaimSession>,
}

impl KeySession {
    /// Takes the key over, and returns the stored record.
    pub(super) async fn claim(&self) -> Result<(Option<Vec<u8>>, Generation), CheckpointError> {
        let mut session = self.session.lock().await;
        session.begin_load()?;
        let record = self.claim_into(&mut session).await?;
        Ok((record, session.loaded()))
    }

    /// Saves a record, created for the epoch of our claim. `since` is the generation that the value is based
    /// on, if any.
    pub(super) async fn save(
        &self,
        since: Option<Generation>,
        mut record: impl FnMut(Epoch) -> Result<Vec<u8>, CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let begun = Instant::now();
        let change = CheckpointChange::Save { since };
        let mut session = self.session.lock().await;
        let result = self.change(&mut session, change, |epoch| record(epoch).map(Some)).await;
        self.parts.meter.checkpoint_saved(result.as_ref().copied(), begun.elapsed());
        result
    }

    pub(super) async fn delete(&self) -> Result<(), CheckpointError> {
        let mut session = self.session.lock().await;
        self.change(&mut session, CheckpointChange::Delete, |_| Ok(None)).await
    }

    pub(super) async fn mark_deletable(&self) {
        self.session.lock().await.mark_deletable();
    }

    /// Closes the session. With `discard` the stored record is deleted, unless it could not be read.
    async fn close(&self, discard: bool) -> Result<(), CheckpointError> {
        let mut session = self.session.lock().await;
        if session.close(discard) {
            self.change(&mut session, CheckpointChange::Discard, |_| Ok(None)).await?;
        }
        Ok(())
    }

    /// Performs a change. `record` creates the bytes to write for the epoch of our claim.
    async fn change(
        &self,
        session: &mut ClaimSession,
        change: CheckpointChange,
        mut record: impl FnMut(Epoch) -> Result<Option<Vec<u8>>, CheckpointError>,
    ) -> Result<(), CheckpointError> {
        session.begin(change)?;
        loop {
            let writer = match session.next_request(change)? {
                StoreRequest::Claim => {
                    self.claim_into(session).await?;
                    continue;
                }
                StoreRequest::Write(writer) => writer,
            };
            let record = record(writer.epoch)?;
            match self.store.write(self.key.clone(), writer, record, self.expiry()).await {
                Ok(writer) => {
                    session.written(change, writer);
                    return Ok(());
                }
                Err(error) => session.write_failed(error)?,
            }
        }
    }

    fn expiry(&self) -> Duration {
        self.parts.settings.checkpoints.expiry
    }

    async fn claim_into(&self, session: &mut ClaimSession) -> Result<Option<Vec<u8>>, CheckpointError> {
        let claim = self.store.claim(self.key.clone(), self.expiry()).await?;
        session.claimed(&claim);
        Ok(claim.record)
    }
}
