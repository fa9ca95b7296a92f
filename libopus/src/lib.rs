//! libopus, the reference implementation of Opus in C, as an [`AudioCodec`].
//!
//! It takes half to two thirds of the computing time of the default codec, and conceals losses of voip
//! streams better; its build needs a C compiler and cmake. It is a package of its own, in a workspace of its
//! own, and not a feature of `agent-worker-media`: so everything else builds with all features where cmake is
//! missing.
//!
//! ```
//! use agent_libopus::LibopusCodec;
//! use agent_media::{AudioCodec, AudioFormat, AudioSender, AudioSenderOptions, EncoderOptions};
//!
//! let sender = AudioSender::new(&LibopusCodec, AudioSenderOptions::new())?;
//! let decoder = LibopusCodec.decoder(AudioFormat::MONO_16K)?;
//! # Ok::<(), agent_media::CodecError>(())
//! ```

use std::fmt;

use opus::{Application as OpusApplication, Bitrate, Channels};

use agent_media::opus_packet::{self, MAX_PACKET_LEN};
use agent_media::{
    Application, AudioCodec, AudioDecoder, AudioEncoder, AudioFormat, CodecError, EncoderOptions, append,
};

const NAME: &str = "libopus";

/// Opus by libopus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibopusCodec;

impl AudioCodec for LibopusCodec {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encoder(
        &self,
        format: AudioFormat,
        options: &EncoderOptions,
    ) -> Result<Box<dyn AudioEncoder>, CodecError> {
        CodecError::check_rate(format)?;
        let application = match options.application {
            Application::Voip => OpusApplication::Voip,
            _ => OpusApplication::Audio,
        };
        let encoder = opus::Encoder::new(format.sample_rate(), channels(format), application);
        let encoder = encoder.map_err(|_| failed("no encoder for this format"))?;
        let mut encoder = LibopusEncoder { format, encoder };
        encoder.configure(options)?;
        Ok(Box::new(encoder))
    }

    fn decoder(&self, format: AudioFormat) -> Result<Box<dyn AudioDecoder>, CodecError> {
        CodecError::check_rate(format)?;
        let decoder = opus::Decoder::new(format.sample_rate(), channels(format));
        let decoder = decoder.map_err(|_| failed("no decoder for this format"))?;
        Ok(Box::new(LibopusDecoder { format, decoder }))
    }
}

struct LibopusEncoder {
    format: AudioFormat,
    encoder: opus::Encoder,
}

impl AudioEncoder for LibopusEncoder {
    fn encode(&mut self, samples: &[i16], packet: &mut Vec<u8>) -> Result<(), CodecError> {
        CodecError::check_frame(self.format, samples.len())?;
        append(packet, MAX_PACKET_LEN, |space| {
            self.encoder.encode(samples, space).map_err(|_| failed("a frame could not be encoded"))
        })?;
        Ok(())
    }

    fn configure(&mut self, options: &EncoderOptions) -> Result<(), CodecError> {
        let bitrate = i32::try_from(options.bitrate_for(self.format)).unwrap_or(i32::MAX);
        let encoder = &mut self.encoder;
        encoder
            .set_bitrate(Bitrate::Bits(bitrate))
            .and_then(|()| encoder.set_complexity(options.complexity.min(10).into()))
            .and_then(|()| encoder.set_packet_loss_perc(options.expected_loss.min(100).into()))
            .and_then(|()| encoder.set_inband_fec(options.fec))
            .and_then(|()| encoder.set_dtx(options.dtx))
            .map_err(|_| failed("options of an encoder"))
    }

    fn reset(&mut self) {
        // It cannot fail, by its documentation.
        let _ = self.encoder.reset_state();
    }
}

impl fmt::Debug for LibopusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibopusEncoder").field("format", &self.format).finish_non_exhaustive()
    }
}

struct LibopusDecoder {
    format: AudioFormat,
    decoder: opus::Decoder,
}

impl LibopusDecoder {
    /// Decodes to `frames` samples of each channel; an empty packet is a lost one.
    fn run(
        &mut self,
        packet: &[u8],
        frames: usize,
        fec: bool,
        samples: &mut Vec<i16>,
    ) -> Result<usize, CodecError> {
        let channels = usize::from(self.format.channels());
        let appended = append(samples, frames * channels, |space| {
            let frames = self.decoder.decode(packet, space, fec);
            frames.map(|frames| frames * channels).map_err(|_| CodecError::InvalidPacket(packet.len()))
        })?;
        Ok(appended / channels)
    }
}

impl AudioDecoder for LibopusDecoder {
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> Result<usize, CodecError> {
        let duration = opus_packet::duration(packet).ok_or(CodecError::InvalidPacket(packet.len()))?;
        self.run(packet, self.format.frames_in(duration), false, samples)
    }

    fn conceal(&mut self, frames: usize, samples: &mut Vec<i16>) -> Result<usize, CodecError> {
        CodecError::check_lost(self.format, frames)?;
        self.run(&[], frames, false, samples)
    }

    fn decode_fec(
        &mut self,
        next: &[u8],
        frames: usize,
        samples: &mut Vec<i16>,
    ) -> Result<usize, CodecError> {
        CodecError::check_lost(self.format, frames)?;
        if opus_packet::samples(next).is_none() {
            return Err(CodecError::InvalidPacket(next.len()));
        }
        self.run(next, frames, true, samples)
    }

    fn reset(&mut self) {
        // It cannot fail, by its documentation.
        let _ = self.decoder.reset_state();
    }
}

impl fmt::Debug for LibopusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibopusDecoder").field("format", &self.format).finish_non_exhaustive()
    }
}

fn channels(format: AudioFormat) -> Channels {
    if format.channels() == 1 { Channels::Mono } else { Channels::Stereo }
}

fn failed(what: &'static str) -> CodecError {
    CodecError::Failed { codec: NAME, what }
}
