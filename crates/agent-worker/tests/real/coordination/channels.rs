//! Channels over a real Redis and Valkey, between three worker processes: nothing is lost while the server
//! runs, also when connections are lost; what its restarts lose is reported.

use std::time::Duration;

use agent_testkit::{RedisServerBuilder, redis_server_with};
use agent_worker::coordination::RedisPubSub;
use agent_worker::net::Redis;

use crate::support::channel_log::{Counted, Received, Tally};
use crate::support::channel_workers::{ChannelWorkers, run_if_child};
use crate::support::test_name::test_name;

const MESSAGES: usize = 1_000;
const HALF: usize = MESSAGES / 2;

on_each_kind!(
    three_processes_with_a_thousand_messages_each_lose_none_though_a_connection_breaks,
    losses_of_three_processes_in_a_restart_are_reported,
    a_restart_with_all_data_loses_nothing_and_is_reported,
    losses_of_a_restart_without_data_are_reported,
);

/// The entry of the child processes of the tests below; without them it does nothing.
#[tokio::test]
async fn a_member() {
    run_if_child(|url| RedisPubSub::new(Redis::new(url).unwrap().timeout(Duration::from_secs(1)))).await;
}

/// All have begun to publish the first half, and the first member has received some of it.
async fn half_way(port: u16) -> (ChannelWorkers, [Tally; 3]) {
    let mut workers = ChannelWorkers::of_three(&test_name(module_path!(), "a_member"), port).await;
    workers.members.iter().for_each(|member| member.count(0..HALF));
    let mut tallies = [(); 3].map(|()| Tally::default());
    while tallies[0].messages() < HALF / 2 {
        tallies[0].take(workers.members[0].next().await);
    }
    (workers, tallies)
}

async fn three_processes_with_a_thousand_messages_each_lose_none_though_a_connection_breaks(
    settings: RedisServerBuilder,
) {
    let Some(redis) = redis_server_with(settings).await else { return };
    let (mut workers, mut tallies) = half_way(redis.port()).await;
    let before = workers.members[0].proxy.connections();
    workers.members[0].proxy.cut();
    workers.members.iter().for_each(|member| member.count(HALF..MESSAGES));
    for (member, tally) in workers.members.iter_mut().zip(&mut tallies) {
        member.receive_until(MESSAGES, tally).await;
        assert!(tally.of_others().values().all(|other| *other == Counted::all(MESSAGES)), "{tally:?}");
        assert_eq!(tally.interruptions, 0);
        for _ in 0..2 {
            assert_eq!(member.published().await, (0, String::new()));
        }
    }
    let after = workers.members[0].proxy.connections();
    assert!(after >= before + 2, "both of its connections were replaced: {before}, {after}");
}

async fn losses_of_three_processes_in_a_restart_are_reported(settings: RedisServerBuilder) {
    let Some(redis) = redis_server_with(settings).await else { return };
    let (mut workers, mut tallies) = half_way(redis.port()).await;
    redis.kill();
    workers.members.iter().for_each(|member| member.count(HALF..HALF + 10));
    for member in &mut workers.members {
        let _as_many_as_were_left = member.published().await;
        let (refused, error) = member.published().await;
        assert_eq!((refused, error.as_str()), (10, "the store for coordination cannot be used"));
    }
    redis.restart_empty().await.unwrap();
    workers.members.iter().for_each(|member| member.count(HALF + 10..MESSAGES));
    for (member, tally) in workers.members.iter_mut().zip(&mut tallies) {
        member.receive_until(MESSAGES, tally).await;
        assert_eq!(member.published().await, (0, String::new()));
        assert_eq!(tally.interruptions, 1);
        for other in tally.of_others().values() {
            assert!(other.missed >= 10 && other.received + other.missed == MESSAGES, "{other:?}");
        }
    }
}

async fn a_restart_with_all_data_loses_nothing_and_is_reported(settings: RedisServerBuilder) {
    let Some(redis) = redis_server_with(settings.durable(true)).await else { return };
    let mut workers = ChannelWorkers::of_three(&test_name(module_path!(), "a_member"), redis.port()).await;
    let [first, second, third] = &mut workers.members[..] else { unreachable!() };
    third.proxy.stall(true);
    first.publish("before").await;
    assert_eq!(second.text().await, "before");
    redis.restart().await.unwrap();
    first.publish("after").await;
    third.proxy.cut();
    third.proxy.stall(false);
    for member in [second, third] {
        let mut texts = Vec::new();
        let mut interruptions = 0;
        while interruptions == 0 || texts.last().is_none_or(|text| text != "after") {
            match member.next().await {
                Received::Message { text, .. } => texts.push(text),
                Received::Interrupted => interruptions += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(interruptions, 1);
        assert!(texts == ["after"] || texts == ["before", "after"], "{texts:?}");
    }
}

async fn losses_of_a_restart_without_data_are_reported(settings: RedisServerBuilder) {
    let Some(redis) = redis_server_with(settings).await else { return };
    let mut workers = ChannelWorkers::of_three(&test_name(module_path!(), "a_member"), redis.port()).await;
    let [first, second, _] = &mut workers.members[..] else { unreachable!() };
    first.publish("one").await;
    assert_eq!(second.text().await, "one");

    // Three messages that the server had and nobody had read, and two that it did not accept.
    second.proxy.stall(true);
    for text in ["two", "three", "four"] {
        first.publish(text).await;
    }
    redis.kill();
    first.count(5..7);
    assert_eq!(first.published().await, (2, "the store for coordination cannot be used".to_owned()));
    redis.restart_empty().await.unwrap();
    second.proxy.cut();
    second.proxy.stall(false);
    assert_eq!(second.next().await, Received::Interrupted, "reported, although nothing was published since");
    // All members were asked to announce themselves again: the answers contain how many messages were lost.
    let missed = second.next().await;
    assert!(matches!(missed, Received::Missed { count: 5, .. }), "{missed:?}");
    first.publish("seven").await;
    assert_eq!(second.text().await, "seven");
}
