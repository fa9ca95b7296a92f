//! Two servers swap roles behind one name: the primary becomes a replica and keeps its connections, the name
//! leads to the other one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use agent_testkit::{JobSpec, RedisServer, RedisServerBuilder, redis_server_with, run_job_in_real_time};
use agent_worker::checkpoint::{CheckpointStore, RedisStore};
use agent_worker::coordination::{AcquireResult, Coordinator, Leadership, RedisCoordinator};
use agent_worker::net::Redis;
use agent_worker::{JobContext, Outcome};

use super::members::Member;
use super::{SOON, chain, error_text, until};
use crate::support::stalling_proxy::Proxy;
use crate::support::store_rules::key;

const KEEP: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(5);

on_each_kind!(
    checkpoints_are_saved_after_a_failover,
    a_lease_outlives_a_failover,
    a_leader_stays_the_leader_over_a_failover,
    channels_continue_after_a_failover,
    a_replica_is_no_server_to_use,
);

/// A primary and its replica, and the name that leads to the primary.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
    name: Proxy,
}

impl Pair {
    async fn start(settings: RedisServerBuilder) -> Option<Self> {
        // A primary whose last command came late is copied as a whole, and waits 5 s for more replicas by
        // default.
        let settings = settings.config_line("repl-diskless-sync-delay 0");
        let primary = redis_server_with(settings.clone()).await?;
        let replica = redis_server_with(settings).await?;
        follow(&replica, &primary).await;
        in_sync(&replica).await;
        let name = Proxy::start(primary.port()).await;
        Some(Self { primary, replica, name })
    }

    fn redis(&self) -> Redis {
        Redis::new(&format!("redis://127.0.0.1:{}", self.name.port())).unwrap()
    }

    /// The replica has all that was written, and becomes the primary; the old one follows it.
    async fn swap(&mut self) {
        self.begin_swap().await;
        in_sync(&self.replica).await;
    }

    /// The same without waiting until the old one has what the new one has.
    async fn begin_swap(&mut self) {
        caught_up(&self.replica, &self.primary).await;
        self.replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
        follow(&self.primary, &self.replica).await;
        std::mem::swap(&mut self.primary, &mut self.replica);
    }

    fn point_to_primary(&self) {
        self.name.point_to(self.primary.port());
    }
}

async fn follow(replica: &RedisServer, primary: &RedisServer) {
    let port = primary.port().to_string();
    replica.command(&["REPLICAOF", "127.0.0.1", &port]).await.unwrap();
}

async fn in_sync(replica: &RedisServer) {
    until("the replica is in sync", async || {
        info(replica, "master_link_status").await.is_some_and(|status| status == "up")
    })
    .await;
}

/// Waits until a replica has what its primary has now. `WAIT` is about the writes of its own connection.
async fn caught_up(replica: &RedisServer, primary: &RedisServer) {
    let offset = async |server, field| info(server, field).await.map(|offset| offset.parse::<u64>().unwrap());
    let written = offset(primary, "master_repl_offset").await.expect("a primary");
    until("the replica has all", async || {
        offset(replica, "slave_repl_offset").await.is_some_and(|read| read >= written)
    })
    .await;
}

/// A field of a server's `INFO replication`.
async fn info(server: &RedisServer, field: &str) -> Option<String> {
    let info = server.command(&["INFO", "replication"]).await.ok()?;
    let (_, value) = info.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| *name == field)?;
    Some(value.trim().to_owned())
}

async fn checkpoints_are_saved_after_a_failover(settings: RedisServerBuilder) {
    let Some(mut pair) = Pair::start(settings).await else { return };
    let store = RedisStore::new(pair.redis());
    let writer = store.claim(key("a"), KEEP).await.expect("claimed").writer.next();
    let writer = store.write(key("a"), writer, Some(b"one".to_vec()), KEEP).await.expect("written");
    let connections = pair.name.connections();
    pair.swap().await;

    // As long as the name leads to the old one, it passes by itself.
    let error =
        store.write(key("a"), writer.next(), Some(b"two".to_vec()), KEEP).await.expect_err("a replica");
    assert!(chain(&error).contains("it is a replica"), "{error:?}");
    pair.point_to_primary();
    let writer = writer.next().next();
    store.write(key("a"), writer, Some(b"three".to_vec()), KEEP).await.expect("the first one after it");
    let claim = store.claim(key("a"), KEEP).await.expect("claimed");
    assert_eq!(claim.record.as_deref(), Some(&b"three"[..]));

    // When the name already leads to the new primary, no error is visible.
    pair.swap().await;
    pair.point_to_primary();
    store.write(key("a"), claim.writer.next(), Some(b"four".to_vec()), KEEP).await.expect("retried at once");
    let claim = store.claim(key("a"), KEEP).await.expect("claimed");
    assert_eq!(claim.record.as_deref(), Some(&b"four"[..]));
    // One connection to the old primary again, and one to each new one.
    assert_eq!(pair.name.connections(), connections + 3);
}

