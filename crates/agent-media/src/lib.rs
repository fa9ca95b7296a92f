//! Audio without I/O: encoded frames become PCM and back. Codecs behind one small [trait](AudioCodec), and
//! what is known of an Opus packet [without a codec](opus_packet); [resampling](Resampler), [levels](Level),
//! an [`AudioSender`] that sends PCM in real time, and an [`AudioReceiver`] that makes PCM of packets in any
//! order, with a [`JitterBuffer`]. With the feature `container`, files of encoded audio and video: writers of
//! them (`container`), and what a recording of a participant consists of (`recorder`).
//!
//! It knows no RTP, no keys, no clock and no runtime: times are arguments, so that everything here can be
//! tested on virtual time. Frames that are only forwarded do not need it.
//!
//! ```
//! use agent_media::{AudioFormat, AudioFrame};
//! use std::time::Duration;
//!
//! let silence = AudioFrame::silence(AudioFormat::new(16_000, 1)?, Duration::from_millis(20));
//! assert_eq!(silence.samples().len(), 320);
//! # Ok::<(), agent_media::FormatError>(())
//! ```
//!
//! # Dev builds
//! A codec without optimisation takes a third of a core for each stream both ways. Profiles are those of the
//! program, so its `Cargo.toml` needs these lines:
//! ```toml
//! [profile.dev.package]
//! ropus = { opt-level = 3 }
//! agent-worker-media = { opt-level = 3 } # with it rubato, which is generic
//! ```

mod codec;
#[cfg(feature = "container")]
pub mod container;
mod convert;
mod format;
mod frame;
mod jitter;
mod level;
pub mod opus_packet;
#[cfg(feature = "container")]
mod opus_timeline;
mod receiver;
#[cfg(feature = "container")]
pub mod recorder;
mod resampler;
#[cfg(feature = "ropus")]
mod ropus_codec;
mod sender;

pub use codec::{Application, AudioCodec, AudioDecoder, AudioEncoder, CodecError, EncoderOptions, append};
pub use format::{AudioFormat, FormatError};
pub use frame::AudioFrame;
pub use jitter::{EncodedPacket, JitterBuffer, JitterOptions, JitterStats, Playout, PlayoutSound};
pub use level::Level;
pub use receiver::{AudioReceiver, AudioReceiverOptions, AudioReceiverStats, ReceivedAudio};
pub use resampler::Resampler;
#[cfg(feature = "ropus")]
pub use ropus_codec::RopusCodec;
pub use sender::{
    AudioSender, AudioSenderOptions, AudioSenderOutput, AudioSenderStats, FrameDuration, OutgoingPacket,
    Pushed,
};
