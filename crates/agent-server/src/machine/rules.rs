//! The numbers that the server machine is made with.

use std::time::Duration;

/// The numbers in the server's rules, as livekit-server 1.13.5 has them.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rules {
    /// Decides ids and which worker is asked first.
    pub seed: u64,
    /// The time of day at which the machine was made, in milliseconds since 1970.
    pub epoch_ms: i64,
    /// How long the first message of a worker may take.
    pub register_timeout: Duration,
    /// The time for all workers that are asked for one job, together.
    pub job_budget: Duration,
    /// Workers with this load count as full, unless there are others beside them.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::float"))]
    pub target_load: f32,
    /// How long after an assignment the server still does not know the job: a final status in this time is lost.
    pub bookkeeping: Duration,
    /// How long after it has looked for workers anew the server's rooms do not know of the jobs that they start.
    pub cold_cache: Duration,
    /// How long a dispatch takes inside the server.
    pub dispatch_delay: Duration,
    /// How long after an agent was thrown out of its room its worker hears that the job is over.
    pub termination_delay: Duration,
    /// How long after its dispatch was deleted an agent is removed from its room.
    pub removal_delay: Duration,
    /// How long a room stays to which nobody came.
    pub empty_timeout: Duration,
    /// How long a room stays that everybody but agents has left.
    pub departure_timeout: Duration,
    /// How many jobs that are over are remembered, and how many data messages.
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
