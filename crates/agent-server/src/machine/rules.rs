//! Configuration of the server machine.

use std::time::Duration;

/// The configuration of the server's rules. The defaults are those of livekit-server 1.13.5.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rules {
    /// The seed for ids and the choice of workers.
    pub seed: u64,
    /// The time of day at which the machine was created, in milliseconds since 1970.
    pub epoch_ms: i64,
    /// How long the first message of a worker may take.
    pub register_timeout: Duration,
    /// The time for all workers that are asked for one job, together.
    pub job_budget: Duration,
    /// At this load a worker counts as full, unless other workers of its kind are below it.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::float"))]
    pub target_load: f32,
    /// How long after an assignment the server does not know the job yet: a final status in this time is
    /// lost.
    pub bookkeeping: Duration,
    /// How long after a new lookup of workers the server's rooms do not know of the jobs that they start.
    pub cold_cache: Duration,
    /// How long a dispatch takes inside the server.
    pub dispatch_delay: Duration,
    /// How long after the removal of an agent from its room its worker is notified that the job is over.
    pub termination_delay: Duration,
    /// How long after the deletion of its dispatch an agent is removed from its room.
    pub removal_delay: Duration,
    /// How long a room stays open that nobody joined.
    pub empty_timeout: Duration,
    /// How long a room stays open after the last participant other than agents has left.
    pub departure_timeout: Duration,
    /// How many finished jobs, and how many data messages, are kept.
    pub history: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            seed: 0,
            epoch_ms: 0,
            register_timeout: Duration::from_secs(10),
            job_budget: Duration::from_secs(3),
            target_load: 0.7,
            bookkeeping: Duration::ZERO,
            cold_cache: Duration::ZERO,
            dispatch_delay: Duration::ZERO,
            termination_delay: Duration::from_millis(5),
            removal_delay: Duration::from_secs(3),
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            history: 100_000,
        }
    }
}
