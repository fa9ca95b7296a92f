//! Channels over the data of a room, on a real livekit-server: three workers whose jobs share a room. Nothing
//! is lost while they are connected, nor when a connection is resumed; what is lost with a connection that is
//! replaced is reported.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use agent_testkit::{DispatchRequest, RealServer, real_server};
use agent_worker::coordination::{Channel, MAX_MESSAGE_LEN, Publisher};
use agent_worker::room::{Reconnected, RoomEvents};
use agent_worker::{Agent, EndWhen, JobContext, JobResult, RoomEvent, Worker};

use crate::support::channel_log::{Counted, Received, Tally};
use crate::support::network::Network;

const SOON: Duration = Duration::from_secs(30);
const WORKERS: usize = 3;
const MESSAGES: usize = 1_000;
const HALF: usize = MESSAGES / 2;
/// How many messages may be on their way to a reader. A reader that is too slow gets an error, which is not
/// what is tested here.
const WINDOW: usize = 400;
const ROOM: &str = "shared";

/// Passes its channel to the test.
struct ChannelGiver(mpsc::UnboundedSender<(JobContext, Channel)>);

impl Agent for ChannelGiver {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let channel = ctx.jobs_channel().await?;
        channel.announce("chat").await?;
        self.0.send((ctx.clone(), channel))?;
        ctx.cancelled().await;
        Ok(())
    }
}

/// A worker with one job and a network of its own.
struct Member {
    channel: Channel,
    ctx: JobContext,
    network: Network,
}

impl Member {
    /// Its job joins the room after those of all members before it.
    async fn join(server: &RealServer, n: usize) -> Self {
        let network = Network::default();
        let (give, mut given) = mpsc::unbounded_channel();
        let name = format!("worker-{n}");
        let worker = Worker::builder(ChannelGiver(give))
            .url(server.url())
            .credentials(server.api_key(), server.api_secret().clone())
            .net(network.options())
            .agent_name(&name)
            .end_when(EndWhen::Never)
            .max_jobs(1)
            .build()
            .unwrap();
        let handle = worker.handle();
        tokio::spawn(worker.run());
        assert!(handle.registered().await);
        let dispatched = async {
            loop {
                server.api().create_dispatch(DispatchRequest::new(&name, ROOM)).await.unwrap();
                // The room may not know this kind of worker yet, and then its job is lost. A worker
                // that has it takes no other.
                if let Ok(given) = tokio::time::timeout(Duration::from_secs(4), given.recv()).await {
                    return given.unwrap();
                }
            }
        };
        let (ctx, channel) = tokio::time::timeout(SOON, dispatched).await.expect("a channel");
        Self { channel, ctx, network }
    }

    /// Waits until all members know each other, including those that had announced themselves before others
    /// joined.
    async fn three(server: &RealServer) -> [Self; WORKERS] {
        let mut members =
            [Self::join(server, 0).await, Self::join(server, 1).await, Self::join(server, 2).await];
        for member in &mut members {
            for _ in 0..WORKERS - 1 {
                assert_eq!(member.next().await, Received::Announced("chat".to_owned()));
            }
        }
        members
    }

    /// `None`: it does not come in time.
    async fn receive(&mut self) -> Option<Received> {
        let next = tokio::time::timeout(SOON, self.channel.next()).await.ok()?;
        Some(next.expect("an open channel").into())
    }

    async fn next(&mut self) -> Received {
        self.receive().await.expect("an event in time")
    }

    async fn receive_until(&mut self, end: usize, tally: &mut Tally) {
        while tally.complete(end) < WORKERS - 1 {
            tally.take(self.next().await);
        }
    }

    fn id(&self) -> String {
        self.ctx.job().id.to_string()
    }
}

async fn count(publisher: &Publisher, numbers: Range<usize>) {
    for n in numbers {
        publisher.publish(n.to_string()).await.unwrap();
    }
}

