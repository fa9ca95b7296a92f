//! Several deployments in one server: none can read or change what another one stores.

use std::time::Duration;

use agent_testkit::{RedisServerBuilder, redis_server_with};
use agent_worker::checkpoint::{CheckpointStore, RedisStore};
use agent_worker::coordination::{AcquireResult, Coordinator, RedisCoordinator};
use agent_worker::net::Redis;

use super::members::Member;
use crate::support::store_rules::key;

const HOUR: Duration = Duration::from_secs(3600);

on_each_kind!(deployments_with_different_prefixes_are_isolated, every_key_begins_with_the_prefix);

async fn deployments_with_different_prefixes_are_isolated(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let staging = Redis::new(&server.url()).unwrap().prefix("acme:staging").unwrap();
    let production = Redis::new(&format!("{}?prefix=acme:production", server.url())).unwrap();

    let one = RedisStore::new(staging.clone());
    let writer = one.claim(key("lobby"), HOUR).await.unwrap().writer;
    one.write(key("lobby"), writer, Some(b"staging".to_vec()), HOUR).await.unwrap();
    let other = RedisStore::new(production.clone());
    assert_eq!(other.claim(key("lobby"), HOUR).await.unwrap().record, None);
    one.write(key("lobby"), writer.next(), Some(b"still".to_vec()), HOUR).await.expect("not superseded");

    for redis in [&staging, &production] {
        let answer = RedisCoordinator::new(redis.clone()).acquire("lobby", "me", HOUR).await.unwrap();
        assert!(matches!(answer, AcquireResult::Granted { .. }), "{answer:?}");
    }

    let (first, mut second) = (Member::join(staging.clone()).await, Member::join(staging).await);
    let (third, mut fourth) = (Member::join(production.clone()).await, Member::join(production).await);
    first.publish("to staging").await.unwrap();
    third.publish("to production").await.unwrap();
    assert_eq!((second.next().await, fourth.next().await), ("to staging".into(), "to production".into()));
    first.publish("the last").await.unwrap();
    third.publish("the last").await.unwrap();
    assert_eq!((second.next().await, fourth.next().await), ("the last".into(), "the last".into()));
    assert_eq!((second.unread(), fourth.unread()), (None, None));
}

async fn every_key_begins_with_the_prefix(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    for (prefix, url) in
        [("livekit-agents", server.url()), ("acme:staging", format!("{}?prefix=acme:staging", server.url()))]
    {
        server.command(&["FLUSHALL"]).await.unwrap();
        let redis = Redis::new(&url).unwrap();
        RedisStore::new(redis.clone()).claim(key("lobby"), HOUR).await.unwrap();
        RedisCoordinator::new(redis.clone()).acquire("lobby", "me", HOUR).await.unwrap();
        Member::join(redis).await.publish("x").await.unwrap();
        let keys = server
            .command(&[
                "EVAL",
                "local k = redis.call('KEYS', '*') table.sort(k) return table.concat(k, ' ')",
                "0",
            ])
            .await
            .unwrap();
        assert_eq!(
            keys,
            format!("{prefix}:checkpoint:text:/lobby {prefix}:lease:lobby {prefix}:topic:room:lobby:jobs")
        );
    }
}
