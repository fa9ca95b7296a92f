//! Transcripts of the server machine: inputs and outputs as readable text.

mod calls;
mod cold_cache;
mod history;
mod jobs;
mod promises;
#[cfg(feature = "serde")]
mod replay;
mod rig;
mod rooms;
mod streams;
mod workers;
