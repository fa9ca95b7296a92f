//! The checkpoints that one attempt has opened: one claim under each key, and what becomes of them when the attempt is over.

use crate::context::CancelSignal;
use crate::store::CheckpointStore;
use crate::telemetry::Meter;
use agent_core::{
    AttemptEnd, CheckpointError, CheckpointKey, Epoch, Job, KeyBy, StoreError, Writer, checkpoint_epoch,
    is_checkpoint_over,
};
use agent_proto::error_text;
use agent_proto::text::line;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;

/// How a worker's jobs save.
#[derive(Clone)]
pub(crate) struct CheckpointSettings {
    pub(crate) store: Option<Arc<dyn CheckpointStore>>,
    pub(crate) interval: Duration,
    pub(crate) keep: Duration,
    /// How long the end of an attempt waits for what is not saved yet.
    pub(crate) flush: Duration,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            store: None,
            interval: Duration::from_secs(30),
            keep: Duration::from_secs(24 * 3600),
            flush: Duration::from_secs(5),
        }
    }
}

/// What those that save by themselves are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The attempt runs.
    Open,
    /// It is over: save what is not saved yet, and end.
    Flush,
    /// It is over, and its checkpoint is going to be deleted: end.
    Discard,
}

pub(crate) struct Checkpoints {
    pub(super) settings: CheckpointSettings,
    job: Arc<Job>,
    pub(super) cancel: CancelSignal,
    /// Another worker goes on with the job: that ends the attempt.
    superseded: Arc<SetOnce<()>>,
    /// `None` when the job is over.
    opened: Mutex<Option<BTreeMap<CheckpointKey, Arc<Opened>>>>,
    phase: watch::Sender<Phase>,
    /// How many save by themselves now.
    savers: Arc<watch::Sender<usize>>,
    pub(super) meter: Arc<Meter>,
}

