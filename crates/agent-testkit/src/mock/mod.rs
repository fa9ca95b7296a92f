//! A LiveKit server for tests, and rooms without a network.
//!
//! `builder` and `server` are the server as tests use it, `faults` its deliberate faults, `room` its rooms,
//! and `run` runs one job from start to end.

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
