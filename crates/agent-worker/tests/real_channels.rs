//! Channels over a real Redis: nothing is lost while it stands, whatever becomes of the connections; what its restarts lose is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod stalling_proxy;

use agent_testkit::{JobSpec, MockServer, RedisServer, redis_server, redis_server_with};
use agent_worker::coordination::{Channel, ChannelEvent, RedisPubSub};
use agent_worker::{Agent, JobContext, JobResult, Redis};
use stalling_proxy::Proxy;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(20);
const WORKERS: usize = 3;
const MESSAGES: usize = 1_000;

/// Gives its channel to the test.
struct Giving(mpsc::UnboundedSender<Channel>);

impl Agent for Giving {
    async fn run(&self, ctx: JobContext) -> JobResult {
        let channel = ctx.jobs_channel().await?;
        channel.announce("talk").await?;
        self.0.send(channel)?;
        ctx.cancelled().await;
        Ok(())
    }
}

/// A worker with one job and a way to Redis of its own.
struct Member {
    channel: Channel,
    proxy: Proxy,
}

struct Meeting {
    _server: MockServer,
    members: Vec<Member>,
}

impl Meeting {
    /// All are there, and know of each other.
    async fn of_three(redis: &RedisServer) -> Self {
        let server = MockServer::start().await.unwrap();
        let mut members: Vec<Member> = Vec::new();
        for n in 0..WORKERS {
            let proxy = Proxy::start(redis.port()).await;
            let link = Redis::new(&format!("redis://127.0.0.1:{}", proxy.port())).unwrap();
            let link = link.timeout(Duration::from_secs(1));
            let (give, mut given) = mpsc::unbounded_channel();
            let name = format!("worker-{n}");
            let worker = server.worker(Giving(give)).agent_name(&name).join_room(false);
            tokio::spawn(worker.pubsub(RedisPubSub::new(link)).build().unwrap().run());
            server.dispatch(JobSpec::room("shared").agent_name(&name)).await.unwrap();
            let channel = tokio::time::timeout(SOON, given.recv()).await.expect("a channel").unwrap();
            members.push(Member { channel, proxy });
        }
        for member in &mut members {
            for _ in 0..WORKERS - 1 {
                let event = member.next().await;
                assert!(
                    matches!(&event, ChannelEvent::Announced(other) if other.capability == "talk"),
                    "{event:?}"
                );
            }
        }
        Self { _server: server, members }
    }
}

impl Member {
    async fn next(&mut self) -> ChannelEvent {
        tokio::time::timeout(SOON, self.channel.next())
            .await
            .expect("an event in time")
            .expect("an open channel")
    }

    async fn text(&mut self) -> String {
        match self.next().await {
            ChannelEvent::Message(message) => message.text(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn three_workers_with_a_thousand_messages_each_lose_none_though_connections_break() {
    let Some(redis) = redis_server().await else { return };
    let meeting = Meeting::of_three(&redis).await;
    let mut tasks = tokio::task::JoinSet::new();
    for (n, mut member) in meeting.members.into_iter().enumerate() {
        let publisher = member.channel.publisher();
        tasks.spawn(async move {
            for n in 0..MESSAGES {
                publisher.publish(n.to_string()).await.unwrap();
            }
            None
        });
        tasks.spawn(async move {
            let mut next = BTreeMap::<String, usize>::new();
            for count in 0..MESSAGES * (WORKERS - 1) {
                if n == 0 && count % 500 == 250 {
                    member.proxy.cut();
                }
                let ChannelEvent::Message(message) = member.next().await else {
                    panic!("something was lost")
                };
                let expected = next.entry(message.from.clone()).or_default();
                assert_eq!(message.text(), expected.to_string(), "in order and complete");
                *expected += 1;
            }
            assert_eq!(next.len(), WORKERS - 1);
            Some(member) // its publisher may have more to say
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_restart_with_everything_it_held_loses_nothing_and_is_told() {
    let Some(redis) = redis_server_with(RedisServer::builder().durable(true)).await else { return };
    let mut meeting = Meeting::of_three(&redis).await;
    let [first, second, third] = &mut meeting.members[..] else { unreachable!() };
    third.proxy.stall(true);
    first.channel.publish("before").await.unwrap();
    assert_eq!(second.text().await, "before");
    redis.restart().await.unwrap();
    first.channel.publish("after").await.unwrap();
    third.proxy.cut();
    third.proxy.stall(false);
    for member in [second, third] {
        let mut texts = Vec::new();
        let mut interruptions = 0;
        while interruptions == 0 || texts.last().is_none_or(|text| text != "after") {
            match member.next().await {
                ChannelEvent::Message(message) => texts.push(message.text()),
                ChannelEvent::Interrupted => interruptions += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(interruptions, 1);
        assert!(texts == ["after"] || texts == ["before", "after"], "{texts:?}");
    }
}

#[tokio::test]
async fn what_a_restart_without_its_data_loses_is_told() {
    let Some(redis) = redis_server().await else { return };
    let mut meeting = Meeting::of_three(&redis).await;
    let [first, second, _] = &mut meeting.members[..] else { unreachable!() };
    first.channel.publish("one").await.unwrap();
    assert_eq!(second.text().await, "one");

    // Three that are in Redis and were not read, and two that it did not take.
    second.proxy.stall(true);
    for text in ["two", "three", "four"] {
        first.channel.publish(text).await.unwrap();
    }
    redis.kill();
    for text in ["five", "six"] {
        let error = first.channel.publish(text).await.unwrap_err();
        assert!(error.to_string().contains("store for coordination"), "{error}");
    }
    redis.restart_empty().await.unwrap();
    second.proxy.cut();
    second.proxy.stall(false);
    assert_eq!(second.next().await, ChannelEvent::Interrupted, "told, though nobody has said anything since");
    // Everybody was asked to announce itself again: with that comes how many were lost.
    let missed = second.next().await;
    assert!(matches!(missed, ChannelEvent::Missed { count: 5, .. }), "{missed:?}");
    first.channel.publish("seven").await.unwrap();
    assert_eq!(second.text().await, "seven");
}
