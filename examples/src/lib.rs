//! What several examples share, and agents that are examples with more than one file. The examples themselves
//! are in `src/bin`.

mod recorder;
pub mod sounds;
mod voice_detector;

pub use recorder::{RecordingJobMetadata, recorder};
pub use voice_detector::VoiceDetector;
