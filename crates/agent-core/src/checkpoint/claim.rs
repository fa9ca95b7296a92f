//! The writer's side of a claim: the requests that a job makes of the store for one key, and what each
//! answer, or a missing one, means.
//!
//! The store's side is [`Slot`](super::Slot). This side handles what the store cannot know: that a claim
//! whose answer was lost is our own, so that it supersedes no other worker; that a value from before another
//! worker's save must not replace that save; that what was not read is not deleted.

use super::error::{CheckpointError, StoreError};
use super::record::checkpoint_epoch;
use super::slot::{Claim, Writer};

/// Identifies the progress that a value continues: it changes when another worker has saved in between. A
/// value is never saved over the progress of another generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(u32);

/// A change that a job requests under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointChange {
    /// Save a record.
    Save {
        /// The generation of its value; `None` for a value that continues nothing.
        since: Option<Generation>,
    },
    /// Delete the record, readable or not.
    Delete,
    /// Delete the record at the end of the job.
    Discard,
}

/// The next request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    /// Claim the key.
    Claim,
    /// Write with this writer, whose epoch is part of the record.
    Write(Writer),
}

/// The claim of one key by one attempt of a job.
///
/// Operations are sequential. To load: [`begin_load`](Self::begin_load), a claim, [`claimed`](Self::claimed)
/// and [`loaded`](Self::loaded). To change something: [`begin`](Self::begin), then the requests of
/// [`next_request`](Self::next_request) until [`written`](Self::written). A request that failed, or was
/// abandoned, ends the operation; only a failed write has an input of its own,
/// [`write_failed`](Self::write_failed).
///
/// ```
/// use agent_core::{CheckpointChange, ClaimSession, Slot, StoreRequest};
/// use std::time::Duration;
///
/// let day = Duration::from_secs(24 * 3600);
/// let mut session = ClaimSession::default();
/// let save = CheckpointChange::Save { since: None };
/// session.begin(save).unwrap();
/// assert_eq!(session.next_request(save).unwrap(), StoreRequest::Claim);
/// let (slot, claim) = Slot::claim(None, 1_000, day);
/// session.claimed(&claim);
/// let StoreRequest::Write(writer) = session.next_request(save).unwrap() else { panic!() };
/// assert!(Slot::may_write(Some(&slot), writer, 1_000, day));
/// session.written(save, writer);
/// assert!(session.close(true), "what it saved is to be deleted at the end");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClaimSession {
    writer: Option<Writer>,
    /// A claim of ours failed or was abandoned: the store may have granted one that we do not know.
    claim_unknown: bool,
    /// The store refused our writer, perhaps because of a claim of our own: claim again.
    refused: bool,
    generation: Generation,
    /// What another worker saved was not read yet: a save would overwrite it.
    unread: bool,
    /// The stored record was read, or is ours: it may be deleted at the end of the job.
    deletable: bool,
    closed: bool,
}

impl ClaimSession {
    /// Begins a load: the next request is a claim.
    ///
    /// # Errors
    /// [`CheckpointError::JobOver`].
    pub fn begin_load(&mut self) -> Result<(), CheckpointError> {
        self.check_open()?;
        self.claim_unknown = true;
        Ok(())
    }

    /// The claimed value was handed to the user, who continues it.
    pub fn loaded(&mut self) -> Generation {
        self.unread = false;
        self.generation
    }

    /// Begins a change.
    ///
    /// # Errors
    /// [`CheckpointError::JobOver`]; a [`Discard`](CheckpointChange::Discard) comes after the end.
    pub fn begin(&mut self, change: CheckpointChange) -> Result<(), CheckpointError> {
        match change {
            CheckpointChange::Save { .. } => self.check_open(),
            CheckpointChange::Delete => {
                // A delete needs no knowledge of the record.
                self.unread = false;
                self.check_open()
            }
            CheckpointChange::Discard => Ok(()),
        }
    }

