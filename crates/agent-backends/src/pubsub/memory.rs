//! Topics in this process's memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use agent_core::{CoordinationError, Inbox, PubSub, Subscription};
use agent_proto::BoxFuture;

/// Topics in this process's memory: for tests, and for the jobs of one process. Clones share the topics.
#[derive(Clone, Default)]
pub struct MemoryPubSub {
    topics: Topics,
}

type Topics = Arc<Mutex<BTreeMap<String, BTreeMap<u64, Inbox>>>>;

impl MemoryPubSub {
    /// Without topics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryPubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPubSub").field("topics", &lock(&self.topics).len()).finish()
    }
}

impl PubSub for MemoryPubSub {
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>> {
        Box::pin(async move {
            let mut topics = lock(&self.topics);
            let there = topics.entry(topic.to_owned()).or_default();
            let number = there.last_key_value().map_or(0, |(last, _)| last + 1);
            there.insert(number, inbox);
            let subscription =
                MemorySubscription { topics: Arc::clone(&self.topics), topic: topic.to_owned(), number };
            Ok(Box::new(subscription) as Box<dyn Subscription>)
        })
    }
}

struct MemorySubscription {
    topics: Topics,
    topic: String,
    number: u64,
}

impl Subscription for MemorySubscription {
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(async move {
            for inbox in lock(&self.topics).get(&self.topic).into_iter().flat_map(BTreeMap::values) {
                inbox.deliver(&frame);
            }
            Ok(())
        })
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        let mut topics = lock(&self.topics);
        if let Some(there) = topics.get_mut(&self.topic) {
            there.remove(&self.number);
            if there.is_empty() {
                topics.remove(&self.topic);
            }
        }
    }
}

fn lock(topics: &Topics) -> MutexGuard<'_, BTreeMap<String, BTreeMap<u64, Inbox>>> {
    topics.lock().unwrap_or_else(PoisonError::into_inner)
}