async fn a_lease_outlives_a_failover(settings: RedisServerBuilder) {
    let Some(mut pair) = Pair::start(settings).await else { return };
    let store = RedisCoordinator::new(pair.redis());
    let long = Duration::from_secs(60);
    let AcquireResult::Granted { token } = store.acquire("lobby", "me", long).await.unwrap() else {
        panic!("held")
    };
    assert!(store.write("lobby", token, "one".into()).await.unwrap());
    pair.swap().await;
    // A replica would answer with its own data, which may be old.
    let error = store.read("lobby").await.expect_err("a replica");
    assert!(chain(&error).contains("it is a replica"), "{error:?}");
    pair.point_to_primary();
    assert!(store.renew("lobby", "me", token, long).await.unwrap());
    for what in ["two", "three"] {
        pair.swap().await;
        pair.point_to_primary();
        assert!(store.write("lobby", token, what.into()).await.unwrap());
    }
    pair.swap().await;
    pair.point_to_primary();
    let read = store.read("lobby").await.unwrap().expect("a value");
    assert_eq!((read.token, &*read.value), (token, &b"three"[..]));
    assert!(matches!(store.acquire("lobby", "other", long).await.unwrap(), AcquireResult::Held { .. }));
    pair.swap().await;
    pair.point_to_primary();
    store.release("lobby", "me").await.unwrap();
    assert!(matches!(store.acquire("lobby", "other", long).await.unwrap(), AcquireResult::Granted { .. }));
}

async fn a_leader_stays_the_leader_over_a_failover(settings: RedisServerBuilder) {
    let Some(pair) = Pair::start(settings).await else { return };
    let coordinator = RedisCoordinator::new(pair.redis());
    let pair = Arc::new(Mutex::new(pair));
    let leads = move |ctx: JobContext| {
        let pair = Arc::clone(&pair);
        async move {
            let Leadership::Leader(lease) = ctx.elect("lobby").await? else { panic!("it is the first") };
            lease.write("before").await?;
            let mut pair = pair.lock().await;
            // A failover takes less than a lease, also on a busy machine.
            pair.begin_swap().await;
            pair.point_to_primary();
            tokio::select! {
                why = lease.lost() => panic!("{why:?}"),
                () = tokio::time::sleep(LEASE * 2) => {}
            }
            lease.write("after").await?;
            Ok(())
        }
    };
    let spec = JobSpec::room("lobby").worker(|worker| worker.coordinator(coordinator).lease(LEASE));
    let run = tokio::time::timeout(SOON, run_job_in_real_time(leads, spec)).await.expect("in time");
    assert_eq!(run.outcome, Outcome::Success);
}

async fn channels_continue_after_a_failover(settings: RedisServerBuilder) {
    let Some(mut pair) = Pair::start(settings).await else { return };
    let (first, mut second) = (Member::join(pair.redis()).await, Member::join(pair.redis()).await);
    first.publish("one").await.unwrap();
    assert_eq!(second.next().await, "one");
    pair.swap().await;
    pair.point_to_primary();
    // It may have lost writes, as a replica is behind.
    assert_eq!(second.next().await, "Some(Interrupted)");
    first.publish("two").await.expect("retried at once");
    assert_eq!(second.next().await, "two");
}

async fn a_replica_is_no_server_to_use(settings: RedisServerBuilder) {
    let Some(mut pair) = Pair::start(settings).await else { return };
    let redis = pair.redis();
    redis.ping().await.expect("a primary");
    pair.swap().await;
    let again = pair.redis();
    let text = error_text(again.ping().await.expect_err("a replica"), true);
    assert!(text.contains("it is a replica") && text.contains("`Redis::new`"), "{text}");
    pair.point_to_primary();
    again.ping().await.expect("a primary");
}
