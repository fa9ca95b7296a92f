//! How a job gets at it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::election::{Candidate, Terms};
use super::releases::Releases;
use super::{Channel, CoordinationError, Coordinator, Leadership, PubSub, RoomData};
use crate::job::context::JobContext;
use crate::telemetry::Meter;
use agent_core::check_key;

/// How long a lease lasts without a renewal, unless the builder says otherwise.
pub(crate) const DEFAULT_LEASE: Duration = Duration::from_secs(10);

/// What the jobs of a worker share for coordination.
pub(crate) struct Coordination {
    pub(crate) coordinator: Option<Arc<dyn Coordinator>>,
    pub(crate) lease: Duration,
    /// `None`: the room of each job.
    pub(crate) pubsub: Option<Arc<dyn PubSub>>,
    releases: Releases,
    /// The id that the server gave the worker when it last registered.
    worker_id: Mutex<Arc<str>>,
    meter: Arc<Meter>,
}

impl Coordination {
    pub(crate) fn new(
        coordinator: Option<Arc<dyn Coordinator>>,
        lease: Duration,
        pubsub: Option<Arc<dyn PubSub>>,
        meter: Arc<Meter>,
    ) -> Self {
        let (releases, worker_id) = (Releases::default(), Mutex::new("".into()));
        Self { coordinator, lease, pubsub, releases, worker_id, meter }
    }

    /// Waits until the leads that were given back are with their store, or their time is over.
    pub(crate) async fn released(&self) {
        self.releases.done().await;
    }

    fn worker_id(&self) -> Arc<str> {
        self.worker_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_worker_id(&self, id: &str) {
        *self.worker_id.lock().unwrap_or_else(PoisonError::into_inner) = id.into();
    }
}

impl JobContext {
    /// Stands for election: among all jobs that do so under the same key, in the same store, one leads at a time. The name of the
    /// room is a key for one leader per room; put another word in front where one room has several elections.
    ///
    /// It returns as soon as the store has answered. The leader's lease (10 s unless the builder says otherwise) is renewed in the
    /// background; followers stand again by themselves, and one of them leads within the lease and a second after the leader is
    /// gone.
    ///
    /// # Errors
    /// [`CoordinationError`]: the worker has no coordinator, the key is empty or longer than
    /// [`MAX_KEY_LEN`](crate::coordination::MAX_KEY_LEN), or the store cannot be asked.
    pub async fn elect(&self, key: impl Into<String>) -> Result<Leadership, CoordinationError> {
        let key = key.into();
        check_key(&key)?;
        let coordination = self.coordination();
        let coordinator = coordination.coordinator.clone().ok_or(CoordinationError::NoCoordinator)?;
        let random = random();
        // Another one for each call, so that an old lease of this job is not taken for this one's.
        let holder = format!("{}/{random:016x}", self.job().id);
        let (lease, releases) = (coordination.lease, &coordination.releases);
        let meter = Arc::clone(&coordination.meter);
        let terms = Terms { lease, seed: random, releases, clock: Clock::new(), meter };
        let candidate = Candidate::stand(coordinator, &key, holder, terms).await?;
        Ok(Leadership::of(candidate))
    }

    /// Opens a topic on which jobs talk to each other, over the room unless the builder says otherwise. When this returns, nothing that
    /// others publish is missed, and whoever has announced itself is asked to do so again.
    ///
    /// A channel ends with its attempt: what others publish between the end of one attempt and this call in the next one does not arrive.
    ///
    /// # Errors
    /// [`CoordinationError`]: the topic is empty or longer than [`MAX_TOPIC_LEN`](crate::coordination::MAX_TOPIC_LEN), or the
    /// way to the others cannot be used.
    pub async fn channel(&self, topic: impl Into<String>) -> Result<Channel, CoordinationError> {
        let coordination = self.coordination();
        let pubsub: Arc<dyn PubSub> = match &coordination.pubsub {
            Some(pubsub) => Arc::clone(pubsub),
            None => {
                let room = self.joined_room().ok_or(CoordinationError::NoRoom)?;
                Arc::new(RoomData::new(room.clone()))
            }
        };
        let (meter, worker_id) = (Arc::clone(&coordination.meter), coordination.worker_id());
        Channel::open(&*pubsub, topic.into(), &self.job().id, worker_id, random(), meter).await
    }

    /// The [channel](Self::channel) on which the jobs of this job's room meet: `room:{name}:jobs`.
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
