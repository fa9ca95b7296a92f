//! The agent that records a room.

mod agent;
mod files;
mod metadata;
mod recording;

pub use agent::recorder;
pub use metadata::RecordingJobMetadata;
