//! How sound is encoded.

use std::ops::RangeInclusive;

use crate::AudioFormat;

/// What the sound is, for the trade-offs of the encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Application {
    /// Speech, tones and music: true to the original.
    #[default]
    Audio,
    /// Speech at a low bitrate: intelligible, at about twice the computing time.
    Voip,
}

/// How sound is encoded. The defaults are for any sound on a good network.
///
/// ```
/// use agent_media::{Application, AudioFormat, EncoderOptions};
///
/// let options = EncoderOptions::new();
/// assert_eq!(options.bitrate_for(AudioFormat::MONO_48K), 32_000);
///
/// let frugal = options.application(Application::Voip).bitrate(16_000).dtx(true).expected_loss(10);
/// assert_eq!(frugal.bitrate_for(AudioFormat::MONO_48K), 16_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderOptions {
    /// Bits per second; `None`: 32,000 for each channel.
    pub bitrate: Option<u32>,
    /// How much computing time to spend, from 0 to 10. 5 by default.
    pub complexity: u8,
    /// Whether packets carry a copy of the previous one at a low bitrate, for a receiver that has lost it, if
    /// [`expected_loss`](Self::expected_loss) is high enough: more than 5 % for [`Application::Audio`], which
    /// then encodes speech as [`Application::Voip`] does. On by default.
    pub fec: bool,
    /// The percentage of packets that receivers lose, from 0 to 100: more loss, more bits for the copies.
    /// 0 by default.
    pub expected_loss: u8,
    /// Whether silence becomes packets of at most 2 bytes, which need not be sent (discontinuous
    /// transmission). With [`Application::Voip`] everything but speech is silence, also a steady tone. Off by
    /// default.
    pub dtx: bool,
    /// What the sound is. [`Application::Audio`] by default.
    pub application: Application,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            bitrate: None,
            complexity: 5,
            fec: true,
            expected_loss: 0,
            dtx: false,
            application: Application::Audio,
        }
    }
}

impl EncoderOptions {
    /// The bitrates that Opus has, in bits per second.
    pub const BITRATES: RangeInclusive<u32> = 6_000..=510_000;

    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the bitrate in bits per second, clamped to [those of Opus](Self::BITRATES).
    #[must_use]
    pub fn bitrate(mut self, bits_per_second: u32) -> Self {
        self.bitrate = Some(bits_per_second);
        self
    }

    /// Sets the complexity, clamped to 10.
    #[must_use]
    pub fn complexity(mut self, complexity: u8) -> Self {
        self.complexity = complexity;
        self
    }

    /// Turns the copies of previous packets on or off.
    #[must_use]
    pub fn fec(mut self, fec: bool) -> Self {
        self.fec = fec;
        self
    }

    /// Sets the expected loss in percent, clamped to 100.
    #[must_use]
    pub fn expected_loss(mut self, percent: u8) -> Self {
        self.expected_loss = percent;
        self
    }

    /// Turns the short packets of silence on or off.
    #[must_use]
    pub fn dtx(mut self, dtx: bool) -> Self {
        self.dtx = dtx;
        self
    }

    /// Sets what the sound is.
    #[must_use]
    pub fn application(mut self, application: Application) -> Self {
        self.application = application;
        self
    }

    /// The bitrate for PCM of a format, in bits per second, within [those of Opus](Self::BITRATES).
    #[must_use]
    pub fn bitrate_for(&self, format: AudioFormat) -> u32 {
        let default = 32_000 * u32::from(format.channels());
        self.bitrate.unwrap_or(default).clamp(*Self::BITRATES.start(), *Self::BITRATES.end())
    }
}
