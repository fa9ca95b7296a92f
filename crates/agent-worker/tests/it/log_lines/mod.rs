//! The form of the log: whatever others send, each line begins with a time, and the number of lines is
//! limited.

mod agents;
mod floods;
mod forgery;
#[cfg(unix)]
mod panics;
mod redaction;
mod server;
