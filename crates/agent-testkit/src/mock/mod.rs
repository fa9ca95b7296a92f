//! A LiveKit server for tests, and rooms without a network.
//!
//! `builder` and `server` are the server as tests use it, `faults` its deliberate faults, `room` its rooms
//! with their participants (`participant`) and what was sent in them (`sent`), `connector` joins them,
//! `member` is between the handle of a room and the server, and `run` runs one job from start to end.

mod builder;
mod connector;
mod faults;
mod job;
mod member;
mod participant;
mod room;
mod run;
mod sent;
mod server;
mod spec;
mod timeline;

pub use builder::MockServerBuilder;
pub use connector::MockConnector;
pub use job::{MockJob, NoOutcome};
pub use participant::{MockParticipant, TrackSubscriber};
pub use room::MockRoom;
pub use run::{Run, run_job, run_job_in_real_time};
pub use sent::{SentAudio, SentBytes, SentCall, SentData, SentText};
pub use server::{DispatchError, MockServer, ServerEvents};
pub use spec::JobSpec;
pub use timeline::Timeline;