    /// The next request of a change.
    ///
    /// # Errors
    /// [`CheckpointError::Superseded`], when it would replace what another worker has saved.
    pub fn next_request(&mut self, change: CheckpointChange) -> Result<StoreRequest, CheckpointError> {
        let is_older =
            matches!(change, CheckpointChange::Save { since: Some(since) } if since != self.generation);
        if self.unread || is_older {
            // The stored record is another worker's progress, which must outlive this job.
            self.deletable = false;
            return Err(CheckpointError::Superseded);
        }
        let Some(writer) = self.writer.filter(|_| !self.refused) else {
            self.claim_unknown = true;
            return Ok(StoreRequest::Claim);
        };
        let writer = writer.next();
        // Set before the result is known: a write that fails or is abandoned may still reach the store, but
        // not after the next one.
        self.writer = Some(writer);
        Ok(StoreRequest::Write(writer))
    }

    /// The claim was granted.
    pub fn claimed(&mut self, claim: &Claim) {
        self.claim_unknown = false;
        let saved_by = claim.record.as_deref().and_then(checkpoint_epoch);
        let by_another = saved_by.zip(self.writer).is_some_and(|(saved_by, last)| saved_by > last.epoch);
        self.generation.0 = self.generation.0.wrapping_add(u32::from(by_another));
        // It is not the record that was read.
        self.deletable &= !by_another;
        if std::mem::take(&mut self.refused) {
            self.unread = by_another;
        }
        self.writer = Some(claim.writer);
    }

    /// The change is stored; `writer` is the one to use from now on.
    pub fn written(&mut self, change: CheckpointChange, writer: Writer) {
        self.writer = Some(writer);
        self.deletable |= matches!(change, CheckpointChange::Save { .. });
    }

