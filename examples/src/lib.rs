//! What several examples share. The examples themselves are in `src/bin`.

pub mod sounds;
mod voice_detector;

pub use voice_detector::VoiceDetector;
