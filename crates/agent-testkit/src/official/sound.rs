//! What a client of the Python SDK plays.

use std::path::PathBuf;

use serde_json::{Value, json};

use agent_worker::room::TrackSource;

use super::client::{OfficialClient, text_of};
use super::error::ClientError;

/// What an [`OfficialClient`](crate::OfficialClient) of the Python SDK plays on a track of its own: silence,
/// tones or a file, with [`publish_sound`](crate::OfficialClient::publish_sound).
///
/// ```no_run
/// # async fn example(ada: agent_testkit::OfficialClient) -> Result<(), agent_testkit::ClientError> {
/// use agent_testkit::ClientSound;
///
/// let tone = ada.publish_sound(ClientSound::tone(440).level(-20.0).channels(2)).await?;
/// let speech = ada.publish_sound(ClientSound::wav("speech.wav").name("speech").dtx(true)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientSound {
    hertz: Vec<u32>,
    dbfs: f64,
    wav: Option<PathBuf>,
    sample_rate: u32,
    name: String,
    source: TrackSource,
    dtx: Option<bool>,
    red: Option<bool>,
}

impl ClientSound {
    /// A sine of this frequency without end: mono, 48 kHz, with its peak at -20 dBFS, on a microphone.
    #[must_use]
    pub fn tone(hertz: u32) -> Self {
        Self {
            hertz: vec![hertz],
            dbfs: -20.0,
            wav: None,
            sample_rate: 48_000,
            name: "microphone".to_owned(),
            source: TrackSource::Microphone,
            dtx: None,
            red: None,
        }
    }

    /// Silence.
    #[must_use]
    pub fn silence() -> Self {
        Self::tone(0)
    }

    /// A WAV file with samples of 16 bits, once, at its own rate and channels; then
    /// [`ClientEvent::SoundEnded`](crate::ClientEvent::SoundEnded), and silence.
    #[must_use]
    pub fn wav(path: impl Into<PathBuf>) -> Self {
        Self { wav: Some(path.into()), ..Self::tone(0) }
    }

    /// The peak of the tone, in dB below full scale (0 is the loudest). The RMS of a sine is 3 dB lower.
    #[must_use]
    pub fn level(mut self, dbfs: f64) -> Self {
        self.dbfs = dbfs.min(0.0);
        self
    }

    /// The same tone in this many channels, 1 or 2. The SDKs of these versions take two channels, and send
    /// one.
    #[must_use]
    pub fn channels(mut self, channels: usize) -> Self {
        let first = self.hertz.first().copied().unwrap_or_default();
        self.hertz = vec![first; channels.clamp(1, 2)];
        self
    }

    /// The sample rate of the tone, in Hz, a multiple of 100.
    #[must_use]
    pub fn sample_rate(mut self, hertz: u32) -> Self {
        self.sample_rate = hertz;
        self
    }

    /// The name of the track.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The source of the track.
    #[must_use]
    pub fn source(mut self, source: TrackSource) -> Self {
        self.source = source;
        self
    }

    /// Whether the encoder sends next to nothing while there is silence (discontinuous transmission).
    #[must_use]
    pub fn dtx(mut self, dtx: bool) -> Self {
        self.dtx = Some(dtx);
        self
    }

    /// Whether each packet repeats the one before it (redundant encoding).
    #[must_use]
    pub fn red(mut self, red: bool) -> Self {
        self.red = Some(red);
        self
    }

    pub(super) fn request(&self) -> Value {
        let source = match self.source {
            TrackSource::Camera => "camera",
            TrackSource::Microphone => "microphone",
            TrackSource::ScreenShare => "screenshare",
            TrackSource::ScreenShareAudio => "screenshare_audio",
            _ => "unknown",
        };
        json!({
            "name": self.name,
            "source": source,
            "wav": self.wav,
            "hertz": self.hertz,
            "dbfs": self.dbfs,
            "sample_rate": self.sample_rate,
            "dtx": self.dtx,
            "red": self.red,
        })
    }
}

impl OfficialClient {
    /// Publishes a track that plays this, with the Python SDKs; returns its sid.
    ///
    /// # Errors
    /// [`ClientError::Failed`] if the file cannot be read, or is no WAV file of 16 bits, and others.
    pub async fn publish_sound(&self, sound: ClientSound) -> Result<String, ClientError> {
        let answer = self.ask("publish_sound", sound.request()).await?;
        Ok(text_of(&answer, "sid"))
    }
}
