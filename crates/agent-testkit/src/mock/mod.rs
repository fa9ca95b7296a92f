//! A LiveKit server for tests, and rooms without a network.
//!
//! `builder` and `server` are the server as tests use it, `faults` its deliberate faults, `room` its rooms
//! with their participants (`participant`) and what was sent in them (`sent`), `connector` joins them,
//! `member` is between the handle of a room and the server, and `run` runs one job from start to end, in the
//! `order` of a seed. `fault_plan` and `room_script` are faults and the events of a room as values.

mod builder;
mod connector;
mod fault_plan;
mod faults;
mod job;
mod member;
mod order;
mod participant;
mod room;
mod room_script;
mod run;
mod sent;
mod server;
mod spec;
mod timeline;

pub use builder::MockServerBuilder;
pub use connector::MockConnector;
pub use fault_plan::ServerFault;
pub use job::{MockJob, NoOutcome};
pub use participant::{MockParticipant, TrackSubscriber};
pub use room::MockRoom;
pub use room_script::{RoomScript, RoomStep};
pub use run::{Run, run_job, run_job_blocking, run_job_in_real_time};
pub use sent::{SentAudio, SentBytes, SentCall, SentData, SentText, SentVideo};
pub use server::{DispatchError, MockServer, ServerEvents};
pub use spec::JobSpec;
pub use timeline::Timeline;
