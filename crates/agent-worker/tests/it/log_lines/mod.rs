//! What the log looks like: whatever others send, it is lines that begin with a time, and not too many of
//! them.

mod agents;
mod floods;
mod forgery;
mod redaction;
mod server;
