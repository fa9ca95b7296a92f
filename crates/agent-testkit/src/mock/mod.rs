//! A LiveKit server for tests, and rooms without a network.
//!
//! `front` is its network, `hub` the server machine with its clock, `faults` what it does wrong on purpose, `room` what happens in
//! rooms, `run` one job from start to end.

mod builder;
mod faults;
mod job;
mod room;
mod run;
mod server;
mod spec;
mod timeline;

pub use builder::MockServerBuilder;
pub use job::{MockJob, NoOutcome};
pub use room::{MockConnector, MockParticipant, MockRoom, SentData};
pub use run::{Run, run_job, run_job_in_real_time};
pub use server::{DispatchError, MockServer, ServerEvents};
pub use spec::JobSpec;
pub use timeline::Timeline;