impl Checkpoints {
    pub(crate) fn new(
        settings: CheckpointSettings,
        job: Arc<Job>,
        cancel: CancelSignal,
        meter: Arc<Meter>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            job,
            cancel,
            superseded: Arc::default(),
            opened: Mutex::new(Some(BTreeMap::new())),
            phase: watch::Sender::new(Phase::Open),
            savers: Arc::new(watch::Sender::new(0)),
            meter,
        })
    }

    pub(crate) fn for_next_attempt(&self) -> Arc<Self> {
        let (settings, job) = (self.settings.clone(), Arc::clone(&self.job));
        Self::new(settings, job, self.cancel.clone(), Arc::clone(&self.meter))
    }

    /// Waits until a value that saves itself was refused, as another worker has taken it over.
    pub(crate) async fn superseded(&self) -> CheckpointError {
        self.superseded.wait().await;
        CheckpointError::Superseded
    }

    pub(super) fn superseding(&self) -> Arc<SetOnce<()>> {
        Arc::clone(&self.superseded)
    }

    /// Notes how the handler ended. What it has put last is saved when this returns, as far as it can be, if anybody may go on with the
    /// job.
    pub(crate) async fn handler_ended(&self, how: &AttemptEnd) {
        if is_checkpoint_over(self.cancel.reason().is_some(), how) {
            self.end(Phase::Discard);
        } else {
            self.flush().await;
        }
    }

    /// Ends everything when the job has its outcome; deletes what nobody will go on with.
    pub(crate) async fn finish(&self) {
        self.flush().await;
        let over = *self.phase.borrow() == Phase::Discard;
        let opened = self.lock().take().unwrap_or_default();
        for (key, opened) in opened {
            if let Err(error) = opened.close(over).await
                && !matches!(error, CheckpointError::Superseded)
            {
                tracing::warn!(key = %line(&key), "the checkpoint of a job that is over stays until it expires: {}", line(error_text::chain(&error)));
            }
        }
    }

    async fn flush(&self) {
        self.end(Phase::Flush);
        let mut savers = self.savers.subscribe();
        let limit = self.settings.flush;
        if tokio::time::timeout(limit, savers.wait_for(|savers| *savers == 0)).await.is_err() {
            tracing::warn!(
                "the checkpoint store takes more than {limit:?}: the end of the job waits for it no longer"
            );
        }
    }

    /// The checkpoint under a key of this job; the same one each time.
    pub(super) fn open(&self, by: &KeyBy) -> Result<Arc<Opened>, CheckpointError> {
        let store = self.settings.store.as_ref().ok_or(CheckpointError::NoStore)?;
        let key = CheckpointKey::of(&self.job, by)?;
        let mut opened = self.lock();
        let opened =
            opened.as_mut().ok_or(CheckpointError::JobOver)?.entry(key.clone()).or_insert_with(|| {
                let (store, keep, meter) = (Arc::clone(store), self.settings.keep, Arc::clone(&self.meter));
                Arc::new(Opened { key, store, keep, claimed: tokio::sync::Mutex::default(), meter })
            });
        Ok(Arc::clone(opened))
    }

    /// Starts a task that saves until it is told to end.
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

    /// The first word counts.
    fn end(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let first = *current == Phase::Open;
            if first {
                *current = phase;
            }
            first
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<CheckpointKey, Arc<Opened>>>> {
        // Nothing in here is half done when it could panic.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a task as long as it is there, whatever becomes of it.
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

/// One key, and our claim of it. Its operations come one after the other, so that an older value never replaces a newer one.
pub(super) struct Opened {
    pub(super) key: CheckpointKey,
    store: Arc<dyn CheckpointStore>,
    keep: Duration,
    claimed: tokio::sync::Mutex<Claimed>,
    meter: Arc<Meter>,
}

#[derive(Default)]
struct Claimed {
    writer: Option<Writer>,
    /// A claim of ours has failed or was given up half-way: the store may have one that we do not know.
    unsure: bool,
    /// How often another worker had saved when we claimed again.
    round: Round,
    /// What another worker has saved was not read yet: it would be lost.
    behind: bool,
    /// What is there was read, or is ours: then it may be deleted at the end of the job.
    usable: bool,
    /// The job has its outcome: nothing is saved any more.
    closed: bool,
}

/// Values of different rounds have nothing to do with each other: another worker has gone on with the job in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Round(u32);

impl Opened {
    /// Takes the key over, and gives what is there.
    pub(super) async fn claim(&self) -> Result<(Option<Vec<u8>>, Round), CheckpointError> {
        let mut claimed = self.lock().await?;
        let record = self.claim_into(&mut claimed).await?;
        claimed.behind = false;
        Ok((record, claimed.round))
    }

    /// Saves a record, made for the epoch of our claim. `since` is the round that what it holds is of, if it is of one.
    pub(super) async fn save(
        &self,
        since: Option<Round>,
        record: impl FnMut(Epoch) -> Result<Vec<u8>, CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let begun = Instant::now();
        let result = self.claim_and_save(since, record).await;
        self.meter.checkpoint_saved(result.as_ref().copied(), begun.elapsed());
        result
    }

    async fn claim_and_save(
        &self,
        since: Option<Round>,
        mut record: impl FnMut(Epoch) -> Result<Vec<u8>, CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let mut claimed = self.lock().await?;
        self.write(&mut claimed, since, |epoch| record(epoch).map(Some)).await?;
        claimed.usable = true;
        Ok(())
    }

    pub(super) async fn delete(&self) -> Result<(), CheckpointError> {
        let mut claimed = self.lock().await?;
        // Whatever it is, it is not wanted.
        claimed.behind = false;
        self.write(&mut claimed, None, |_| Ok(None)).await
    }

    pub(super) async fn mark_usable(&self) {
        self.claimed.lock().await.usable = true;
    }

    /// Ends it; deletes what is there if it is `over`, unless it is something that could not be read.
    async fn close(&self, over: bool) -> Result<(), CheckpointError> {
        let mut claimed = self.claimed.lock().await;
        claimed.closed = true;
        if over && claimed.usable && claimed.writer.is_some() {
            self.write(&mut claimed, None, |_| Ok(None)).await?;
        }
        Ok(())
    }

    async fn lock(&self) -> Result<tokio::sync::MutexGuard<'_, Claimed>, CheckpointError> {
        let claimed = self.claimed.lock().await;
        if claimed.closed { Err(CheckpointError::JobOver) } else { Ok(claimed) }
    }

    /// Writes what `record` makes for the epoch of our claim, claimed if it was not yet.
    async fn write(
        &self,
        claimed: &mut Claimed,
        since: Option<Round>,
        mut record: impl FnMut(Epoch) -> Result<Option<Vec<u8>>, CheckpointError>,
    ) -> Result<(), CheckpointError> {
        if claimed.writer.is_none() {
            self.claim_into(claimed).await?;
        }
        loop {
            if claimed.behind || since.is_some_and(|since| since != claimed.round) {
                // What is there is another worker's progress, which must outlive this job.
                claimed.usable = false;
                return Err(CheckpointError::Superseded);
            }
            let writer = claimed.writer.ok_or(CheckpointError::Superseded)?.next();
            let record = record(writer.epoch)?;
            // Before its end is known: one that fails or is given up may still reach the store, and then not after the next one.
            claimed.writer = Some(writer);
            match self.store.write(self.key.clone(), writer, record, self.keep).await {
                Ok(writer) => {
                    claimed.writer = Some(writer);
                    return Ok(());
                }
                // By ourselves, perhaps.
                Err(StoreError::Superseded) if claimed.unsure => {
                    let before = claimed.round;
                    self.claim_into(claimed).await?;
                    claimed.behind = claimed.round != before;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn claim_into(&self, claimed: &mut Claimed) -> Result<Option<Vec<u8>>, CheckpointError> {
        claimed.unsure = true;
        let claim = self.store.claim(self.key.clone(), self.keep).await?;
        claimed.unsure = false;
        let saved_by = claim.record.as_deref().and_then(checkpoint_epoch);
        if let (Some(saved_by), Some(last)) = (saved_by, claimed.writer)
            && saved_by > last.epoch
        {
            claimed.round.0 += 1;
        }
        claimed.writer = Some(claim.writer);
        Ok(claim.record)
    }
}
