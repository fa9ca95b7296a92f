//! Checkpoints and coordination.

use std::sync::Arc;
use std::time::Duration;

use agent_core::{CheckpointStore, CoordinationError, Coordinator, PubSub, StoreError};

use crate::worker::builder::WorkerBuilder;
use crate::worker::stores::StoreSource;
#[cfg(feature = "cli")]
use crate::worker::stores::{CheckpointSource, CoordinatorSource};

impl WorkerBuilder {
    /// The store of the jobs' [checkpoints](crate::checkpoint::Checkpoint); none unless set. `EmbeddedStore`
    /// is for workers on one machine, `RedisStore` for more, [`MemoryStore`](crate::checkpoint::MemoryStore)
    /// for tests.
    pub fn checkpoints(mut self, store: impl CheckpointStore) -> Self {
        self.stores.checkpoints = Some(StoreSource::Open(Arc::new(store)));
        self
    }

    /// As [`checkpoints`](Self::checkpoints), with a store that [`build`](Self::build) opens, which returns
    /// its error as [`ConfigError::Checkpoints`](crate::ConfigError::Checkpoints). In a program with a
    /// [command line](crate::cli), commands that run no job leave the store alone, and `doctor` reports what
    /// is wrong with it.
    ///
    /// `open` may block.
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// # #[cfg(feature = "embedded-store")]
    /// # fn example() {
    /// use agent_worker::Worker;
    /// use agent_worker::checkpoint::EmbeddedStore;
    ///
    /// let builder = Worker::builder(agent).open_checkpoints(|| EmbeddedStore::open("checkpoints.redb"));
    /// # }
    /// ```
    pub fn open_checkpoints<S: CheckpointStore>(
        mut self,
        open: impl FnOnce() -> Result<S, StoreError> + Send + 'static,
    ) -> Self {
        self.stores.checkpoints = Some(StoreSource::Closed(Box::new(move || Ok(Arc::new(open()?)))));
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
        self.stores.coordinator = Some(StoreSource::Open(Arc::new(coordinator)));
        self
    }

    /// As [`coordinator`](Self::coordinator), with a store that [`build`](Self::build) opens, which returns
    /// its error as [`ConfigError::Coordinator`](crate::ConfigError::Coordinator): see
    /// [`open_checkpoints`](Self::open_checkpoints).
    pub fn open_coordinator<C: Coordinator>(
        mut self,
        open: impl FnOnce() -> Result<C, CoordinationError> + Send + 'static,
    ) -> Self {
        self.stores.coordinator = Some(StoreSource::Closed(Box::new(move || Ok(Arc::new(open()?)))));
        self
    }

    /// The store of checkpoints, which the worker then does not have.
    #[cfg(feature = "cli")]
    pub(crate) fn take_checkpoints(&mut self) -> Option<CheckpointSource> {
        self.stores.checkpoints.take()
    }

    /// The store of leases, which the worker then does not have.
    #[cfg(feature = "cli")]
    pub(crate) fn take_coordinator(&mut self) -> Option<CoordinatorSource> {
        self.stores.coordinator.take()
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
