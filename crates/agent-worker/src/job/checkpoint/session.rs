//! The checkpoints of one attempt: one claim for each key, and what happens to them at the end of the
//! attempt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::Instant;
use tracing::Instrument;

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

/// How long an ended job waits for its store, with all that it still saves and deletes.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of it a save may take that is followed by a delete.
const DISCARDED_SAVE_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Whether the handler has returned, and its last value is being saved.
    pub(crate) fn has_handler_ended(&self) -> bool {
        *self.phase.borrow() != Phase::Open
    }

    /// Closes all keys when the job has its outcome; deletes checkpoints that are not kept. Gives up on a
    /// store that does not answer.
    pub(crate) async fn finish(&self) {
        self.end(Phase::Flush);
        let discard = *self.phase.borrow() == Phase::Discard;
        let closed = async {
            self.saved().await;
            let keys = self.lock().take().unwrap_or_default();
            close(keys, discard).await;
        };
        if tokio::time::timeout(END_TIMEOUT, closed).await.is_err() {
            self.lock().take();
            if discard {
                tracing::warn!(
                    "the checkpoint store did not answer within {END_TIMEOUT:?} of the job's end: its checkpoint stays until it expires"
                );
            }
        }
    }

    /// Waits until no task saves any more.
    async fn saved(&self) {
        // The sender is in `self`.
        let _ = self.savers.subscribe().wait_for(|savers| *savers == 0).await;
    }

    async fn flush(&self) {
        self.end(Phase::Flush);
        let limit = self.parts.settings.checkpoint_flush_timeout();
        if tokio::time::timeout(limit, self.saved()).await.is_err() {
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

    /// Starts a task that saves until its phase ends, and is dropped if its store then does not answer.
    pub(super) fn start_saver(&self, saver: impl Future<Output = ()> + Send + 'static) {
        let (counted, phase) = (Counted::new(&self.savers), self.phase());
        let saving = async move {
            let _counted = counted;
            tokio::select! {
                biased;
                () = saver => {}
                () = overdue(phase) => {}
            }
        };
        tokio::spawn(saving.in_current_span());
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

/// Waits until the task that saves has had its time after the end of its attempt.
async fn overdue(mut phase: watch::Receiver<Phase>) {
    // A closed channel means that the attempt was dropped.
    let discard =
        phase.wait_for(|phase| *phase != Phase::Open).await.is_ok_and(|phase| *phase == Phase::Discard);
    if discard {
        return tokio::time::sleep(DISCARDED_SAVE_TIMEOUT).await;
    }
    tokio::time::sleep(END_TIMEOUT).await;
    tracing::warn!(
        "the checkpoint store did not answer within {END_TIMEOUT:?} of the end of the attempt: the progress since the last checkpoint \
         may be lost"
    );
}

/// Closes the keys of an ended job.
async fn close(keys: BTreeMap<CheckpointKey, Arc<KeySession>>, discard: bool) {
    for (key, session) in keys {
        if let Err(error) = session.close(discard).await
            && !matches!(error, CheckpointError::Superseded)
        {
            tracing::warn!(key = %line(&key), "the checkpoint of an ended job could not be deleted and stays until it expires: {}", line(error_text::chain(&error)));
        }
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
