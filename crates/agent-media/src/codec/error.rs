//! Errors of codecs.

/// What a codec could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Opus has no such sample rate: PCM is resampled first.
    #[error("sample rate {0} Hz: expected one of Opus (8, 12, 16, 24 or 48 kHz)")]
    SampleRate(u32),
    /// A number of samples that no frame has.
    #[error("a frame of {frames} samples per channel at {sample_rate} Hz: expected {expected}")]
    FrameSize {
        /// The number of samples of each channel.
        frames: usize,
        /// Samples of each channel per second.
        sample_rate: u32,
        /// The durations that are possible.
        expected: &'static str,
    },
    /// The bytes are not an Opus packet.
    #[error("{0} bytes that are not a packet of Opus")]
    InvalidPacket(usize),
    /// The implementation reported an error.
    #[error("{codec}: {what}")]
    Failed {
        /// The name of the implementation.
        codec: &'static str,
        /// What was attempted, and the implementation's reason.
        what: &'static str,
    },
}
