//! Checkpoints in Redis and Valkey: the rules, restarts with and without data, and servers that
//! cannot be used.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{JobSpec, RedisServerBuilder, redis_server_with, run_job_in_real_time};
use agent_worker::checkpoint::{CheckpointStore, RedisStore, StoreError};
use agent_worker::net::Redis;
use agent_worker::{JobContext, Outcome, RetryPolicy};

use crate::support::store_rules::{holds_the_rules, key};

const KEEP: Duration = Duration::from_secs(3600);

on_each_kind!(
    it_holds_the_rules,
    a_restart_loses_nothing_that_is_on_the_disk,
    a_server_without_its_data_still_refuses_the_older_writer,
    records_expire_in_the_server,
    servers_that_cannot_be_used,
    a_job_without_its_redis_fails_with_a_clear_error,
);

fn store(url: &str) -> RedisStore {
    RedisStore::new(Redis::new(url).expect("a URL").timeout(Duration::from_millis(500)))
}

async fn it_holds_the_rules(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    // Two megabytes take some time in a debug build on two cores.
    let redis = Redis::new(&server.url()).expect("a URL");
    holds_the_rules(Arc::new(RedisStore::new(redis))).await;
}

async fn a_restart_loses_nothing_that_is_on_the_disk(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings.durable(true)).await else { return };
    let store = store(&server.url());
    let first = store.claim(key("a"), KEEP).await.expect("claimed");
    store.write(key("a"), first.writer, Some(b"one".to_vec()), KEEP).await.expect("written");
    server.restart().await.expect("it starts again");
    let second = store.claim(key("a"), KEEP).await.expect("claimed");
    assert_eq!(second.record.as_deref(), Some(&b"one"[..]));
    assert!(second.writer.epoch > first.writer.epoch);
}

async fn a_server_without_its_data_still_refuses_the_older_writer(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let store = store(&server.url());
    let old = store.claim(key("a"), KEEP).await.expect("claimed").writer;
    let current = store.claim(key("a"), KEEP).await.expect("claimed").writer;
    server.restart_empty().await.expect("it starts again");
    // The one that runs continues.
    let current = store.write(key("a"), current, Some(b"on".to_vec()), KEEP).await.expect("written");
    let refused = store.write(key("a"), old, Some(b"stale".to_vec()), KEEP).await;
    assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
    server.restart_empty().await.expect("it starts again");
    let next = store.claim(key("a"), KEEP).await.expect("claimed").writer;
    assert!(next.epoch > current.epoch, "its number is the server's time");
    let refused = store.write(key("a"), current, Some(b"stale".to_vec()), KEEP).await;
    assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
}

async fn records_expire_in_the_server(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings).await else { return };
    let redis = Redis::new(&server.url()).expect("a URL").prefix("mine").expect("a prefix");
    let store = RedisStore::new(redis);
    store.claim(key("a"), Duration::from_secs(48 * 3600)).await.expect("claimed");
    let left: u64 = server
        .command(&["TTL", "mine:checkpoint:text:/a"])
        .await
        .expect("an answer")
        .parse()
        .expect("a number");
    assert!(left > 47 * 3600 && left <= 48 * 3600, "{left}");
}

async fn fails(store: &RedisStore, temporary: bool) -> String {
    let error = store.claim(key("a"), KEEP).await.expect_err("it cannot be claimed");
    assert_eq!(matches!(error, StoreError::Unavailable { .. }), temporary, "{error:?}");
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

async fn servers_that_cannot_be_used(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings.password("open-sesame")).await else {
        return;
    };
    let text = fails(&store(&format!("redis://:hunter2@127.0.0.1:{}", server.port())), false).await;
    assert!(text.contains("refuses the credentials") && !text.contains("hunter2"), "{text}");

    let good = store(&server.url());
    server.command(&["SET", "livekit-agents:checkpoint:text:/a", "another program's"]).await.expect("set");
    let text = fails(&good, false).await;
    assert!(text.contains("WRONGTYPE"), "{text}");
    server.command(&["DEL", "livekit-agents:checkpoint:text:/a"]).await.expect("deleted");

    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await.expect("set");
    let text = fails(&good, true).await;
    assert!(text.contains("OOM"), "{text}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await.expect("set");

    // A primary that has lost its replicas: there may be another primary by now.
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await.expect("set");
    let text = fails(&good, true).await;
    assert!(text.contains("NOREPLICAS"), "{text}");
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await.expect("set");

    server.pause().expect("frozen");
    let text = fails(&good, true).await;
    assert!(text.contains("did not answer within 500ms"), "{text}");
    server.resume().expect("it continues");
    good.claim(key("a"), KEEP).await.expect("claimed");

    server.kill();
    let text = fails(&good, true).await;
    assert!(text.contains("cannot be reached"), "{text}");
}

/// The error that a job gets of a store in this state, and how the job ends.
async fn a_job_without_its_redis_fails_with_a_clear_error(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings.password("open-sesame")).await else {
        return;
    };
    let handler = |ctx: JobContext| async move {
        let progress = ctx.checkpoint::<u64>().resume().await?;
        progress.set(1);
        Ok(())
    };
    let run = |store: RedisStore| async {
        let spec =
            JobSpec::room("lobby").worker(|builder| builder.checkpoints(store).retry(RetryPolicy::never()));
        run_job_in_real_time(handler, spec).await
    };
    run(store(&server.url())).await.assert_success();
    let wrong = format!("redis://:hunter2@127.0.0.1:{}", server.port());
    server.command(&["PING"]).await.expect("it is there");
    let refused = run(store(&wrong)).await;
    let Outcome::Failed { error } = &refused.outcome else { panic!("{refused:?}") };
    assert!(error.starts_with("checkpoint_store: ") && error.contains("refuses the credentials"), "{error}");
    assert!(!format!("{refused:?}").contains("hunter2"));
    server.kill();
    let unavailable = run(store(&server.url())).await;
    let Outcome::Failed { error } = &unavailable.outcome else { panic!("{unavailable:?}") };
    assert!(error.contains("cannot be reached"), "{error}");
}
