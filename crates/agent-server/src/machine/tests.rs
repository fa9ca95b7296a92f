//! Transcripts of the server machine: what happens goes in, what it wants comes out, both as text that a person reads.

mod cold_cache;
mod history;
mod jobs;
mod promises;
#[cfg(feature = "serde")]
mod replay;
mod rig;
mod rooms;
mod workers;
