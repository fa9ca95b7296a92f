//! What every store of checkpoints does alike: the rules of `agent_core::Slot`, in each implementation.

use std::sync::Arc;
use std::time::Duration;

use agent_worker::checkpoint::{CheckpointKey, CheckpointStore, Claim, Epoch, KeyBy, StoreError, Writer};
use agent_worker::{Job, JobKind};

const KEEP: Duration = Duration::from_secs(3600);

pub(crate) fn key(name: &str) -> CheckpointKey {
    let job = Job::new("AJ_1", JobKind::Room, "lobby");
    CheckpointKey::of(&job, &KeyBy::Text(name.to_owned())).expect("a key")
}

pub(crate) async fn holds_the_rules(store: Arc<dyn CheckpointStore>) {
    a_checkpoint_goes_from_writer_to_writer(&*store).await;
    a_write_that_comes_late_changes_nothing(&*store).await;
    a_record_expires_and_its_epoch_stays(&*store).await;
    any_bytes_come_back(&*store).await;
    of_many_that_claim_at_once_one_may_write(&store).await;
    for seed in 0..5 {
        any_order_of_claims_and_writes(&*store, seed).await;
    }
}

async fn claim(store: &dyn CheckpointStore, key: &CheckpointKey) -> Claim {
    store.claim(key.clone(), KEEP).await.expect("claimed")
}

async fn write(
    store: &dyn CheckpointStore,
    key: &CheckpointKey,
    writer: Writer,
    record: Option<&[u8]>,
) -> bool {
    match store.write(key.clone(), writer, record.map(<[u8]>::to_vec), KEEP).await {
        Ok(after) => {
            assert_eq!(after.epoch, writer.epoch);
            assert!(after.seen >= writer.seen);
            true
        }
        Err(StoreError::Superseded) => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn a_checkpoint_goes_from_writer_to_writer(store: &dyn CheckpointStore) {
    let key = key("relay");
    let first = claim(store, &key).await;
    assert_eq!(first.record, None, "not found is no error");
    assert!(write(store, &key, first.writer, Some(b"one")).await);
    assert!(write(store, &key, first.writer, Some(b"two")).await);

    let second = claim(store, &key).await;
    assert_eq!(second.record.as_deref(), Some(&b"two"[..]));
    assert!(second.writer.epoch > first.writer.epoch);
    assert!(!write(store, &key, first.writer, Some(b"stale")).await, "superseded");
    assert!(!write(store, &key, first.writer, None).await, "it cannot delete either");
    assert!(write(store, &key, second.writer, Some(b"three")).await);
    assert!(write(store, &key, second.writer, None).await);

    assert!(!write(store, &key, first.writer, Some(b"back again")).await, "a deleted one stays deleted");
    let third = claim(store, &key).await;
    assert_eq!(third.record, None);
    assert!(third.writer.epoch > second.writer.epoch);
    let other = claim(store, &self::key("another")).await;
    assert_eq!(other.record, None);
}

async fn a_write_that_comes_late_changes_nothing(store: &dyn CheckpointStore) {
    let key = key("late");
    let writer = claim(store, &key).await.writer;
    let (first, second) = (writer.next(), writer.next().next());
    assert!(write(store, &key, second, Some(b"second")).await);
    assert!(!write(store, &key, first, Some(b"first")).await, "it was on its way for long");
    assert!(!write(store, &key, first, None).await, "also one that deletes");
    assert!(write(store, &key, second, Some(b"second")).await, "sent again, as the answer was lost");
    let next = claim(store, &key).await;
    assert_eq!(next.record.as_deref(), Some(&b"second"[..]));
    assert!(write(store, &key, next.writer.next(), None).await, "another epoch has numbers of its own");
    assert!(!write(store, &key, second.next().next(), Some(b"back again")).await);
}

async fn a_record_expires_and_its_epoch_stays(store: &dyn CheckpointStore) {
    let key = key("short-lived");
    let first = claim(store, &key).await;
    let keep = Duration::from_millis(1);
    let writer =
        store.write(key.clone(), first.writer, Some(b"soon gone".to_vec()), keep).await.expect("written");
    // Until that time has passed on the store's own clock.
    let mut last = claim(store, &key).await;
    while last.record.is_some() {
        assert!(last.writer.seen < writer.seen + 5_000, "it does not expire");
        // Kept for a millisecond from this claim on.
        last = store.claim(key.clone(), keep).await.expect("claimed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(last.writer.epoch > first.writer.epoch);
    assert!(!write(store, &key, writer, Some(b"stale")).await);
}

async fn any_bytes_come_back(store: &dyn CheckpointStore) {
    let key = key("bytes");
    let mut writer = claim(store, &key).await.writer;
    let all: Vec<u8> = (0..=255).collect();
    for record in [Vec::new(), all.clone(), all.repeat(8192)] {
        assert!(write(store, &key, writer, Some(&record)).await);
        let next = claim(store, &key).await;
        assert!(next.record == Some(record), "not the bytes that were written");
        writer = next.writer;
    }
}

async fn of_many_that_claim_at_once_one_may_write(store: &Arc<dyn CheckpointStore>) {
    let key = key("crowd");
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, key) = (Arc::clone(store), key.clone());
        claims.spawn(async move { store.claim(key, KEEP).await.expect("claimed").writer });
    }
    let mut writers = claims.join_all().await;
    writers.sort_by_key(|writer| writer.epoch);
    assert!(writers.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "each epoch is given once");
    let last = writers.pop().expect("32 of them");
    let mut writes = tokio::task::JoinSet::new();
    for writer in writers {
        let (store, key) = (Arc::clone(store), key.clone());
        writes.spawn(async move { write(&*store, &key, writer, Some(b"stale")).await });
    }
    assert!(writes.join_all().await.iter().all(|written| !written), "31 are superseded");
    assert!(write(&**store, &key, last, Some(b"the last")).await);
}

/// Random steps, beside the simplest model: only the last to claim can write.
async fn any_order_of_claims_and_writes(store: &dyn CheckpointStore, seed: u64) {
    let key = key(&format!("any-order-{seed}"));
    let mut rng = Rng(seed + 1);
    let mut writers: Vec<Writer> = Vec::new();
    let mut record: Option<Vec<u8>> = None;
    for step in 0..60_u32 {
        if writers.is_empty() || rng.below(4) == 0 {
            let claim = claim(store, &key).await;
            assert_eq!(claim.record, record, "seed {seed}, step {step}");
            let highest = writers.last().map_or(Epoch(0), |writer| writer.epoch);
            assert!(claim.writer.epoch > highest, "seed {seed}, step {step}");
            writers.push(claim.writer);
            continue;
        }
        let at = if rng.below(2) == 0 { writers.len() - 1 } else { rng.below(writers.len()) };
        let bytes = (rng.below(5) > 0).then(|| step.to_le_bytes().to_vec());
        let written = write(store, &key, writers[at], bytes.as_deref()).await;
        assert_eq!(written, at == writers.len() - 1, "seed {seed}, step {step}");
        if written {
            record = bytes;
        }
    }
}

/// Xorshift: enough to choose steps.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}
