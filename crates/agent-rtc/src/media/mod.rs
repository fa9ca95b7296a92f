//! PCM of tracks, in and out: what connects agent-media's machines to the tracks of a room and to the clock.

mod audio_builder;
mod audio_error;
mod audio_stream;
mod audio_track;
mod pacer;

pub use audio_builder::AudioTrackBuilder;
pub use audio_error::AudioError;
pub use audio_stream::AudioStream;
pub use audio_track::AudioTrack;
