//! Candidates on virtual time, over stores that fail, hang and lose data.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use agent_backends::MemoryCoordinator;
use agent_core::{
    AcquireResult, BoxFuture, CoordinationError, Coordinator, FencedValue, LeaseLoss, MAX_VALUE_LEN,
};

use super::clock::Clock;
use super::election::{Candidate, ElectionParams};
use super::releases::Releases;
use super::{Leadership, Lease};

const LEASE: Duration = Duration::from_secs(2);

/// The current behaviour of a store.
const WORKS: u8 = 0;
const FAILS: u8 = 1;
const HANGS: u8 = 2;
const PANICS: u8 = 3;

/// A store behind a network.
#[derive(Clone, Default)]
struct Flaky {
    inner: MemoryCoordinator,
    now: Arc<AtomicU8>,
}

impl Flaky {
    fn set(&self, what: u8) {
        self.now.store(what, Ordering::Relaxed);
    }

    async fn pass(&self) -> Result<(), CoordinationError> {
        match self.now.load(Ordering::Relaxed) {
            WORKS => Ok(()),
            FAILS => {
                Err(CoordinationError::store(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)))
            }
            HANGS => pending().await,
            _ => panic!("planted"),
        }
    }
}

impl Coordinator for Flaky {
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<AcquireResult, CoordinationError>> {
        Box::pin(async move {
            self.pass().await?;
            self.inner.acquire(key, holder, lease).await
        })
    }

    fn renew<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        token: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        Box::pin(async move {
            self.pass().await?;
            self.inner.renew(key, holder, token, lease).await
        })
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            self.pass().await?;
            self.inner.release(key, holder).await
        })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        token: u64,
        value: Bytes,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        self.inner.write(key, token, value)
    }

    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<FencedValue>, CoordinationError>> {
        self.inner.read(key)
    }
}

fn params(lease: Duration, releases: &Releases) -> ElectionParams<'_> {
    ElectionParams { lease, seed: 7, releases, clock: Clock::new(), meter: Arc::default() }
}

async fn elect(store: &Flaky, id: &str) -> Result<Leadership, CoordinationError> {
    let releases = Releases::default();
    let candidate = Candidate::join(Arc::new(store.clone()), "room", id.to_owned(), params(LEASE, &releases));
    let candidate = candidate.await?;
    Ok(Leadership::of(candidate))
}

