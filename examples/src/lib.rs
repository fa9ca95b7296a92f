//! What several examples share, and agents that are examples with more than one file. The examples themselves
//! are in `src/bin`.

mod analyzer;
mod parameters;
mod recorder;
pub mod sounds;
mod transcriber;
mod voice_detector;

pub use analyzer::analyzer;
pub use recorder::{RecordingJobMetadata, recorder};
pub use transcriber::{BoxError, Engine, EngineOptions, TranscriptionJobMetadata, transcriber};
pub use voice_detector::VoiceDetector;
