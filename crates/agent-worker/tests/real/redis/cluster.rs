//! Servers that cannot be used as stores: nodes of a Redis Cluster, and Sentinels.

use std::net::TcpListener;
use std::time::Duration;

use agent_testkit::{JobSpec, RedisServer, RedisServerBuilder, redis_server_with, run_job_in_real_time};
use agent_worker::checkpoint::{CheckpointStore, RedisStore, StoreError};
use agent_worker::coordination::{Coordinator, RedisCoordinator, RedisPubSub};
use agent_worker::net::Redis;
use agent_worker::{JobContext, RetryPolicy};

use super::members::Member;
use super::{chain, error_text, until};
use crate::support::stalling_proxy::Proxy;
use crate::support::store_rules::key;

const HOUR: Duration = Duration::from_secs(3600);

on_each_kind!(
    a_node_of_a_cluster_is_refused_by_all,
    a_node_that_does_not_report_its_kind_is_recognised_by_its_answers,
    a_sentinel_is_refused,
    channels_whose_server_became_a_cluster_report_it,
);

/// Two nodes with half of the keys each, which know each other.
async fn cluster(settings: RedisServerBuilder) -> Option<[RedisServer; 2]> {
    let mut nodes = Vec::new();
    for slots in [["0", "8191"], ["8192", "16383"]] {
        let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings =
            settings.clone().config_line("cluster-enabled yes").config_line(format!("cluster-port {bus}"));
        let node = redis_server_with(settings).await?;
        node.command(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).await.unwrap();
        nodes.push((node, bus));
    }
    let [(first, _), (second, bus)] = <[_; 2]>::try_from(nodes).unwrap();
    let (port, bus) = (second.port().to_string(), bus.to_string());
    first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await.unwrap();
    for node in [&first, &second] {
        until("the cluster is up", async || {
            node.command(&["CLUSTER", "INFO"]).await.is_ok_and(|info| {
                info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384")
            })
        })
        .await;
    }
    Some([first, second])
}

/// The errors of each operation of a job.
async fn errors_of_jobs(redis: &Redis) -> Vec<String> {
    let uses_all_stores = |ctx: JobContext| async move {
        let errors = [
            chain(&ctx.checkpoint::<u64>().load().await.expect_err("a checkpoint")),
            chain(&ctx.elect("lobby").await.expect_err("an election")),
            chain(&ctx.jobs_channel().await.expect_err("a channel")),
        ];
        Err(errors.join("\n").into())
    };
    let redis = redis.clone();
    let spec = JobSpec::room("lobby").worker(|worker| {
        let worker = worker.checkpoints(RedisStore::new(redis.clone()));
        let worker = worker.coordinator(RedisCoordinator::new(redis.clone()));
        worker.pubsub(RedisPubSub::new(redis)).retry(RetryPolicy::never())
    });
    let outcome = run_job_in_real_time(uses_all_stores, spec).await.outcome;
    outcome.error().expect("it must not succeed").lines().map(str::to_owned).collect()
}

async fn a_node_of_a_cluster_is_refused_by_all(settings: RedisServerBuilder) {
    let Some(nodes) = cluster(settings).await else { return };
    for node in &nodes {
        // Also one with a database, which a cluster has not.
        for url in [node.url(), node.url().replace("/0", "/3")] {
            let redis = Redis::new(&url).unwrap();
            let text = error_text(redis.ping().await.expect_err("a cluster"), false);
            assert!(text.contains("is a node of a Redis Cluster, which is not supported"), "{text}");
            assert!(text.contains("`cluster-enabled no`"), "{text}");
        }
        let errors = errors_of_jobs(&Redis::new(&node.url()).unwrap()).await;
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors.iter().all(|text| text.contains("is a node of a Redis Cluster")), "{errors:?}");
    }
}

/// As with some managed services, which have neither command.
async fn a_node_that_does_not_report_its_kind_is_recognised_by_its_answers(settings: RedisServerBuilder) {
    let quiet = settings.clone().config_line("rename-command HELLO \"\"");
    let Some(nodes) = cluster(quiet.clone()).await else { return };
    let error = Redis::new(&nodes[0].url()).unwrap().ping().await.expect_err("a cluster");
    assert!(error_text(error, false).contains("is a node of a Redis Cluster"), "`INFO` reports it");
    let quieter = quiet.config_line("rename-command INFO \"\"");
    let nodes = cluster(quieter).await.expect("as before");
    let redis = Redis::new(&nodes[0].url()).unwrap();
    redis.ping().await.expect("it does not report what it is");
    let (store, leases) = (RedisStore::new(redis.clone()), RedisCoordinator::new(redis));
    let (mut granted, mut refused) = (0, 0);
    for n in 0..40 {
        let name = format!("{n}");
        let claimed = store.claim(key(&name), HOUR).await.map(|_| ());
        let claimed = claimed.map_err(|error| {
            assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
            chain(&error)
        });
        let acquired = leases.acquire(&name, "me", HOUR).await.map(|_| ()).map_err(|error| chain(&error));
        for result in [claimed, acquired] {
            match result {
                Ok(()) => granted += 1,
                Err(text) => {
                    assert!(text.contains("is a node of a Redis Cluster"), "{text}");
                    assert!(text.contains("MOVED "), "{text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(granted > 0 && refused > 0, "half of the keys are here: {granted}, {refused}");
}

async fn a_sentinel_is_refused(settings: RedisServerBuilder) {
    let Some(server) = redis_server_with(settings.sentinel(true)).await else { return };
    let redis = Redis::new(&server.url()).unwrap();
    let text = error_text(redis.ping().await.expect_err("a Sentinel"), false);
    assert!(text.contains("is a Sentinel, which keeps no data") && text.contains("`Redis::new`"), "{text}");
    let errors = errors_of_jobs(&redis).await;
    assert!(errors.iter().all(|text| text.contains("is a Sentinel")), "{errors:?}");
}

async fn channels_whose_server_became_a_cluster_report_it(settings: RedisServerBuilder) {
    let Some(nodes) = cluster(settings.clone()).await else { return };
    let server = redis_server_with(settings).await.expect("as before");
    let proxy = Proxy::start(server.port()).await;
    let redis = || Redis::new(&format!("redis://127.0.0.1:{}", proxy.port())).unwrap();
    let (first, mut second) = (Member::join(redis()).await, Member::join(redis()).await);
    first.publish("one").await.unwrap();
    assert_eq!(second.next().await, "one");
    proxy.point_to(nodes[0].port());
    proxy.cut();
    assert_eq!(second.next().await, "Some(Interrupted)");
    let error = first.publish("two").await.expect_err("no subscriber would receive it");
    assert!(error.contains("is a node of a Redis Cluster"), "{error}");
    proxy.point_to(server.port());
    // As soon as the channel can be read again, all publishers are asked for what was missed.
    assert_eq!(second.next().await, "Some(Interrupted)");
    first.publish("three").await.unwrap();
    let next = second.next().await;
    assert!(next == "three" || next.contains("Missed"), "{next}");
}
