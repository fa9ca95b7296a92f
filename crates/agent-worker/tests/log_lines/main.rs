//! What the log looks like: whatever others say, it is lines that begin with a time, and not too many of
//! them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod agents;
mod capture;
mod floods;
mod forgery;
#[path = "../../../agent-testkit/tests/long/mod.rs"]
mod long;
mod redaction;
mod server;
