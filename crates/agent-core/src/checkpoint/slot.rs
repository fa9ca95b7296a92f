//! Which writer may change a store's slot: only that of the highest epoch (promise I13).
//!
//! A worker that takes over a job claims its key: the epoch rises, and from then on the previous writer is
//! refused, however long it was disconnected. A deleted checkpoint leaves its epoch behind, so that an old
//! writer cannot restore it. The writes of one writer are numbered: one that was delayed is refused when a
//! later one has arrived. Times are those of the store's clock, in milliseconds since 1970.

use std::time::Duration;

/// The number of a claim, higher than all earlier ones of the same key.
///
/// The store's time at the claim, or one more than the last when that is higher. So it also rises when the
/// store has lost its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The right to write under a key until the next claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Writer {
    /// The epoch of its claim.
    pub epoch: Epoch,
    /// The number of this write: one with a lower number than the last is refused, the same one may be
    /// repeated.
    pub write: u64,
    /// The store's time when it last confirmed this writer.
    pub seen: u64,
}

impl Writer {
    /// A writer as recorded by a store.
    #[must_use]
    pub const fn new(epoch: Epoch, write: u64, seen: u64) -> Self {
        Self { epoch, write, seen }
    }

    /// The same writer, confirmed at this time of the store's clock.
    #[must_use]
    pub const fn seen_at(self, now: u64) -> Self {
        Self { seen: now, ..self }
    }

    /// The writer of the next write. Each write has its own number, even when the result of the previous one
    /// is unknown: it may still be in flight.
    ///
    /// ```
    /// use agent_core::Slot;
    /// use std::time::Duration;
    ///
    /// let day = Duration::from_secs(24 * 3600);
    /// let (_, claim) = Slot::claim(None, 1_000, day);
    /// let (first, second) = (claim.writer.next(), claim.writer.next().next());
    /// let slot = Slot::written(second, None, 1_000, day);
    /// assert!(!Slot::may_write(Some(&slot), first, 1_000, day), "it comes too late");
    /// assert!(Slot::may_write(Some(&slot), second, 1_000, day), "repeated, as its answer was lost");
    /// ```
    #[must_use]
    pub const fn next(self) -> Self {
        Self { write: self.write.saturating_add(1), ..self }
    }
}

/// A claim that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The right to write.
    pub writer: Writer,
    /// The record of earlier writers, unless it was deleted or has expired.
    pub record: Option<Vec<u8>>,
}

impl Claim {
    /// A claim as granted by a store.
    #[must_use]
    pub const fn new(writer: Writer, record: Option<Vec<u8>>) -> Self {
        Self { writer, record }
    }
}

/// What a store keeps under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// The highest granted epoch.
    pub epoch: Epoch,
    /// The number of the last write of that epoch; 0 before the first.
    pub write: u64,
    /// The last saved record.
    pub record: Option<Vec<u8>>,
    /// When the record expires.
    pub record_until: u64,
    /// When the slot itself may be dropped.
    pub until: u64,
}

/// How long a slot, and with it its epoch, is kept after its last use: as long as its record, and at least a
/// day.
#[must_use]
pub fn slot_life(ttl: Duration) -> Duration {
    ttl.max(Duration::from_secs(24 * 3600))
}

impl Slot {
    /// The claim of a key, and the slot after it. `stored` is the present slot, `ttl` how long a record is
    /// kept after a claim or save.
    ///
    /// ```
    /// use agent_core::Slot;
    /// use std::time::Duration;
    ///
    /// let day = Duration::from_secs(24 * 3600);
    /// let (slot, first) = Slot::claim(None, 1_000, day);
    /// let (slot, second) = Slot::claim(Some(slot), 1_000, day);
    /// assert!(second.writer.epoch > first.writer.epoch);
    /// assert!(!Slot::may_write(Some(&slot), first.writer, 1_000, day), "the first is superseded");
    /// ```
    #[must_use]
    pub fn claim(stored: Option<Self>, now: u64, ttl: Duration) -> (Self, Claim) {
        let last = stored.as_ref().map_or(0, |slot| slot.epoch.0.saturating_add(1));
        let epoch = Epoch(last.max(now));
        let record = stored.filter(|slot| now < slot.record_until).and_then(|slot| slot.record);
        let writer = Writer { epoch, write: 0, seen: now };
        (Self::written(writer, record.clone(), now, ttl), Claim { writer, record })
    }

    /// Whether this writer may write under the key.
    ///
    /// Without a slot, it may if it was confirmed less than [`slot_life`] ago: a slot lives that long, so the
    /// store has lost it; no later writer can have deleted it.
    #[must_use]
    pub fn may_write(stored: Option<&Self>, writer: Writer, now: u64, ttl: Duration) -> bool {
        match stored {
            Some(slot) => (slot.epoch, slot.write) <= (writer.epoch, writer.write),
            None => now.saturating_sub(writer.seen) < millis(slot_life(ttl)),
        }
    }

    /// The slot after a write: with a record, or after a delete with only the epoch of its writer.
    #[must_use]
    pub fn written(writer: Writer, record: Option<Vec<u8>>, now: u64, ttl: Duration) -> Self {
        Self {
            epoch: writer.epoch,
            write: writer.write,
            record,
            record_until: now.saturating_add(millis(ttl)),
            until: now.saturating_add(millis(slot_life(ttl))),
        }
    }

