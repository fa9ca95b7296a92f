//! The description of an audio track of ours.

use agent_proto::livekit as proto;
use agent_proto::livekit::AudioTrackFeature;

use crate::{RoomError, TrackSource};

/// Maximum length of a track's name and of its stream's, in bytes.
const MAX_NAME_LEN: usize = 256;

/// The description of an audio track of ours.
///
/// ```
/// use agent_room::{AudioTrackOptions, TrackSource};
///
/// let options = AudioTrackOptions::new("music").source(TrackSource::ScreenShareAudio).stereo(true);
/// assert!(options.dtx);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AudioTrackOptions {
    /// The name that others see; may be empty. At most 256 bytes.
    pub name: String,
    /// The source. Default: microphone.
    pub source: TrackSource,
    /// The name of the group of tracks that others play in sync; empty: the server's default for the source.
    /// At most 256 bytes.
    pub stream: String,
    /// Whether it has two channels. Default: `false`.
    pub stereo: bool,
    /// Whether silence may be left out (DTX). Default: `true`.
    pub dtx: bool,
}

impl Default for AudioTrackOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            source: TrackSource::Microphone,
            stream: String::new(),
            stereo: false,
            dtx: true,
        }
    }
}

impl AudioTrackOptions {
    /// A track of this name; everything else is the default.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets the source.
    #[must_use]
    pub fn source(mut self, source: TrackSource) -> Self {
        self.source = source;
        self
    }

    /// Sets the group of tracks that others play in sync.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = stream.into();
        self
    }

    /// Sets whether it has two channels.
    #[must_use]
    pub fn stereo(mut self, stereo: bool) -> Self {
        self.stereo = stereo;
        self
    }

    /// Sets whether silence may be left out.
    #[must_use]
    pub fn dtx(mut self, dtx: bool) -> Self {
        self.dtx = dtx;
        self
    }

    /// Checks the lengths of the names.
    ///
    /// # Errors
    /// [`RoomError::TrackNameTooLong`]
    pub fn check(&self) -> Result<(), RoomError> {
        check_names(&self.name, &self.stream)
    }

    /// The request to the server. Redundant encoding is off, as frames are sent as they are.
    pub(super) fn request(&self, cid: &str, muted: bool) -> proto::AddTrackRequest {
        let stereo = self.stereo.then_some(AudioTrackFeature::TfStereo as i32);
        let no_dtx = (!self.dtx).then_some(AudioTrackFeature::TfNoDtx as i32);
        proto::AddTrackRequest {
            cid: cid.to_owned(),
            name: self.name.clone(),
            r#type: proto::TrackType::Audio as i32,
            muted,
            source: self.source.into(),
            disable_red: true,
            stream: self.stream.clone(),
            audio_features: stereo.into_iter().chain(no_dtx).collect(),
            ..Default::default()
        }
    }
}

/// Checks the names of a track and of its stream.
pub(super) fn check_names(name: &str, stream: &str) -> Result<(), RoomError> {
    match name.len().max(stream.len()) {
        0..=MAX_NAME_LEN => Ok(()),
        len => Err(RoomError::TrackNameTooLong { len }),
    }
}
