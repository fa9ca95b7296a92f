//! Audio without I/O: encoded frames become PCM and back. Codecs behind one small [trait](AudioCodec), and
//! what is known of an Opus packet [without a codec](opus_packet).
//!
//! It knows no RTP, no keys, no clock and no runtime: times are arguments, so that everything here can be
//! tested on virtual time. Frames that are only forwarded need nothing of it.
//!
//! ```
//! use agent_media::{AudioFormat, AudioFrame};
//! use std::time::Duration;
//!
//! let silence = AudioFrame::silence(AudioFormat::new(16_000, 1)?, Duration::from_millis(20));
//! assert_eq!(silence.samples().len(), 320);
//! # Ok::<(), agent_media::FormatError>(())
//! ```

mod codec;
mod format;
mod frame;
mod jitter;
pub mod opus_packet;

pub use codec::{Application, AudioCodec, AudioDecoder, AudioEncoder, CodecError, EncoderOptions};
pub use format::{AudioFormat, FormatError};
pub use frame::AudioFrame;
pub use jitter::{EncodedPacket, JitterBuffer, JitterOptions, JitterStats, Playout, PlayoutSound};