    /// The slot as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = self.record.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(record.len() + 33);
        for number in [self.epoch.0, self.write, self.record_until, self.until] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.push(u8::from(self.record.is_some()));
        bytes.extend(record);
        bytes
    }

    /// The slot of [`to_bytes`](Self::to_bytes); `None` for other bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (write, rest) = rest.split_first_chunk()?;
        let (record_until, rest) = rest.split_first_chunk()?;
        let (until, rest) = rest.split_first_chunk()?;
        let record = match rest.split_first()? {
            (0, []) => None,
            (1, record) => Some(record.to_vec()),
            _ => return None,
        };
        Some(Self {
            epoch: Epoch(u64::from_le_bytes(*epoch)),
            write: u64::from_le_bytes(*write),
            record,
            record_until: u64::from_le_bytes(*record_until),
            until: u64::from_le_bytes(*until),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEEP: Duration = Duration::from_secs(60);
    const DAY: u64 = 24 * 3600 * 1000;

    #[test]
    fn a_record_expires_and_its_epoch_later() {
        let (_, first) = Slot::claim(None, 5, KEEP);
        let slot = Slot::written(first.writer, Some(vec![1]), 10, KEEP);
        assert_eq!((slot.record_until, slot.until), (60_010, DAY + 10));
        assert_eq!(Slot::claim(Some(slot.clone()), 60_009, KEEP).1.record, Some(vec![1]));
        let (after, claim) = Slot::claim(Some(slot), 60_010, KEEP);
        assert_eq!((claim.record, after.record), (None, None));
    }

    #[test]
    fn a_store_that_lost_everything_takes_its_writer_but_no_old_one() {
        let writer = Writer { epoch: Epoch(7), write: 1, seen: 1_000 };
        assert!(Slot::may_write(None, writer, 1_000 + DAY - 1, KEEP));
        assert!(!Slot::may_write(None, writer, 1_000 + DAY, KEEP));
        assert!(Slot::may_write(None, writer.seen_at(1_001), 1_000 + DAY, KEEP), "it was confirmed since");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Claim,
        /// By the writer of one of the claims so far.
        Save(usize),
        Delete(usize),
        /// An earlier write of the last writer that arrives, or arrives again, now.
        Late(usize),
        /// The store drops expired slots.
        Sweep,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (0u64..2 * DAY).prop_map(Step::Wait),
            3 => Just(Step::Claim),
            4 => any::<usize>().prop_map(Step::Save),
            2 => any::<usize>().prop_map(Step::Delete),
            1 => any::<usize>().prop_map(Step::Late),
            1 => Just(Step::Sweep),
        ]
    }

    proptest! {
        /// Promise I13: in any order of claims, writes and expiries, only the last claimant changes anything,
        /// and nothing that an earlier writer saves afterwards is read by a later claim.
        #[test]
        fn a_superseded_writer_changes_nothing(steps in proptest::collection::vec(step(), 1..40)) {
            let mut now = 1_000_000;
            let mut stored: Option<Slot> = None;
            let mut writers: Vec<Writer> = Vec::new();
            let mut sent: Vec<Writer> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                let choose = |at: usize, writers: &[Writer]| (!writers.is_empty()).then(|| at % writers.len());
                let (at, record) = match step {
                    Step::Wait(time) => {
                        now += time;
                        continue;
                    }
                    Step::Sweep => {
                        stored = stored.filter(|slot| now < slot.until);
                        continue;
                    }
                    Step::Claim => {
                        let (slot, claim) = Slot::claim(stored.take(), now, KEEP);
                        prop_assert!(writers.iter().all(|writer| writer.epoch < claim.writer.epoch));
                        stored = Some(slot);
                        writers.push(claim.writer);
                        sent.clear();
                        continue;
                    }
                    Step::Late(at) => {
                        if let Some(at) = choose(at, &sent) {
                            // Nothing was written after it, or everything was lost.
                            let may = Slot::may_write(stored.as_ref(), sent[at], now, KEEP);
                            prop_assert!(!may || at == sent.len() - 1 || stored.is_none());
                        }
                        continue;
                    }
                    Step::Save(at) => (choose(at, &writers), Some(vec![u8::try_from(number).unwrap()])),
                    Step::Delete(at) => (choose(at, &writers), None),
                };
                let Some(at) = at else { continue };
                let last = at == writers.len() - 1;
                writers[at] = writers[at].next();
                let may = Slot::may_write(stored.as_ref(), writers[at], now, KEEP);
                prop_assert!(last || !may, "writer {at} of {} at {now}", writers.len());
                if may {
                    stored = Some(Slot::written(writers[at], record, now, KEEP));
                    writers[at].seen = now;
                    sent.push(writers[at]);
                }
            }
        }

        #[test]
        fn bytes_and_back(epoch: u64, write: u64, record in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)), until: u64) {
            let slot = Slot { epoch: Epoch(epoch), write, record, record_until: until / 2, until };
            prop_assert_eq!(Slot::from_bytes(&slot.to_bytes()), Some(slot));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(slot) = Slot::from_bytes(&bytes) {
                prop_assert_eq!(slot.to_bytes(), bytes);
            }
        }
    }
}
