//! The load server: it offers jobs over one WebSocket and does nothing else, so that the subject limits a
//! run.
//!
//! `book` has the states of the jobs, `session` is the connection, `frames` its messages.

mod book;
mod frames;
mod session;

pub(crate) use frames::AGENT_NAME;
pub(crate) use session::{Bound, Listener, Session};
