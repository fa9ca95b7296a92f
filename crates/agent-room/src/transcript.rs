//! Transcriptions of speech, as text streams of a topic that agents and front ends agree on.
//!
//! A segment is speech without a longer pause. An agent's own speech is one stream for each
//! segment, written as it is spoken. The speech of others is a whole stream for each version of its text,
//! sent for the participant who speaks; the last one is final.

use std::collections::BTreeMap;

use crate::{StreamInfo, StreamKind, StreamOptions};

/// The topic of the chat of front ends.
pub const CHAT_TOPIC: &str = "lk.chat";
/// The topic of transcriptions.
pub const TRANSCRIPTION_TOPIC: &str = "lk.transcription";

const SEGMENT_ID: &str = "lk.segment_id";
const TRACK_ID: &str = "lk.transcribed_track_id";
const FINAL: &str = "lk.transcription_final";

/// The segment of speech that a text stream transcribes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SpeechSegment {
    /// The id of the segment, which all versions of its text have.
    pub id: String,
    /// Identity of the participant who speaks.
    pub speaker: String,
    /// The sid of the track with the speech; empty: unknown.
    pub track_sid: String,
}

impl SpeechSegment {
    /// A segment of this speaker.
    #[must_use]
    pub fn new(id: impl Into<String>, speaker: impl Into<String>, track_sid: impl Into<String>) -> Self {
        Self { id: id.into(), speaker: speaker.into(), track_sid: track_sid.into() }
    }

    /// The segment of a received stream. The id of the stream replaces a missing id.
    #[must_use]
    pub fn of(info: &StreamInfo) -> Self {
        let text = |key: &str| info.attributes.get(key).filter(|value| !value.is_empty()).cloned();
        Self {
            id: text(SEGMENT_ID).unwrap_or_else(|| info.id.clone()),
            speaker: info.sender.clone(),
            track_sid: text(TRACK_ID).unwrap_or_default(),
        }
    }

    /// A stream of its text: of ourselves, or of another speaker.
    #[must_use]
    pub fn stream(&self, stream_id: impl Into<String>, own: bool, is_final: bool) -> StreamOptions {
        let mut options = StreamOptions::new(stream_id, TRANSCRIPTION_TOPIC, StreamKind::text());
        options.attributes = final_attributes(is_final);
        options.attributes.insert(SEGMENT_ID.to_owned(), self.id.clone());
        if !self.track_sid.is_empty() {
            options.attributes.insert(TRACK_ID.to_owned(), self.track_sid.clone());
        }
        options.sender = (!own).then(|| self.speaker.clone());
        options
    }
}

/// The attributes that show whether a text is final, also at the end of a stream.
#[must_use]
pub fn final_attributes(is_final: bool) -> BTreeMap<String, String> {
    BTreeMap::from([(FINAL.to_owned(), is_final.to_string())])
}

/// Whether the text of a stream with these attributes is final. Without the attribute it is.
#[must_use]
pub fn is_final(attributes: &BTreeMap<String, String>) -> bool {
    attributes.get(FINAL).is_none_or(|value| value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let segment = SpeechSegment::new("SG_1", "ada", "TR_1");
        let options = segment.stream("id", false, false);
        assert_eq!((options.topic.as_str(), options.sender.as_deref()), (TRANSCRIPTION_TOPIC, Some("ada")));
        let mut info = StreamInfo::new("id", options.topic, options.kind);
        info.sender = "ada".to_owned();
        info.attributes = options.attributes;
        assert_eq!(SpeechSegment::of(&info), segment);
        assert!(!is_final(&info.attributes));
        info.attributes.extend(final_attributes(true));
        assert!(is_final(&info.attributes));
        assert_eq!(segment.stream("id", true, true).sender, None);
    }

    #[test]
    fn a_stream_without_attributes_is_a_final_segment_of_its_own() {
        let mut info = StreamInfo::new("id", TRANSCRIPTION_TOPIC, StreamKind::text());
        info.sender = "ada".to_owned();
        assert_eq!(SpeechSegment::of(&info), SpeechSegment::new("id", "ada", ""));
        assert!(is_final(&info.attributes));
    }
}
