//! The load server: it offers jobs over one WebSocket and does nothing else, so that the subject limits a
//! run.
//!
//! `jobs` has the states of the jobs, `session` is the connection, `frames` its messages.

mod frames;
mod jobs;
mod session;

pub(crate) use frames::AGENT_NAME;
pub(crate) use session::{Bound, Listener, Session};
