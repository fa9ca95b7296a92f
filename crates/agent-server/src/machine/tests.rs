//! Transcripts of the server machine: inputs and outputs as readable text.

mod cold_cache;
mod history;
mod jobs;
mod promises;
#[cfg(feature = "serde")]
mod replay;
mod rig;
mod rooms;
mod workers;
