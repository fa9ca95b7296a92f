//! Opus by `ropus`, a port of the reference to Rust that needs no C compiler.

use std::fmt;

use ropus::{Application as RopusApplication, Bitrate, Channels, DecodeMode, InbandFec};

use crate::opus_packet::{self, MAX_PACKET_LEN};
use crate::{
    Application, AudioCodec, AudioDecoder, AudioEncoder, AudioFormat, CodecError, EncoderOptions, append,
};

const NAME: &str = "ropus";

/// The default codec: Opus in Rust, by the crate `ropus`.
///
/// It encodes and decodes what the reference does, at half to two thirds of its speed. The losses of streams
/// of [`Application::Voip`] are concealed some 10 dB more quietly. A program with many streams can use
/// libopus instead, which needs cmake: the package `agent-worker-libopus`.
///
/// ```
/// use agent_media::{AudioCodec, AudioFormat, EncoderOptions, RopusCodec};
///
/// let mut encoder = RopusCodec.encoder(AudioFormat::MONO_48K, &EncoderOptions::new())?;
/// let mut decoder = RopusCodec.decoder(AudioFormat::MONO_16K)?;
/// let (mut packet, mut samples) = (Vec::new(), Vec::new());
/// encoder.encode(&[0; 960], &mut packet)?;
/// assert_eq!(decoder.decode(&packet, &mut samples)?, 320);
/// # Ok::<(), agent_media::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RopusCodec;

impl AudioCodec for RopusCodec {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encoder(
        &self,
        format: AudioFormat,
        options: &EncoderOptions,
    ) -> Result<Box<dyn AudioEncoder>, CodecError> {
        CodecError::check_rate(format)?;
        let encoder = new_encoder(format, options)?;
        Ok(Box::new(RopusEncoder { format, options: *options, encoder }))
    }

    fn decoder(&self, format: AudioFormat) -> Result<Box<dyn AudioDecoder>, CodecError> {
        CodecError::check_rate(format)?;
        Ok(Box::new(RopusDecoder { format, decoder: new_decoder(format)? }))
    }
}

struct RopusEncoder {
    format: AudioFormat,
    options: EncoderOptions,
    encoder: ropus::Encoder,
}

impl AudioEncoder for RopusEncoder {
    fn encode(&mut self, samples: &[i16], packet: &mut Vec<u8>) -> Result<(), CodecError> {
        CodecError::check_frame(self.format, samples.len())?;
        append(packet, MAX_PACKET_LEN, |space| {
            self.encoder.encode(samples, space).map_err(|_| failed("a frame could not be encoded"))
        })?;
        Ok(())
    }

    fn configure(&mut self, options: &EncoderOptions) -> Result<(), CodecError> {
        let options = EncoderOptions { application: self.options.application, ..*options };
        configure(&mut self.encoder, self.format, &options)?;
        self.options = options;
        Ok(())
    }

    fn reset(&mut self) {
        // It was made with the same options before.
        if let Ok(encoder) = new_encoder(self.format, &self.options) {
            self.encoder = encoder;
        }
    }
}

impl fmt::Debug for RopusEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RopusEncoder")
            .field("format", &self.format)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

struct RopusDecoder {
    format: AudioFormat,
    decoder: ropus::Decoder,
}

impl RopusDecoder {
    /// Decodes to `frames` samples of each channel; an empty packet is a lost one.
    fn run(
        &mut self,
        packet: &[u8],
        frames: usize,
        mode: DecodeMode,
        samples: &mut Vec<i16>,
    ) -> Result<usize, CodecError> {
        let channels = usize::from(self.format.channels());
        let appended = append(samples, frames * channels, |space| {
            let frames = self.decoder.decode(packet, space, mode);
            frames.map(|frames| frames * channels).map_err(|_| CodecError::InvalidPacket(packet.len()))
        })?;
        Ok(appended / channels)
    }
}

impl AudioDecoder for RopusDecoder {
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> Result<usize, CodecError> {
        let duration = opus_packet::duration(packet).ok_or(CodecError::InvalidPacket(packet.len()))?;
        self.run(packet, self.format.frames_in(duration), DecodeMode::Normal, samples)
    }

    fn conceal(&mut self, frames: usize, samples: &mut Vec<i16>) -> Result<usize, CodecError> {
        CodecError::check_lost(self.format, frames)?;
        self.run(&[], frames, DecodeMode::Normal, samples)
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
        self.run(next, frames, DecodeMode::Fec, samples)
    }

    fn reset(&mut self) {
        // It was made for the same format before.
        if let Ok(decoder) = new_decoder(self.format) {
            self.decoder = decoder;
        }
    }
}

impl fmt::Debug for RopusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RopusDecoder").field("format", &self.format).finish_non_exhaustive()
    }
}

fn new_encoder(format: AudioFormat, options: &EncoderOptions) -> Result<ropus::Encoder, CodecError> {
    let application = match options.application {
        Application::Voip => RopusApplication::Voip,
        Application::Audio => RopusApplication::Audio,
    };
    let encoder = ropus::Encoder::builder(format.sample_rate(), channels(format), application).build();
    let mut encoder = encoder.map_err(|_| failed("no encoder for these options"))?;
    configure(&mut encoder, format, options)?;
    Ok(encoder)
}

fn new_decoder(format: AudioFormat) -> Result<ropus::Decoder, CodecError> {
    ropus::Decoder::new(format.sample_rate(), channels(format))
        .map_err(|_| failed("no decoder for this format"))
}

/// Sets everything but the application.
fn configure(
    encoder: &mut ropus::Encoder,
    format: AudioFormat,
    options: &EncoderOptions,
) -> Result<(), CodecError> {
    let fec = if options.fec { InbandFec::Enabled } else { InbandFec::Disabled };
    encoder
        .set_bitrate(Bitrate::Bits(options.bitrate_for(format)))
        .and_then(|()| encoder.set_complexity(options.complexity.min(10)))
        .and_then(|()| encoder.set_packet_loss_perc(options.expected_loss.min(100)))
        .and_then(|()| encoder.set_inband_fec(fec))
        .and_then(|()| encoder.set_dtx(options.dtx))
        .map_err(|_| failed("options of an encoder"))
}

fn channels(format: AudioFormat) -> Channels {
    if format.channels() == 1 { Channels::Mono } else { Channels::Stereo }
}

fn failed(what: &'static str) -> CodecError {
    CodecError::Failed { codec: NAME, what }
}
