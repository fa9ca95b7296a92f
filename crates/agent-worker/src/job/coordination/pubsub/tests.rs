//! Channels over memory, where everything can be seen; over rooms in `tests/it/coordination/channels.rs`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use agent_backends::MemoryPubSub;
use agent_core::{BoxFuture, CoordinationError, Inbox, MAX_MESSAGE_LEN, PubSub, Receive, Subscription};
use agent_core::{JobId, Sequencer};

use super::mailbox::Mailbox;
use super::{Announcement, Channel, ChannelEvent, Message};

async fn open(pubsub: &dyn PubSub, job: &str) -> Channel {
    Channel::open(pubsub, "room:r:jobs".into(), &JobId::new(job), "AW_1".into(), 7, Arc::default())
        .await
        .unwrap()
}

fn message(event: Option<ChannelEvent>) -> Message {
    match event {
        Some(ChannelEvent::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn announced(event: Option<ChannelEvent>) -> Announcement {
    match event {
        Some(ChannelEvent::Announced(announcement)) => announcement,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn all_but_the_sender_receive_a_message() {
    let pubsub = MemoryPubSub::new();
    let (mut a, mut b, mut c) =
        (open(&pubsub, "a").await, open(&pubsub, "b").await, open(&pubsub, "c").await);
    a.publish("one").await.unwrap();
    a.publish_json(&["two"]).await.unwrap();
    b.publish("three").await.unwrap();
    for channel in [&mut b, &mut c] {
        let first = message(channel.next().await);
        assert_eq!((first.from.as_str(), first.text().as_str()), ("a/0000000000000007", "one"));
        assert_eq!(message(channel.next().await).json::<Vec<String>>().unwrap(), ["two"]);
    }
    assert_eq!(message(a.next().await).text(), "three");
    assert_eq!(message(c.next().await).text(), "three");
}

#[tokio::test]
async fn an_announcement_reaches_newcomers_once() {
    let pubsub = MemoryPubSub::new();
    let (a, mut b) = (open(&pubsub, "a").await, open(&pubsub, "b").await);
    a.announce("transcribe").await.unwrap();
    a.publish("one").await.unwrap();
    let first = announced(b.next().await);
    assert_eq!(
        (first.job_id.as_str(), first.worker_id.as_str(), first.capability.as_str()),
        ("a", "AW_1", "transcribe")
    );
    message(b.next().await);
    let mut c = open(&pubsub, "c").await;
    assert_eq!(announced(c.next().await), first);
    a.publish("two").await.unwrap();
    for channel in [&mut b, &mut c] {
        assert_eq!(message(channel.next().await).text(), "two", "nothing twice, nothing missed");
    }
}

#[tokio::test]
async fn a_dropped_channel_releases_everything() {
    let pubsub = MemoryPubSub::new();
    drop(open(&pubsub, "a").await);
    // The task that repeats announcements releases the backend when it is aborted.
    while format!("{pubsub:?}") != "MemoryPubSub { topics: 0 }" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_reader_receives_the_number_of_lost_messages() {
    let pubsub = MemoryPubSub::new();
    let (a, mut b, mut c) = (open(&pubsub, "a").await, open(&pubsub, "b").await, open(&pubsub, "c").await);
    for n in 0..1_030 {
        a.publish(n.to_string()).await.unwrap();
    }
    assert_eq!(b.next().await, Some(ChannelEvent::Lagged { missed: 6 }));
    assert_eq!(message(b.next().await).text(), "6");
    assert_eq!(c.next().await, Some(ChannelEvent::Lagged { missed: 6 }));
    // Bytes count, too.
    for _ in 0..80 {
        a.publish(vec![0; MAX_MESSAGE_LEN]).await.unwrap();
    }
    let Some(ChannelEvent::Lagged { missed }) = c.next().await else { panic!("no report") };
    assert!(missed > 1_023, "{missed}");
}

#[tokio::test]
async fn messages_and_topics_over_the_limit_are_refused() {
    let pubsub = MemoryPubSub::new();
    let a = open(&pubsub, "a").await;
    let error = a.publish(vec![0; MAX_MESSAGE_LEN + 1]).await.unwrap_err();
    assert!(error.to_string().starts_with("a message of 60001 bytes is over the limit of 60000"), "{error}");
    let error = a.announce("x".repeat(MAX_MESSAGE_LEN)).await.unwrap_err();
    assert!(error.to_string().contains("announcement of"), "{error}");
    for topic in ["", &"x".repeat(513)] {
        let opened =
            Channel::open(&pubsub, topic.into(), &JobId::new("a"), "".into(), 1, Arc::default()).await;
        let error = opened.unwrap_err().to_string();
        assert!(error.starts_with("the topic of the channel"), "{error}");
    }
}

/// A memory backend that counts sent frames, loses them while `loses` is set, and gives access to its
/// inboxes.
#[derive(Clone, Default)]
struct Watched {
    inner: MemoryPubSub,
    sent: Arc<AtomicUsize>,
    loses: Arc<AtomicBool>,
    inboxes: Arc<Mutex<Vec<Inbox>>>,
}

struct WatchedSubscription(Box<dyn Subscription>, Watched);

impl PubSub for Watched {
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>> {
        Box::pin(async move {
            self.inboxes.lock().unwrap().push(inbox.clone());
            let subscription = self.inner.subscribe(topic, inbox).await?;
            Ok(Box::new(WatchedSubscription(subscription, self.clone())) as Box<dyn Subscription>)
        })
    }
}

impl Subscription for WatchedSubscription {
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>> {
        self.1.sent.fetch_add(1, Ordering::Relaxed);
        if self.1.loses.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.0.send(frame)
    }
}

/// Each of many who come at once is not answered by itself, or the answers grow with their square.
#[tokio::test(start_paused = true)]
async fn many_newcomers_at_once_are_answered_together() {
    let pubsub = Watched::default();
    let first = open(&pubsub, "a").await;
    first.announce("transcribe").await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = pubsub.sent.load(Ordering::Relaxed);
    let mut others = Vec::new();
    for n in 0..50 {
        others.push(open(&pubsub, &format!("b{n}")).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for other in &mut others {
        assert_eq!(announced(other.next().await).capability, "transcribe", "every newcomer is answered");
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let answers = pubsub.sent.load(Ordering::Relaxed) - before - others.len();
    // Each job answers later newcomers: 1,275 answers if each were answered separately.
    let most = 3 * (others.len() + 1);
    assert!((2..=most).contains(&answers), "{answers} answers to {} within half a second", others.len());
}

#[tokio::test]
async fn a_dropped_channel_queues_nothing_for_its_publishers() {
    let pubsub = Watched::default();
    let (a, b) = (open(&pubsub, "a").await, open(&pubsub, "b").await);
    a.publish("before").await.unwrap();
    let publisher = b.publisher();
    drop(b);
    a.publish("after").await.unwrap();
    let inbox = format!("{:?}", pubsub.inboxes.lock().unwrap()[1]);
    assert!(inbox.contains("waiting: 0"), "{inbox}");
    let mut a = a;
    publisher.publish("still there").await.unwrap();
    assert_eq!(message(a.next().await).text(), "still there");
}

#[tokio::test]
async fn lost_messages_are_counted_even_if_the_reader_is_too_slow() {
    let mailbox = Mailbox::new("b/1", Arc::default());
    let inbox = mailbox.inbox();
    let mut a = Sequencer::new("a/1");
    inbox.deliver(&a.hello().encode());
    (0..100).for_each(|_| drop(a.message("lost")));
    for _ in 0..1_030 {
        inbox.deliver(&a.message("x").encode());
    }
    // 100 in one event, and the seven oldest of 1,031.
    assert_eq!(mailbox.next().await, Some(ChannelEvent::Lagged { missed: 100 + 6 }));
}

#[tokio::test]
async fn the_whole_size_of_an_announcement_counts() {
    let mailbox = Mailbox::new("b/1", Arc::default());
    let inbox = mailbox.inbox();
    let long =
        format!(r#"{{"job_id":"{0}","worker_id":"{0}","capability":"x","timestamp":1}}"#, "j".repeat(25_000));
    for n in 0..1_000 {
        inbox.deliver(&Sequencer::new(format!("a/{n}")).announce(long.clone()).encode());
    }
    assert!(
        matches!(mailbox.next().await, Some(ChannelEvent::Lagged { missed: 900.. })),
        "over 4 MiB waited"
    );
}

#[tokio::test]
async fn messages_with_the_id_of_another_agent_are_dropped() {
    let mailbox = Mailbox::new("b/1", Arc::default());
    let inbox = mailbox.inbox();
    let mut a = Sequencer::new("a/1");
    inbox.deliver_from("agent-a", &a.message("one").encode());
    inbox.deliver_from("agent-x", &a.clone().message("forged").encode());
    inbox.deliver_from("agent-a", &a.message("two").encode());
    assert_eq!(message(mailbox.next().await).text(), "one");
    assert_eq!(message(mailbox.next().await).text(), "two");
}

#[tokio::test]
async fn an_interruption_is_reported_once_until_it_is_read() {
    let mailbox = Mailbox::new("b/1", Arc::default());
    let inbox = mailbox.inbox();
    (0..1_000).for_each(|_| inbox.interrupted());
    inbox.close();
    assert_eq!(mailbox.next().await, Some(ChannelEvent::Interrupted));
    assert_eq!(mailbox.next().await, None);
}

#[tokio::test]
async fn lost_messages_are_reported() {
    let pubsub = Watched::default();
    let (a, mut b) = (open(&pubsub, "a").await, open(&pubsub, "b").await);
    a.publish("one").await.unwrap();
    pubsub.loses.store(true, Ordering::Relaxed);
    a.publish("two").await.unwrap();
    a.publish("three").await.unwrap();
    pubsub.loses.store(false, Ordering::Relaxed);
    a.publish("four").await.unwrap();
    assert_eq!(message(b.next().await).text(), "one");
    assert_eq!(b.next().await, Some(ChannelEvent::Missed { from: "a/0000000000000007".into(), count: 2 }));
    assert_eq!(message(b.next().await).text(), "four");
}

#[tokio::test]
async fn after_an_interruption_announcements_are_requested_again() {
    let pubsub = Watched::default();
    let a = open(&pubsub, "a").await;
    let mailbox = Mailbox::new("b/1", Arc::default());
    let inbox = mailbox.inbox();
    let b = pubsub.subscribe("room:r:jobs", inbox.clone()).await.unwrap();
    pubsub.loses.store(true, Ordering::Relaxed);
    a.announce("transcribe").await.unwrap();
    pubsub.loses.store(false, Ordering::Relaxed);
    inbox.interrupted();
    assert!(mailbox.asked().await, "the announcements of the others are requested");
    b.send(Sequencer::new("b/1").hello().encode()).await.unwrap();
    assert_eq!(mailbox.next().await, Some(ChannelEvent::Interrupted));
    assert_eq!(announced(mailbox.next().await).capability, "transcribe");
}

/// Even if the publisher has announced nothing and sends nothing more.
#[tokio::test]
async fn lost_last_messages_are_reported() {
    let pubsub = Watched::default();
    let (a, mut b) = (open(&pubsub, "a").await, open(&pubsub, "b").await);
    a.publish("one").await.unwrap();
    assert_eq!(message(b.next().await).text(), "one");
    let missed = |count| Some(ChannelEvent::Missed { from: "a/0000000000000007".into(), count });
    // The sender notices the interruption.
    pubsub.loses.store(true, Ordering::Relaxed);
    a.publish("two").await.unwrap();
    pubsub.loses.store(false, Ordering::Relaxed);
    a.mailbox().interrupted();
    assert_eq!(timeout(b.next()).await, missed(1));
    // The reader notices it.
    pubsub.loses.store(true, Ordering::Relaxed);
    a.publish("three").await.unwrap();
    a.publish("four").await.unwrap();
    pubsub.loses.store(false, Ordering::Relaxed);
    b.mailbox().interrupted();
    assert_eq!(timeout(b.next()).await, Some(ChannelEvent::Interrupted));
    assert_eq!(timeout(b.next()).await, missed(2));
}

/// The first messages of a job are reported as lost, too, once the others know of it.
#[tokio::test]
async fn lost_first_messages_are_reported() {
    let pubsub = Watched::default();
    let mut b = open(&pubsub, "b").await;
    let a = open(&pubsub, "a").await;
    pubsub.loses.store(true, Ordering::Relaxed);
    a.publish("one").await.unwrap();
    pubsub.loses.store(false, Ordering::Relaxed);
    a.publish("two").await.unwrap();
    assert_eq!(b.next().await, Some(ChannelEvent::Missed { from: "a/0000000000000007".into(), count: 1 }));
    assert_eq!(message(b.next().await).text(), "two");
}

async fn timeout(next: impl Future<Output = Option<ChannelEvent>>) -> Option<ChannelEvent> {
    tokio::time::timeout(Duration::from_secs(5), next).await.expect("a report")
}

#[tokio::test]
async fn invalid_frames_are_dropped() {
    let mailbox = Mailbox::new("b/1", Arc::default());
    let inbox = mailbox.inbox();
    for invalid in ["", "{}\n", "nonsense\nnonsense"] {
        inbox.deliver(&Bytes::from(invalid));
    }
    inbox.deliver(&Sequencer::new("a").announce("no announcement").encode());
    inbox.deliver(&Sequencer::new("c").message(vec![0; MAX_MESSAGE_LEN + 1]).encode());
    inbox.close();
    assert_eq!(mailbox.next().await, None);
}
