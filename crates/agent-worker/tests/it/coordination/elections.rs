//! A lease ends with its job, on virtual time: after each kind of end, the next candidate does not wait for
//! the lease to expire.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::coordination::{
    AcquireResult, CoordinationError, Coordinator, FencedValue, Leadership, MemoryCoordinator,
};
use agent_worker::{BoxFuture, JobContext, JobResult};

const LEASE: Duration = Duration::from_secs(600);
/// How long the store takes to release a lease.
const RELEASE: Duration = Duration::from_millis(700);
const LONG: Duration = Duration::from_secs(3600);

/// Leases behind a slow network.
#[derive(Clone, Default)]
struct Slow(MemoryCoordinator);

type Answer<'a, T> = BoxFuture<'a, Result<T, CoordinationError>>;

impl Coordinator for Slow {
    fn acquire<'a>(&'a self, key: &'a str, holder: &'a str, lease: Duration) -> Answer<'a, AcquireResult> {
        self.0.acquire(key, holder, lease)
    }

    fn renew<'a>(&'a self, key: &'a str, holder: &'a str, token: u64, lease: Duration) -> Answer<'a, bool> {
        self.0.renew(key, holder, token, lease)
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            tokio::time::sleep(RELEASE).await;
            self.0.release(key, holder).await
        })
    }

    fn write<'a>(&'a self, key: &'a str, token: u64, value: Bytes) -> Answer<'a, bool> {
        self.0.write(key, token, value)
    }

    fn read<'a>(&'a self, key: &'a str) -> Answer<'a, Option<FencedValue>> {
        self.0.read(key)
    }
}

impl Slow {
    async fn is_free(&self) -> bool {
        matches!(self.0.acquire("room", "the next", LEASE).await, Ok(AcquireResult::Granted { .. }))
    }
}

/// How a leader's handler ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Returns,
    Fails,
    Panics,
    /// It does not look at its cancellation, and is aborted.
    Hangs,
    /// It leads in a task of the job.
    InATask,
    /// It still waits to lead.
    Follows,
}

async fn leading(ctx: JobContext, end: End, leads: mpsc::UnboundedSender<()>) -> JobResult {
    let leadership = ctx.elect("room").await?;
    leads.send(())?;
    match (end, leadership) {
        (End::Follows, Leadership::Follower(mut follower)) => {
            follower.elected().await?;
        }
        (End::Returns, Leadership::Leader(_lease)) => {
            ctx.cancelled().await;
        }
        (End::Fails, Leadership::Leader(_lease)) => {
            ctx.cancelled().await;
            return Err("planted".into());
        }
        (End::Panics, Leadership::Leader(_lease)) => {
            ctx.cancelled().await;
            panic!("planted");
        }
        (End::Hangs, Leadership::Leader(_lease)) => std::future::pending().await,
        (End::InATask, Leadership::Leader(lease)) => {
            ctx.spawn(async move { lease.lost().await });
            ctx.cancelled().await;
        }
        (_, other) => panic!("{other:?}"),
    }
    Ok(())
}

async fn a_worker_ends(end: End, ends: impl AsyncFnOnce(agent_worker::WorkerHandle)) {
    let store = Slow::default();
    if end == End::Follows {
        assert!(store.is_free().await);
    }
    let server = MockServer::builder().room_timeouts(LONG, LONG).start_in_process();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let worker = server.worker(move |ctx| leading(ctx, end, sender.clone()));
    let worker = worker.agent_name("leader").coordinator(store.clone()).lease(LEASE).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    server.dispatch(JobSpec::room("room").agent_name("leader")).await.unwrap();
    receiver.recv().await.unwrap();
    ends(handle).await;
    running.await.unwrap().unwrap();
    // The program may end here.
    assert!(store.is_free().await, "{end:?}: the lease was not released before the worker was done");
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_releases_every_lease_before_it_is_done() {
    for end in [End::Returns, End::Fails, End::Panics, End::Hangs, End::InATask, End::Follows] {
        a_worker_ends(end, async |worker| {
            worker.drain(Duration::ZERO).await;
        })
        .await;
    }
}