    /// The write failed. Unless this returns an error, continue with the next request.
    ///
    /// # Errors
    /// The error that ends the change.
    pub fn write_failed(&mut self, error: StoreError) -> Result<(), CheckpointError> {
        match error {
            // Perhaps by our own claim.
            StoreError::Superseded if self.claim_unknown => {
                self.refused = true;
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// The stored record could be read, or there is none but this job's own: it may be deleted at the end of
    /// the job.
    pub fn mark_deletable(&mut self) {
        self.deletable = true;
    }

    /// The job has its outcome: nothing is saved any more. Returns whether to delete the stored record.
    pub fn close(&mut self, discard: bool) -> bool {
        self.closed = true;
        discard && self.deletable && self.writer.is_some()
    }

    const fn check_open(&self) -> Result<(), CheckpointError> {
        if self.closed { Err(CheckpointError::JobOver) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checkpoint::{Slot, encode_checkpoint};

    const KEEP: Duration = Duration::from_secs(3600);
    const SAVE: CheckpointChange = CheckpointChange::Save { since: None };

    /// A store that always answers.
    #[derive(Default)]
    struct Store(Option<Slot>);

    impl Store {
        fn claim(&mut self) -> Claim {
            let (slot, claim) = Slot::claim(self.0.take(), 1_000, KEEP);
            self.0 = Some(slot);
            claim
        }

        fn write(&mut self, writer: Writer, value: Option<u32>) -> Result<Writer, StoreError> {
            if !Slot::may_write(self.0.as_ref(), writer, 1_000, KEEP) {
                return Err(StoreError::Superseded);
            }
            let record = value.map(|value| encode_checkpoint(&value, 1, writer.epoch, 1_000).unwrap());
            self.0 = Some(Slot::written(writer, record, 1_000, KEEP));
            Ok(writer)
        }

        fn change(
            &mut self,
            session: &mut ClaimSession,
            change: CheckpointChange,
        ) -> Result<(), CheckpointError> {
            session.begin(change)?;
            loop {
                match session.next_request(change)? {
                    StoreRequest::Claim => session.claimed(&self.claim()),
                    StoreRequest::Write(writer) => {
                        match self.write(writer, matches!(change, CheckpointChange::Save { .. }).then_some(7))
                        {
                            Ok(writer) => {
                                session.written(change, writer);
                                return Ok(());
                            }
                            Err(error) => session.write_failed(error)?,
                        }
                    }
                }
            }
        }

        fn load(&mut self, session: &mut ClaimSession) -> Generation {
            session.begin_load().unwrap();
            session.claimed(&self.claim());
            session.loaded()
        }

        fn is_empty(&self) -> bool {
            self.0.as_ref().is_none_or(|slot| slot.record.is_none())
        }
    }

    fn is_superseded(result: Result<(), CheckpointError>) -> bool {
        matches!(result, Err(CheckpointError::Superseded))
    }

    #[test]
    fn a_claim_without_an_answer_supersedes_no_other_worker() {
        let (mut store, mut session) = (Store::default(), ClaimSession::default());
        let since = Some(store.load(&mut session));
        session.begin_load().unwrap();
        store.claim();
        store.change(&mut session, CheckpointChange::Save { since }).unwrap();
        // An answered claim does not explain the next refusal.
        store.claim();
        assert!(is_superseded(store.change(&mut session, CheckpointChange::Save { since })));
    }

    #[test]
    fn a_lost_answer_gives_no_right_to_save_over_another_worker() {
        let (mut store, mut session, mut other) = <(Store, ClaimSession, ClaimSession)>::default();
        let since = Some(store.load(&mut session));
        session.mark_deletable();
        store.change(&mut other, SAVE).unwrap();
        session.begin_load().unwrap();
        store.claim();
        for change in [CheckpointChange::Save { since }, SAVE] {
            assert!(is_superseded(store.change(&mut session, change)), "{change:?}");
        }
        assert!(!session.close(true), "the other worker's progress outlives this job");
        assert!(!store.is_empty());
    }

    #[test]
    fn a_value_read_before_another_worker_saved_is_older_than_the_stored_one() {
        let (mut store, mut session, mut other) = <(Store, ClaimSession, ClaimSession)>::default();
        let since = Some(store.load(&mut session));
        store.change(&mut session, CheckpointChange::Save { since }).unwrap();
        assert_eq!(Some(store.load(&mut session)), since, "no other worker has saved");
        store.change(&mut other, SAVE).unwrap();
        let now = store.load(&mut session);
        assert_ne!(Some(now), since);
        assert!(is_superseded(store.change(&mut session, CheckpointChange::Save { since })));
        store.change(&mut session, CheckpointChange::Save { since: Some(now) }).unwrap();
    }

    #[test]
    fn a_write_of_unknown_end_has_a_number_of_its_own() {
        let mut session = ClaimSession::default();
        session.claimed(&Store::default().claim());
        let StoreRequest::Write(lost) = session.next_request(SAVE).unwrap() else { panic!() };
        let StoreRequest::Write(next) = session.next_request(SAVE).unwrap() else { panic!() };
        assert!(next.write > lost.write);
    }

    #[test]
    fn the_end_of_a_job_deletes_its_own_record() {
        let mut store = Store::default();
        let mut read = ClaimSession::default();
        store.load(&mut read);
        let (mut saved, mut unread) = (read.clone(), read.clone());
        let mut unclaimed = ClaimSession::default();
        read.mark_deletable();
        unclaimed.mark_deletable();
        store.change(&mut saved, SAVE).unwrap();
        assert!(!read.clone().close(false), "it is kept");
        assert!(read.close(true) && saved.close(true));
        assert!(!unread.close(true), "it could not be read");
        assert!(!unclaimed.close(true), "nothing was claimed");
        store.change(&mut saved, CheckpointChange::Discard).unwrap();
        assert!(store.is_empty());
        for change in [SAVE, CheckpointChange::Delete] {
            assert!(matches!(store.change(&mut saved, change), Err(CheckpointError::JobOver)));
        }
        assert!(matches!(saved.begin_load(), Err(CheckpointError::JobOver)));
    }

    #[test]
    fn a_delete_by_the_user_also_deletes_an_unread_record() {
        let (mut store, mut session, mut other) = <(Store, ClaimSession, ClaimSession)>::default();
        store.load(&mut session);
        store.change(&mut other, SAVE).unwrap();
        session.begin_load().unwrap();
        store.claim();
        assert!(is_superseded(store.change(&mut session, SAVE)));
        store.change(&mut session, CheckpointChange::Delete).unwrap();
        assert!(store.is_empty());
    }

    #[test]
    fn a_record_of_another_worker_is_not_deleted_unread() {
        let (mut store, mut session) = <(Store, ClaimSession)>::default();
        store.load(&mut session);
        session.mark_deletable();
        store.change(&mut ClaimSession::default(), SAVE).unwrap();
        store.load(&mut session);
        assert!(!session.clone().close(true), "it could not be read: it was not marked deletable");
        session.mark_deletable();
        assert!(session.close(true), "it was read");
    }
}
