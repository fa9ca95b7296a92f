//! Users with few rights: the guide's lists are sufficient and minimal, and a missing permission
//! is named.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{RedisServer, RedisServerBuilder, redis_server_with};
use agent_worker::checkpoint::{CheckpointStore, RedisStore};
use agent_worker::coordination::{AcquireResult, Coordinator, RedisCoordinator};
use agent_worker::net::Redis;

use super::members::Member;
use super::{chain, error_text};
use crate::support::store_rules::{holds_the_rules, key};

const HOUR: Duration = Duration::from_secs(3600);
const KEYS: &str = "~livekit-agents:*";

on_each_kind!(
    the_permissions_of_the_guide_are_enough,
    everything_that_the_guide_lists_is_needed_and_named_when_it_is_missing,
    a_key_that_is_out_of_bounds_is_named_by_its_pattern,
    a_right_that_is_lost_is_reported_by_channels,
);

/// The rights in a line of the guide's list.
fn listed(backend: &str) -> Vec<&'static str> {
    let page = include_str!("../../../src/guide/redis.md");
    let mut words = page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_list = |words: &Vec<&str>| {
        words.first() == Some(&backend) && words[1..].iter().all(|word| word.starts_with('+'))
    };
    words.find(is_list).expect("a line")[1..].to_vec()
}

/// A server as a user with these rights sees it, without any cached scripts.
async fn user(server: &RedisServer, rights: &[&str]) -> Redis {
    let words = ["ACL", "SETUSER", "agents", "reset", "on", ">pw"];
    server.command(&[&words, rights].concat()).await.expect("a user");
    server.command(&["SCRIPT", "FLUSH"]).await.expect("flushed");
    Redis::new(&format!("redis://agents:pw@127.0.0.1:{}", server.port())).unwrap()
}

async fn checkpoints(redis: &Redis) -> Result<(), Box<dyn Error>> {
    let store = RedisStore::new(redis.clone());
    let writer = store.claim(key("a"), HOUR).await?.writer;
    let writer = store.write(key("a"), writer, Some(b"x".to_vec()), HOUR).await?;
    store.write(key("a"), writer, None, HOUR).await?;
    Ok(())
}

async fn elections(redis: &Redis) -> Result<(), Box<dyn Error>> {
    let store = RedisCoordinator::new(redis.clone());
    let AcquireResult::Granted { token } = store.acquire("lobby", "me", HOUR).await? else { panic!("held") };
    assert!(store.renew("lobby", "me", token, HOUR).await?);
    assert!(store.write("lobby", token, "x".into()).await?);
    assert!(store.read("lobby").await?.is_some());
    store.release("lobby", "me").await?;
    Ok(())
}

async fn the_permissions_of_the_guide_are_enough(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let with = |backend: &str| [&[KEYS][..], &listed(backend)].concat();
    let redis = user(&server, &[&with("any")[..], &with("checkpoints")].concat()).await;
    redis.ping().await.expect("`Redis::ping`");
    let database = format!("redis://agents:pw@127.0.0.1:{}/3", server.port());
    Redis::new(&database).unwrap().ping().await.expect("another database");
    holds_the_rules(Arc::new(RedisStore::new(redis))).await;
    let redis = user(&server, &with("elections")).await;
    elections(&redis).await.expect("an election");
    let redis = user(&server, &with("channels")).await;
    let (first, mut second) = (Member::join(redis.clone()).await, Member::join(redis).await);
    first.publish("one").await.unwrap();
    assert_eq!(second.next().await, "one");
    // The line for all of it.
    let page = include_str!("../../../src/guide/redis.md");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER agents on")).expect("a line");
    let all: Vec<&str> = line.split_whitespace().skip(5).collect();
    let redis = user(&server, &all).await;
    redis.ping().await.expect("`Redis::ping`");
    checkpoints(&redis).await.expect("checkpoints");
    elections(&redis).await.expect("elections");
    Member::join(redis).await.publish("x").await.expect("channels");
}

async fn everything_that_the_guide_lists_is_needed_and_named_when_it_is_missing(
    settings: RedisServerBuilder,
) {
    let Some(server) = redis_server_with(settings).await else { return };
    for backend in ["checkpoints", "elections"] {
        let rights = listed(backend);
        assert!(rights.len() >= 7, "{rights:?}");
        for missing in &rights {
            let others: Vec<&str> = rights.iter().copied().filter(|right| right != missing).collect();
            let redis = user(&server, &[&[KEYS][..], &others].concat()).await;
            let failed = match backend {
                "checkpoints" => checkpoints(&redis).await,
                _ => elections(&redis).await,
            };
            let text = chain(&*failed.expect_err("a right is missing"));
            assert!(text.contains("does not let its user do this: "), "{missing}: {text}");
            assert!(text.contains(&format!("`ACL SETUSER … {missing}`")), "{missing}: {text}");
            assert!(!text.contains("password"), "{text}");
        }
    }
    for missing in listed("any") {
        let others: Vec<&str> = listed("any").into_iter().filter(|right| *right != missing).collect();
        let redis = user(&server, &others).await;
        let url = format!("redis://agents:pw@127.0.0.1:{}/3", server.port());
        let redis = if missing == "+select" { Redis::new(&url).unwrap() } else { redis };
        let text = error_text(redis.ping().await.expect_err("a right is missing"), false);
        assert!(text.contains(&format!("`ACL SETUSER … {missing}`")), "{missing}: {text}");
    }
}

async fn a_key_that_is_out_of_bounds_is_named_by_its_pattern(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let redis = user(&server, &["~other:*", "+@all"]).await;
    redis.ping().await.expect("it is reached");
    for text in [
        chain(&*checkpoints(&redis).await.expect_err("no right")),
        chain(&*elections(&redis).await.expect_err("no right")),
    ] {
        assert!(text.contains("`ACL SETUSER … ~livekit-agents:*`"), "{text}");
    }
    let text = chain(&*checkpoints(&redis.clone().prefix("acme").unwrap()).await.expect_err("no right"));
    assert!(text.contains("`ACL SETUSER … ~acme:*`"), "{text}");
    let redis = redis.prefix("other").unwrap();
    checkpoints(&redis).await.expect("its own prefix");
    elections(&redis).await.expect("its own prefix");
}

async fn a_right_that_is_lost_is_reported_by_channels(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    for missing in listed("channels") {
        let redis = user(&server, &[&[KEYS][..], &listed("channels")].concat()).await;
        let (first, mut second) = (Member::join(redis.clone()).await, Member::join(redis).await);
        let lost = missing.replace('+', "-");
        server.command(&["ACL", "SETUSER", "agents", &lost]).await.unwrap();
        match missing {
            "+xread" | "+info" => {
                assert_eq!(second.next().await, "Some(Interrupted)", "{missing}");
                first.publish("one").await.expect("it may write");
                server.command(&["ACL", "SETUSER", "agents", missing]).await.unwrap();
                let received = [second.next().await, second.next().await];
                assert_eq!(received, ["Some(Interrupted)", "one"], "{missing}");
            }
            "+xadd" | "+pexpire" => {
                let text = first.publish("one").await.expect_err("a right is missing");
                assert!(text.contains(&format!("`ACL SETUSER … {missing}`")), "{missing}: {text}");
            }
            // To join.
            other => assert_eq!(other, "+xrevrange"),
        }
    }
}