async fn leader(store: &Flaky, id: &str) -> Lease {
    match elect(store, id).await.unwrap() {
        Leadership::Leader(lease) => lease,
        Leadership::Follower(follower) => panic!("{follower:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_next_follows_until_it_is_released() {
    let store = Flaky::default();
    let first = leader(&store, "a").await;
    let second = elect(&store, "b").await.unwrap();
    let Leadership::Follower(mut follower) = second else { panic!("{second:?}") };
    assert_eq!(follower.leader(), "a");
    first.write("mine").await.unwrap();
    assert_eq!(follower.read().await.unwrap().unwrap().value, "mine");

    // A long time: it is renewed.
    assert!(tokio::time::timeout(LEASE * 10, follower.elected()).await.is_err());
    assert!(!first.is_lost());

    let (start, token) = (Instant::now(), first.fencing_token());
    first.release().await;
    let second = follower.elected().await.unwrap();
    assert!(start.elapsed() < LEASE, "it polls: {:?}", start.elapsed());
    assert!(second.fencing_token() > token);
    assert_eq!(
        second.read().await.unwrap().unwrap().token,
        token,
        "the value of the previous leader is kept"
    );
    assert!(matches!(follower.elected().await, Err(CoordinationError::Over { .. })), "it is returned once");
    drop(follower);
    second.write("still mine").await.unwrap();
    assert!(!second.is_lost(), "only dropping the lease releases it");
}

#[tokio::test(start_paused = true)]
async fn dropping_releases_the_lease() {
    let store = Flaky::default();
    drop(leader(&store, "a").await);
    let start = Instant::now();
    elect(&store, "b").await.unwrap().lead().await.unwrap();
    assert!(start.elapsed() < LEASE, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_its_store_loses_its_lease_and_cannot_write_once_another_leads() {
    for outage in [FAILS, HANGS] {
        let (store, other) = (Flaky::default(), Flaky::default());
        let other = Flaky { inner: store.inner.clone(), ..other }; // the same store, over another connection
        let first = leader(&store, "a").await;
        let follower = elect(&other, "b").await.unwrap();
        store.set(outage);
        let cut = Instant::now();
        assert_eq!(first.lost().await, LeaseLoss::Expired);
        assert!(first.is_lost() && cut.elapsed() < LEASE, "before the store: {:?}", cut.elapsed());
        first.write("no leader after me yet").await.unwrap();

        let second = follower.lead().await.unwrap();
        assert!(cut.elapsed() <= LEASE + Duration::from_secs(1), "{:?}", cut.elapsed());
        second.write("mine").await.unwrap();
        let error = first.write("stale").await.unwrap_err();
        assert!(matches!(error, CoordinationError::Stale { .. }), "{error}");
        assert_eq!(second.read().await.unwrap().unwrap().value, "mine");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_outlives_an_outage_of_the_store() {
    let store = Flaky::default();
    let first = leader(&store, "a").await;
    let follower = elect(&store, "b").await.unwrap();
    store.set(FAILS);
    first.lost().await;
    drop(first);
    tokio::time::sleep(LEASE * 5).await;
    store.set(WORKS);
    let back = Instant::now();
    follower.lead().await.unwrap();
    assert!(back.elapsed() <= Duration::from_secs(1), "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_unavailable_at_first_is_an_error() {
    let store = Flaky::default();
    store.set(FAILS);
    let error = agent_core::JobError::from(elect(&store, "a").await.unwrap_err());
    assert_eq!(error.to_string(), "the store for coordination cannot be used: connection refused");
    assert!(matches!(error.kind(), agent_core::JobErrorKind::Retryable { .. }), "{:?}", error.kind());
    store.set(HANGS);
    let start = Instant::now();
    let error = elect(&store, "a").await.unwrap_err();
    assert!(error.to_string().contains("did not answer within 1s"), "{error}");
    assert!(start.elapsed() <= Duration::from_secs(2) + Duration::from_millis(1), "{:?}", start.elapsed());
    store.set(PANICS);
    let error = elect(&store, "a").await.unwrap_err();
    assert_eq!(error.to_string(), "the election is over: the coordinator panicked");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_panics_later_loses_the_lead() {
    let store = Flaky::default();
    let first = leader(&store, "a").await;
    store.set(PANICS);
    assert_eq!(first.lost().await, LeaseLoss::Expired);
    tokio::time::sleep(LEASE).await;
    assert!(first.is_lost());
}

#[tokio::test]
async fn a_lease_is_lost_by_the_clock_even_if_no_task_ran() {
    let store = Flaky::default();
    let releases = Releases::default();
    let params = params(agent_core::MIN_LEASE, &releases);
    let candidate = Candidate::join(Arc::new(store), "room", "a".into(), params).await.unwrap();
    let Leadership::Leader(lease) = Leadership::of(candidate) else { panic!("it is the only one") };
    assert!(!lease.is_lost());
    std::thread::sleep(agent_core::MIN_LEASE); // blocks the whole runtime, like a paused process
    assert!(lease.is_lost(), "before any task could run");
    assert_eq!(lease.lost().await, LeaseLoss::Expired);
}

/// The clock of the standard library stops while a machine is suspended; the store's does not.
#[tokio::test(start_paused = true)]
async fn a_lease_is_over_when_the_machine_wakes_up_from_a_long_sleep() {
    static SLEPT: AtomicU64 = AtomicU64::new(7);
    let clock = Clock::with(|| Duration::from_millis(SLEPT.load(Ordering::Relaxed)));
    let (store, releases) = (Arc::new(Flaky::default()), Releases::default());
    let candidate =
        Candidate::join(store, "room", "a".into(), ElectionParams { clock, ..params(LEASE, &releases) })
            .await
            .unwrap();
    let Leadership::Leader(lease) = Leadership::of(candidate) else { panic!("it is the only one") };
    tokio::time::sleep(LEASE * 3).await;
    // After a short suspension the renewals continue.
    SLEPT.fetch_add(500, Ordering::Relaxed);
    assert!(!lease.is_lost());
    tokio::time::sleep(LEASE * 3).await;
    assert!(!lease.is_lost());
    SLEPT.fetch_add(2_000, Ordering::Relaxed);
    assert!(lease.is_lost(), "immediately, whichever task runs");
    let woken = Instant::now();
    assert_eq!(lease.lost().await, LeaseLoss::Expired);
    assert!(woken.elapsed() <= LEASE / 3, "{:?}", woken.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_lost_before_the_first_poll_is_returned_as_lost() {
    let store = Flaky::default();
    let first = leader(&store, "a").await;
    let follower = elect(&store, "b").await.unwrap();
    first.release().await;
    tokio::time::sleep(LEASE).await; // it leads
    store.set(FAILS);
    tokio::time::sleep(LEASE).await; // it has lost the lease
    let lease = follower.lead().await.unwrap();
    assert!(lease.is_lost());
    assert_eq!(lease.lost().await, LeaseLoss::Expired);
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused() {
    let lease = leader(&Flaky::default(), "a").await;
    let error = lease.write(vec![0; MAX_VALUE_LEN + 1]).await.unwrap_err();
    assert!(
        error.to_string().contains("a value of a leader of 1048577 bytes is over the limit of 1048576"),
        "{error}"
    );
}
