//! Faults of a server as values, for tests that draw them.

use std::fmt;

/// A fault of a [`MockServer`](crate::MockServer) towards its workers, as a value.
///
/// [`MockServer::inject`](crate::MockServer::inject) has it happen, and
/// [`JobSpec::faults`](crate::JobSpec::faults) while a job runs. Its `Debug` is the code that makes it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerFault {
    /// The connections are cut: [`MockServer::cut_workers`](crate::MockServer::cut_workers).
    Cut,
    /// The connections are closed with this code:
    /// [`MockServer::close_workers`](crate::MockServer::close_workers).
    Close(u16),
    /// The connections become half-open:
    /// [`MockServer::half_open_workers`](crate::MockServer::half_open_workers).
    HalfOpen,
    /// These bytes are sent in a binary frame: [`MockServer::send_bytes`](crate::MockServer::send_bytes).
    Bytes(Vec<u8>),
    /// For this number of milliseconds nothing is read or written:
    /// [`MockServer::freeze`](crate::MockServer::freeze).
    Freeze(u32),
    /// For this number of milliseconds nothing is sent: [`MockServer::mute`](crate::MockServer::mute).
    Mute(u32),
    /// For this number of milliseconds every message is sent twice:
    /// [`MockServer::double_messages`](crate::MockServer::double_messages).
    Double(u32),
    /// For this number of milliseconds connections are refused, and those that are open are cut:
    /// [`MockServer::refuse_connections`](crate::MockServer::refuse_connections).
    Refuse(u32),
    /// For a time every message is late: [`MockServer::delay_messages`](crate::MockServer::delay_messages).
    Delay {
        /// By how many milliseconds.
        by: u32,
        /// For how many milliseconds.
        millis: u32,
    },
    /// For a time joins of rooms are refused: [`MockServer::refuse_joins`](crate::MockServer::refuse_joins).
    RefuseJoins {
        /// The HTTP status.
        status: u16,
        /// For how many milliseconds.
        millis: u32,
    },
}

impl fmt::Debug for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("ServerFault::Cut"),
            Self::Close(code) => write!(f, "ServerFault::Close({code})"),
            Self::HalfOpen => f.write_str("ServerFault::HalfOpen"),
            Self::Bytes(bytes) => write!(f, "ServerFault::Bytes(vec!{bytes:?})"),
            Self::Freeze(millis) => write!(f, "ServerFault::Freeze({millis})"),
            Self::Mute(millis) => write!(f, "ServerFault::Mute({millis})"),
            Self::Double(millis) => write!(f, "ServerFault::Double({millis})"),
            Self::Refuse(millis) => write!(f, "ServerFault::Refuse({millis})"),
            Self::Delay { by, millis } => write!(f, "ServerFault::Delay {{ by: {by}, millis: {millis} }}"),
            Self::RefuseJoins { status, millis } => {
                write!(f, "ServerFault::RefuseJoins {{ status: {status}, millis: {millis} }}")
            }
        }
    }
}
