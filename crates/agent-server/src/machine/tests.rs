//! Transcripts of the server machine: inputs and outputs as readable text.

mod any_input;
mod calls;
mod cold_cache;
mod history;
mod jobs;
#[cfg(feature = "serde")]
mod replay;
mod rig;
mod rooms;
mod streams;
mod workers;
