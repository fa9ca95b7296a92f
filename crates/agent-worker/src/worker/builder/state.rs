//! Checkpoints and coordination.

use std::sync::Arc;
use std::time::Duration;

use agent_core::{CheckpointStore, Coordinator, PubSub};

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// The store of the jobs' [checkpoints](crate::checkpoint::Checkpoint); none unless set. `EmbeddedStore`
    /// is for workers on one machine, `RedisStore` for more, [`MemoryStore`](crate::checkpoint::MemoryStore)
    /// for tests.
    pub fn checkpoints(mut self, store: impl CheckpointStore) -> Self {
        self.settings.checkpoints.store = Some(Arc::new(store));
        self
    }

    /// The interval of automatic saves of changed values; 30 s unless set. A killed worker loses at most the
    /// progress of one interval.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.settings.checkpoints.interval = interval;
        self
    }

    /// How long a checkpoint is kept after its last save; 24 h unless set.
    pub fn checkpoint_expiry(mut self, expiry: Duration) -> Self {
        self.settings.checkpoints.expiry = expiry;
        self
    }

    /// The store in which jobs elect their leaders with [`JobContext::elect`](crate::JobContext::elect): one
    /// of [`coordination`](crate::coordination), or your own. None unless set.
    pub fn coordinator(mut self, coordinator: impl Coordinator) -> Self {
        self.settings.coordination.coordinator = Some(Arc::new(coordinator));
        self
    }

    /// The pub/sub backend of [`JobContext::channel`](crate::JobContext::channel): one of
    /// [`coordination`](crate::coordination), or your own; [`RoomData`](crate::coordination::RoomData) unless
    /// set.
    pub fn pubsub(mut self, pubsub: impl PubSub) -> Self {
        self.settings.coordination.pubsub = Some(Arc::new(pubsub));
        self
    }

    /// How long a leader's lease lasts without a renewal, from half a second to an hour; 10 s unless set. A
    /// follower leads within this time and a second after a leader is gone. Give the workers of one election
    /// the same.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.coordination.lease = lease;
        self
    }
}
