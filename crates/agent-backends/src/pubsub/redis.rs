//! Topics in Redis or Valkey: for jobs on any number of machines, whether they share a room or not.
//!
//! A topic is a Redis stream, not a Redis channel: a channel forgets what is published while a reader's
//! connection is down, a stream is read from where the reader stopped. So a broken connection loses nothing.
//! Messages can be lost when the server loses its data, or when a reader was disconnected for longer than the
//! stream is long. The former is detected by the server's run id, the latter by the sequence numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use agent_core::{Backoff, CoordinationError, Inbox, PubSub, Subscription};
use agent_proto::BoxFuture;
use agent_proto::text::line;

use super::outage::{Failure, Outage};
use crate::redis::{Redis, RedisError, info_field};

/// About how many messages a topic keeps for readers that were disconnected.
const KEPT: u32 = 10_000;
/// How long a topic without messages is kept.
const EXPIRES: Duration = Duration::from_secs(3600);
/// How long one read waits for something new. A topic that is joined meanwhile is read from the next read on,
/// from where it was joined.
const BLOCK: Duration = Duration::from_millis(200);
/// Maximum number of messages of one topic in one read.
const BATCH: usize = 64;
/// Maximum number of messages of all topics in one read, unless there are more topics: after an outage each
/// of thousands of topics may have many.
const MAX_READ: usize = 1024;
/// Wait after a failed read. Workers must not overload a server that has just restarted.
const READ_RETRY: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_millis(200), Duration::from_secs(2));
/// Time limit of one read.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Topics in Redis (5 or later) or Valkey: for jobs on any number of machines. Cheap to clone; clones share
/// two connections, one of which reads all topics of the process.
///
/// A topic is the stream `{prefix}:topic:{topic}` ([`Redis::prefix`]). It keeps about 10,000 messages, so
/// nothing is lost when a connection breaks and is re-established. A restart of Redis may lose what was not
/// persisted: each channel is notified (`ChannelEvent::Interrupted`), and reports how many messages of each
/// publisher are missing once it publishes again (`ChannelEvent::Missed`). Channels are also notified when
/// the topics cannot be read for a lasting reason, such as a revoked permission. The guide's page on Redis
/// lists the permissions that it needs.
///
/// ```
/// use agent_worker::{JobContext, JobResult, Worker, coordination::RedisPubSub, net::Redis};
///
/// # async fn agent(_: JobContext) -> JobResult { Ok(()) }
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::builder(agent).pubsub(RedisPubSub::new(Redis::new("redis://localhost")?));
/// # let _ = worker; Ok(()) }
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct RedisPubSub {
    inner: Arc<Inner>,
}

struct Inner {
    redis: Redis,
    topics: Arc<Topics>,
    reader: Mutex<Option<AbortHandle>>,
}

/// The topics that are read, and their inboxes.
#[derive(Default)]
struct Topics {
    state: Mutex<State>,
    /// Notified when a topic is joined.
    joined: Notify,
}

#[derive(Default)]
struct State {
    /// The server's run id, as last read.
    run: Option<String>,
    by_key: BTreeMap<String, Topic>,
    joins: u64,
}

struct Topic {
    /// The last entry that was read.
    cursor: EntryId,
    /// Each inbox, with the last entry before it joined.
    inboxes: BTreeMap<u64, (EntryId, Inbox)>,
}

/// The id of an entry of a stream: milliseconds and a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct EntryId(u64, u64);

/// Entries of a stream, each with its fields.
type Entries = Vec<(String, Vec<(String, Vec<u8>)>)>;
/// The answer of `XREAD`, by key; nothing when nothing is new.
type Read = Option<Vec<(String, Entries)>>;

impl RedisPubSub {
    /// Topics in this server. Nothing is connected yet.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        let inner = Inner { redis, topics: Arc::default(), reader: Mutex::new(None) };
        Self { inner: Arc::new(inner) }
    }
}

impl fmt::Debug for RedisPubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPubSub")
            .field("redis", &self.inner.redis)
            .field("topics", &self.inner.topics.lock().by_key.len())
            .finish()
    }
}

impl PubSub for RedisPubSub {
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>> {
        Box::pin(async move {
            let key = self.inner.redis.key("topic", topic);
            let (run, last) = last_entry(&self.inner.redis, &key).await.map_err(CoordinationError::store)?;
            let number = self.inner.topics.join(&key, run, last, inbox);
            // From here on, dropping it leaves the topic.
            let subscription = StreamSubscription { inner: Arc::clone(&self.inner), key, number };
            self.inner.read();
            Ok(Box::new(subscription) as Box<dyn Subscription>)
        })
    }
}

