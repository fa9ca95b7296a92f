//! `JobContext` methods for elections and channels.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use agent_core::{CoordinationError, PubSub, check_key};

use super::clock::Clock;
use super::election::{Candidate, ElectionParams};
use super::{Channel, Leadership, RoomData};
use crate::job::context::JobContext;

impl JobContext {
    /// Joins an election: among all jobs that join under the same key in the same store, one leads at a time.
    /// Use the room's name as the key for one leader per room, with a prefix if a room has several elections.
    ///
    /// It returns as soon as the store has answered. The leader's lease (10 s unless set) is renewed in the
    /// background; followers retry automatically, and one of them leads within the lease and a second after
    /// the leader is gone.
    ///
    /// # Errors
    /// [`CoordinationError`]: the worker has no coordinator, the key is empty or longer than [`MAX_KEY_LEN`](crate::coordination::MAX_KEY_LEN), or the store is unavailable.
    pub async fn elect(&self, key: impl Into<String>) -> Result<Leadership, CoordinationError> {
        let key = key.into();
        check_key(&key)?;
        let parts = self.parts();
        let settings = &parts.settings.coordination;
        let coordinator = settings.coordinator.clone().ok_or(CoordinationError::NoCoordinator)?;
        let random = random();
        // A new holder for each call, so that an old lease of this job is not mistaken for the new one.
        let holder = format!("{}/{random:016x}", self.job().id);
        let (lease, releases) = (settings.lease, &parts.releases);
        let meter = Arc::clone(&parts.meter);
        let params = ElectionParams { lease, seed: random, releases, clock: Clock::new(), meter };
        let candidate = Candidate::join(coordinator, &key, holder, params).await?;
        Ok(Leadership::of(candidate))
    }

    /// Opens a topic on which jobs exchange messages, over the room unless set. Once this has returned, no
    /// message of others is missed, and jobs that have announced themselves are asked to repeat it.
    ///
    /// A channel ends with its attempt: what others publish between the end of one attempt and this call in
    /// the next one does not arrive.
    ///
    /// # Errors
    /// [`CoordinationError`]: the topic is empty or longer than [`MAX_TOPIC_LEN`](crate::coordination::MAX_TOPIC_LEN), or the pub/sub backend is unavailable.
    pub async fn channel(&self, topic: impl Into<String>) -> Result<Channel, CoordinationError> {
        let parts = self.parts();
        let pubsub: Arc<dyn PubSub> = match &parts.settings.coordination.pubsub {
            Some(pubsub) => Arc::clone(pubsub),
            None => {
                let room = self.joined_room().ok_or(CoordinationError::NoRoom)?;
                Arc::new(RoomData::new(room.clone()))
            }
        };
        let (meter, worker_id) = (Arc::clone(&parts.meter), parts.worker_id());
        Channel::open(&*pubsub, topic.into(), &self.job().id, worker_id, random(), meter).await
    }

    /// The [channel](Self::channel) of all jobs in this job's room: `room:{name}:jobs`.
    ///
    /// # Errors
    /// As [`channel`](Self::channel).
    pub async fn jobs_channel(&self) -> Result<Channel, CoordinationError> {
        self.channel(format!("room:{}:jobs", self.job().room.name)).await
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
