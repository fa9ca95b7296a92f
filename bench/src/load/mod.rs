//! The load server: it offers jobs over one WebSocket and does nothing else, so that the subject is what limits a run.
//!
//! `book` knows what each job has to do next, `session` is the connection, `frames` what is written on it.

mod book;
mod frames;
mod session;

pub(crate) use frames::AGENT_NAME;
pub(crate) use session::{Bound, Listener, Session};