impl Inner {
    /// Starts the reader unless it runs.
    fn read(&self) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // In a program with several runtimes, the one that ran it may be gone.
        if reader.as_ref().is_none_or(AbortHandle::is_finished) {
            // A connection of its own, as a read keeps it busy.
            let link = self.redis.clone().timeout(READ_LIMIT);
            *reader = Some(tokio::spawn(read(link, Arc::clone(&self.topics))).abort_handle());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner) {
            reader.abort();
        }
    }
}

struct StreamSubscription {
    inner: Arc<Inner>,
    key: String,
    number: u64,
}

impl Subscription for StreamSubscription {
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(async move {
            let mut pipe = redis::pipe();
            pipe.cmd("XADD")
                .arg(&self.key)
                .arg("MAXLEN")
                .arg("~")
                .arg(KEPT)
                .arg("*")
                .arg("f")
                .arg(frame.as_ref());
            pipe.ignore();
            pipe.cmd("PEXPIRE").arg(&self.key).arg(millis(EXPIRES)).ignore();
            // If it is sent twice, the receiver drops the copy by its sequence number.
            let pipe = &pipe;
            let send = |mut connection| async move { pipe.query_async::<()>(&mut connection).await };
            self.inner.redis.run(send).await.map_err(CoordinationError::store)
        })
    }
}

impl Drop for StreamSubscription {
    fn drop(&mut self) {
        self.inner.topics.leave(&self.key, self.number);
    }
}

impl Topics {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, key: &str, run: String, last: EntryId, inbox: Inbox) -> u64 {
        let mut state = self.lock();
        state.run.get_or_insert(run);
        state.joins += 1;
        let number = state.joins;
        let new = || Topic { cursor: last, inboxes: BTreeMap::new() };
        state.by_key.entry(key.to_owned()).or_insert_with(new).inboxes.insert(number, (last, inbox));
        drop(state);
        self.joined.notify_one();
        number
    }

    fn leave(&self, key: &str, number: u64) {
        let mut state = self.lock();
        if let Some(topic) = state.by_key.get_mut(key) {
            topic.inboxes.remove(&number);
            if topic.inboxes.is_empty() {
                state.by_key.remove(key);
            }
        }
    }

    /// The topics to read, and from where.
    fn cursors(&self) -> Vec<(String, EntryId)> {
        self.lock().by_key.iter().map(|(key, topic)| (key.clone(), topic.cursor)).collect()
    }

    /// Whether the server was restarted since the last read.
    fn is_another_run(&self, run: &str) -> bool {
        self.lock().run.as_ref().is_some_and(|before| before != run)
    }

    /// Handles a restart of the server: what it had not persisted is lost.
    fn restarted(&self, key: &str, last: EntryId) {
        let mut state = self.lock();
        let Some(topic) = state.by_key.get_mut(key) else { return };
        if last < topic.cursor {
            // The stream was created again: everything in it is new, even if its ids are older.
            topic.cursor = EntryId::default();
            topic.inboxes.values_mut().for_each(|(from, _)| *from = EntryId::default());
        }
        topic.inboxes.values().for_each(|(_, inbox)| inbox.interrupted());
    }

    /// Notifies all channels that they may have missed something.
    fn interrupted(&self) {
        let state = self.lock();
        let inboxes = state.by_key.values().flat_map(|topic| topic.inboxes.values());
        inboxes.for_each(|(_, inbox)| inbox.interrupted());
    }

    fn deliver(&self, read: Read) {
        let mut state = self.lock();
        for (key, entries) in read.unwrap_or_default() {
            let Some(topic) = state.by_key.get_mut(&key) else { continue };
            for (id, fields) in entries {
                let id = EntryId::parse(&id);
                topic.cursor = topic.cursor.max(id);
                for frame in
                    fields.into_iter().filter(|(field, _)| field == "f").map(|(_, frame)| Bytes::from(frame))
                {
                    let waiting = topic.inboxes.values().filter(|(from, _)| id > *from);
                    waiting.for_each(|(_, inbox)| inbox.deliver(&frame));
                }
            }
        }
    }
}

