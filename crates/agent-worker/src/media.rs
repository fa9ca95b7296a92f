//! PCM of audio tracks, in and out. Feature `media`.
//!
//! [`Room::audio`](crate::Room::audio) reads what others say,
//! [`Room::publish_audio`](crate::Room::publish_audio) speaks. The machines behind them, which work without a
//! room too, are [`AudioReceiver`] and [`AudioSender`]; the codec is behind the trait [`AudioCodec`].

pub use agent_media::opus_packet;
pub use agent_media::{
    Application, AudioCodec, AudioDecoder, AudioEncoder, AudioFormat, AudioFrame, AudioReceiver,
    AudioReceiverOptions, AudioReceiverStats, AudioSender, AudioSenderOptions, AudioSenderOutput,
    AudioSenderStats, CodecError, EncodedPacket, EncoderOptions, FormatError, FrameDuration, JitterBuffer,
    JitterOptions, JitterStats, Level, OutgoingPacket, Playout, PlayoutSound, Pushed, ReceivedAudio,
    Resampler, RopusCodec,
};
pub use agent_rtc::{AudioError, AudioStream, AudioTrack, AudioTrackBuilder};
