//! The metadata of a job: what is recorded, and as what.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use agent_worker::metadata::MetadataFormat;
use agent_worker::recording::Container;
use agent_worker::room::{Track, TrackKind, VideoChoice, VideoQuality};

/// Records participants of the room, each to files of its own.
#[derive(Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default)]
pub struct RecordingJobMetadata {
    /// The kind of file. Video that it has no place for, such as H.264 in WebM, is recorded as MP4; `ogg` has
    /// no video.
    #[garde(skip)]
    pub(super) format: Format,
    /// The video quality, of a track that is sent in several.
    #[garde(skip)]
    pub(super) quality: Quality,
    /// Excludes video.
    #[garde(skip)]
    pub(super) audio_only: bool,
    /// The ids of the tracks, `TR_…`; all tracks if none is named.
    #[garde(length(max = 32), inner(prefix("TR_")))]
    pub(super) tracks: Vec<String>,
    /// When to stop, in seconds; at the end of the room if missing.
    #[garde(range(min = 1, max = 86_400))]
    pub(super) max_duration_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Mp4,
    Webm,
    Ogg,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Quality {
    High,
    #[default]
    Medium,
    Low,
}

impl RecordingJobMetadata {
    /// What is accepted.
    pub(crate) fn accepted() -> MetadataFormat<Self> {
        MetadataFormat::or_default().validated().with_schema()
    }

    pub(crate) fn container(&self) -> Container {
        match self.format {
            Format::Mp4 => Container::Mp4,
            Format::Webm => Container::WebM,
            Format::Ogg => Container::OggOpus,
        }
    }

    /// Which of the layers of a track of video is recorded.
    pub(super) fn layer(&self) -> VideoChoice {
        VideoChoice::quality(match self.quality {
            Quality::High => VideoQuality::High,
            Quality::Medium => VideoQuality::Medium,
            Quality::Low => VideoQuality::Low,
        })
    }

    /// Whether this track is recorded.
    pub(super) fn includes(&self, track: &Track) -> bool {
        let is_wanted = match track.kind {
            TrackKind::Audio => true,
            TrackKind::Video => !self.audio_only && self.format != Format::Ogg,
            _ => false,
        };
        is_wanted && (self.tracks.is_empty() || self.tracks.contains(&track.sid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracks_that_are_recorded() {
        let includes = |text: &str| {
            let metadata: RecordingJobMetadata = serde_json::from_str(text).unwrap();
            [("TR_a", TrackKind::Audio), ("TR_v", TrackKind::Video), ("TR_d", TrackKind::Data)]
                .map(|(sid, kind)| metadata.includes(&Track::new(sid, kind)))
        };
        assert_eq!(includes("{}"), [true, true, false]);
        assert_eq!(includes(r#"{"audio_only":true}"#), [true, false, false]);
        assert_eq!(includes(r#"{"format":"ogg"}"#), [true, false, false]);
        assert_eq!(includes(r#"{"tracks":["TR_v"]}"#), [false, true, false]);
        assert_eq!(includes(r#"{"tracks":["TR_v"],"audio_only":true}"#), [false, false, false]);
    }

    #[test]
    fn the_quality_is_a_layer() {
        for (text, quality) in [("low", VideoQuality::Low), ("medium", VideoQuality::Medium)] {
            let text = format!(r#"{{"quality":"{text}"}}"#);
            let metadata: RecordingJobMetadata = serde_json::from_str(&text).unwrap();
            assert_eq!(metadata.layer(), VideoChoice::quality(quality));
        }
    }
}