/// The next time that the room's connection is re-established.
async fn reconnected(mut events: RoomEvents) -> Reconnected {
    let again = async {
        loop {
            match events.next().await.expect("the room stays") {
                RoomEvent::Reconnected(again) => return *again,
                RoomEvent::Disconnected { reason } => panic!("{reason}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the connection comes back")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_with_a_thousand_messages_each_lose_none_though_a_connection_is_cut() {
    let Some(server) = real_server().await else { return };
    let members = Member::three(&server).await;
    let again = tokio::spawn(reconnected(members[0].ctx.room().events()));
    // The messages that each has received. Half of the messages are published after the cut.
    let received = watch::Sender::new([0; WORKERS]);
    let cut = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    for (n, mut member) in members.into_iter().enumerate() {
        let (publisher, mut received_by, mut is_cut) =
            (member.channel.publisher(), received.subscribe(), cut.subscribe());
        tasks.spawn(async move {
            for number in 0..MESSAGES {
                is_cut.wait_for(|is_cut| *is_cut || number < HALF).await.unwrap();
                let of_others = number * (WORKERS - 1);
                received_by
                    .wait_for(|received| received.iter().all(|of| of + WINDOW > of_others))
                    .await
                    .unwrap();
                publisher.publish(number.to_string()).await.unwrap();
            }
            None
        });
        let (received, cut) = (received.clone(), cut.clone());
        tasks.spawn(async move {
            let mut tally = Tally::default();
            while tally.complete(MESSAGES) < WORKERS - 1 {
                let event =
                    member.receive().await.unwrap_or_else(|| panic!("{n} receives nothing: {tally:?}"));
                tally.take(event);
                received.send_modify(|received| received[n] = tally.messages());
                if n == 0 && tally.messages() == HALF / 2 {
                    member.network.cut();
                    cut.send_replace(true);
                }
            }
            assert!(tally.of_others().values().all(|other| *other == Counted::all(MESSAGES)), "{tally:?}");
            assert_eq!(tally.interruptions, 0);
            Some(member) // its publisher may have more to publish
        });
    }
    tasks.join_all().await;
    assert!(again.await.unwrap().resumed);
}

/// The server announces a job to the others up to 3 s after it has joined: what it publishes until then waits
/// for that.
#[tokio::test]
async fn messages_before_the_announcement_of_a_job_are_received() {
    let Some(server) = real_server().await else { return };
    let mut first = Member::join(&server, 0).await;
    let second = Member::join(&server, 1).await;
    for n in 0..HALF {
        second.channel.publish(n.to_string()).await.unwrap();
    }
    assert_eq!(first.next().await, Received::Announced("chat".to_owned()));
    let mut tally = Tally::default();
    while tally.complete(HALF) == 0 {
        tally.take(first.next().await);
    }
    assert_eq!((tally.of(&second.id()), tally.interruptions), (Counted::all(HALF), 0));
}

/// Waits until the server has logged this text `times` times.
async fn logged(server: &RealServer, text: &str, mut times: usize) {
    let last = |line: &str| {
        times -= usize::from(line.contains(text));
        times == 0
    };
    server.log().wait_for_line(last, SOON).await.unwrap();
}

#[tokio::test]
async fn the_longest_message_arrives_and_a_longer_one_is_refused() {
    let Some(server) = real_server().await else { return };
    let [first, mut second] = [Member::join(&server, 0).await, Member::join(&server, 1).await];
    assert_eq!(second.next().await, Received::Announced("chat".to_owned()));
    let longest = "x".repeat(MAX_MESSAGE_LEN);
    first.channel.publish(longest.clone()).await.unwrap();
    assert!(matches!(second.next().await, Received::Message { text, .. } if text == longest));
    let error = first.channel.publish("x".repeat(MAX_MESSAGE_LEN + 1)).await.unwrap_err().to_string();
    assert!(error.starts_with("a message of 60001 bytes is over the limit of 60000 bytes"), "{error}");
    first.channel.publish("next").await.unwrap();
    assert!(
        matches!(second.next().await, Received::Message { text, .. } if text == "next"),
        "nothing is missing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_of_a_replaced_session_are_reported_to_both_sides() {
    let Some(server) = real_server().await else { return };
    let mut members = Member::three(&server).await;
    // A job that outlives its worker's connection is one that the server does not end when its agent changes
    // sessions.
    let again = tokio::spawn(reconnected(members[0].ctx.room().events()));
    members[0].network.cut();
    assert!(again.await.unwrap().resumed);
    logged(&server, r#""msg":"worker registered""#, WORKERS + 1).await;

    let again = tokio::spawn(reconnected(members[0].ctx.room().events()));
    let ids: Vec<String> = members.iter().map(Member::id).collect();
    let publishers: Vec<Publisher> = members.iter().map(|member| member.channel.publisher()).collect();
    let mut tallies = [(); WORKERS].map(|()| Tally::default());
    // Some messages before the cut, and some that are lost, from both sides.
    for publisher in &publishers {
        count(publisher, 0..10).await;
    }
    for (member, tally) in members.iter_mut().zip(&mut tallies) {
        member.receive_until(10, tally).await;
    }
    members[0].network.block_media(true);
    for publisher in &publishers {
        count(publisher, 10..20).await;
    }
    // The server has ended the old session when the new one begins.
    logged(&server, "DUPLICATE_IDENTITY", 1).await;
    members[0].network.block_media(false);
    let again = again.await.unwrap();
    assert!(!again.resumed && !again.room_changed, "{again:?}");

    // Nothing new is published, but the loss is reported.
    while tallies[0].missed() < 20 || tallies[0].interruptions == 0 {
        tallies[0].take(members[0].next().await);
    }
    for (member, tally) in members.iter_mut().zip(&mut tallies).skip(1) {
        while tally.of(&ids[0]).missed < 10 {
            tally.take(member.next().await);
        }
    }
    // From here on nothing is lost.
    for publisher in &publishers {
        count(publisher, 20..30).await;
    }
    for (n, (member, tally)) in members.iter_mut().zip(&mut tallies).enumerate() {
        member.receive_until(30, tally).await;
        assert_eq!(tally.interruptions > 0, n == 0, "{tally:?}");
        for (of, id) in ids.iter().enumerate().filter(|(of, _)| *of != n) {
            let lost = if n == 0 || of == 0 { 10 } else { 0 };
            let counted = tally.of(id);
            assert_eq!((counted.received, counted.missed), (30 - lost, lost), "{of} received by {n}");
        }
    }
}
