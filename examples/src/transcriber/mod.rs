//! The agent that transcribes a room.

mod agent;
mod command;
mod engine;
mod http;
mod metadata;
mod options;
mod segmenter;
#[cfg(test)]
mod tests;
mod track;

pub use agent::transcriber;
pub use engine::{BoxError, Engine};
pub use metadata::TranscriptionJobMetadata;
pub use options::EngineOptions;
