//! The seam to a codec: what an encoder and a decoder of Opus do in every implementation.

mod append;
mod error;
mod options;

use std::fmt;

pub use append::append;
pub use error::CodecError;
pub use options::{Application, EncoderOptions};

use crate::AudioFormat;

/// An implementation of Opus: makes encoders and decoders, one pair for each stream.
pub trait AudioCodec: fmt::Debug + Send + Sync {
    /// The name of the implementation, for logs.
    fn name(&self) -> &'static str;

    /// A new encoder for PCM of this format.
    ///
    /// # Errors
    /// [`CodecError::SampleRate`] if [the rate is not one of Opus](AudioFormat::is_opus);
    /// [`CodecError::Failed`] if the implementation refuses the options.
    fn encoder(
        &self,
        format: AudioFormat,
        options: &EncoderOptions,
    ) -> Result<Box<dyn AudioEncoder>, CodecError>;

    /// A new decoder to PCM of this format, whatever rate and channel count were encoded.
    ///
    /// # Errors
    /// [`CodecError::SampleRate`] if [the rate is not one of Opus](AudioFormat::is_opus).
    fn decoder(&self, format: AudioFormat) -> Result<Box<dyn AudioDecoder>, CodecError>;
}

/// Encodes one stream of PCM.
pub trait AudioEncoder: fmt::Debug + Send {
    /// Encodes one frame of interleaved samples, and appends the packet to `packet`: at most
    /// [`MAX_PACKET_LEN`](crate::opus_packet::MAX_PACKET_LEN) bytes. With DTX, a packet of at most 2 bytes
    /// need not be sent ([`is_dtx`](crate::opus_packet::is_dtx)).
    ///
    /// # Errors
    /// [`CodecError::FrameSize`] unless the samples last 10, 20, 40 or 60 ms; the stream continues with the
    /// next frame. Nothing is appended after an error.
    fn encode(&mut self, samples: &[i16], packet: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Changes the options between two frames: all but the application, which is that of the beginning.
    ///
    /// # Errors
    /// [`CodecError::Failed`] if the implementation refuses them.
    fn configure(&mut self, options: &EncoderOptions) -> Result<(), CodecError>;

    /// Begins a new stream, with the same options.
    fn reset(&mut self);
}

/// Decodes one stream to PCM. Every method appends interleaved samples to a buffer of the caller, which can
/// reuse it, and returns the number of samples of each channel; after an error nothing is appended.
pub trait AudioDecoder: fmt::Debug + Send {
    /// Decodes a packet, the next one in the order of the stream: at most 120 ms of sound.
    ///
    /// # Errors
    /// [`CodecError::InvalidPacket`]: it is not Opus. The stream continues with the next packet.
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> Result<usize, CodecError>;

    /// Conceals a lost packet: makes up exactly `frames` samples of each channel.
    ///
    /// # Errors
    /// [`CodecError::FrameSize`] unless `frames` is a multiple of 2.5 ms, not zero, and at most 120 ms.
    fn conceal(&mut self, frames: usize, samples: &mut Vec<i16>) -> Result<usize, CodecError>;

    /// Decodes the copy of a lost packet that `next`, the packet after it, carries (in-band FEC): exactly
    /// `frames` samples of each channel, which should be the duration of the lost one. What `next` has no
    /// copy of ([`has_fec`](crate::opus_packet::has_fec)) is concealed. `next` itself is decoded afterwards.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode) and [`conceal`](Self::conceal).
    fn decode_fec(&mut self, next: &[u8], frames: usize, samples: &mut Vec<i16>)
    -> Result<usize, CodecError>;

    /// Begins a new stream.
    fn reset(&mut self);
}