impl EntryId {
    fn parse(text: &str) -> Self {
        let (time, number) = text.split_once('-').unwrap_or((text, "0"));
        Self(time.parse().unwrap_or(0), number.parse().unwrap_or(0))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// Reads all topics, forever.
async fn read(link: Redis, topics: Arc<Topics>) {
    let mut backoff = READ_RETRY;
    let mut rng = fastrand::Rng::new();
    let mut outage = Outage::default();
    loop {
        let cursors = topics.cursors();
        if cursors.is_empty() {
            topics.joined.notified().await;
            continue;
        }
        match read_once(&link, &topics, cursors).await {
            Ok(read) => {
                backoff.reset();
                if outage.over() {
                    topics.interrupted();
                }
                topics.deliver(read);
            }
            Err(error) => {
                match outage.failed(error.is_temporary()) {
                    Failure::First => {
                        tracing::warn!("cannot read messages between jobs, retrying: {}", line(error));
                    }
                    Failure::Lasting => {
                        tracing::error!("cannot read messages between jobs: {}", line(error));
                        topics.interrupted();
                    }
                    Failure::Known => {}
                }
                tokio::time::sleep(backoff.next(&mut rng)).await;
            }
        }
    }
}

async fn read_once(
    link: &Redis,
    topics: &Topics,
    cursors: Vec<(String, EntryId)>,
) -> Result<Read, RedisError> {
    let mut pipe = server_state();
    let read = pipe
        .cmd("XREAD")
        .arg("COUNT")
        .arg(batch(cursors.len()))
        .arg("BLOCK")
        .arg(millis(BLOCK))
        .arg("STREAMS");
    cursors.iter().for_each(|(key, _)| {
        read.arg(key);
    });
    cursors.iter().for_each(|(_, cursor)| {
        read.arg(cursor.to_string());
    });
    let pipe = &pipe;
    let ask = |mut connection| async move {
        let (server, replication, read): (String, String, Read) = pipe.query_async(&mut connection).await?;
        Ok((run_of_primary(&server, &replication)?, read))
    };
    let (run, read) = link.run(ask).await?;
    if topics.is_another_run(&run) {
        for (key, _) in &cursors {
            let (_, last) = last_entry(link, key).await?;
            topics.restarted(key, last);
        }
        topics.lock().run = Some(run);
    }
    Ok(read)
}

/// The run of the server, and the last entry of a stream; 0-0 when there is none.
async fn last_entry(redis: &Redis, key: &str) -> Result<(String, EntryId), RedisError> {
    let mut pipe = server_state();
    pipe.cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
    let pipe = &pipe;
    let ask = |mut connection| async move {
        let (server, replication, entries): (String, String, Entries) =
            pipe.query_async(&mut connection).await?;
        Ok((run_of_primary(&server, &replication)?, entries))
    };
    let (run, entries) = redis.run(ask).await?;
    let last = entries.first().map(|(id, _)| EntryId::parse(id)).unwrap_or_default();
    Ok((run, last))
}

/// The queries that precede each read. The link reconnects by itself, so only these show whether it leads to
/// the same server as before, and whether that is still the primary: a replica is read without an error.
fn server_state() -> redis::Pipeline {
    let mut pipe = redis::pipe();
    pipe.cmd("INFO").arg("server");
    pipe.cmd("INFO").arg("replication");
    pipe
}

/// The run id of a primary; for a replica, the error with which it refuses writes.
fn run_of_primary(server: &str, replication: &str) -> redis::RedisResult<String> {
    if matches!(info_field(replication, "role"), "slave" | "replica") {
        let detail = "it has become a replica".to_owned();
        return Err(redis::make_extension_error("READONLY".to_owned(), Some(detail)));
    }
    Ok(info_field(server, "run_id").to_owned())
}

fn batch(topics: usize) -> usize {
    (MAX_READ / topics.max(1)).clamp(1, BATCH)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_not_read() {
        let server = "# Server\r\nredis_version:7.0.15\r\nrun_id:3654ca\r\n";
        assert_eq!(run_of_primary(server, "# Replication\r\nrole:master\r\n").unwrap(), "3654ca");
        let error = run_of_primary(server, "# Replication\r\nrole:slave\r\n").unwrap_err();
        assert_eq!(error.code(), Some("READONLY"));
    }

    #[test]
    fn one_read_is_bounded_for_any_number_of_topics() {
        for topics in [0, 1, 15, 16, 17, 1_000, 1_024] {
            assert!(batch(topics) >= 1 && batch(topics) * topics <= MAX_READ, "{topics}");
        }
        assert_eq!((batch(1), batch(5_000)), (BATCH, 1));
    }
}
