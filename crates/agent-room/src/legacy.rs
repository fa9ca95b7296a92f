//! Chat messages and transcriptions in the packets of clients that do not send them as text streams yet.

use agent_proto::livekit as proto;

/// Maximum number of segments of one transcription: clients send a few. An empty one has two bytes on the
/// wire.
const MAX_SEGMENTS: usize = 256;

/// A message of the legacy chat. Newer clients send text streams of the topic `lk.chat` instead, and some
/// send both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ChatMessage {
    /// The sender's id of the message. A message with the id of an earlier one replaces it.
    pub id: String,
    /// When it was sent, in milliseconds since 1970 on the sender's clock.
    pub timestamp_ms: i64,
    /// When it was edited last, if it replaces an earlier one.
    pub edit_timestamp_ms: Option<i64>,
    /// The text.
    pub message: String,
    /// Whether the earlier message of this id was deleted.
    pub deleted: bool,
    /// Whether an agent made the text from the speech of the participant who is named as the sender.
    pub generated: bool,
    /// The identity of the sender.
    pub sender: String,
}

impl ChatMessage {
    /// A message of this sender; everything else is empty.
    #[must_use]
    pub fn new(sender: impl Into<String>, message: impl Into<String>) -> Self {
        Self { sender: sender.into(), message: message.into(), ..Self::default() }
    }

    pub(crate) fn from_wire(chat: proto::ChatMessage, sender: String) -> Self {
        Self {
            id: chat.id,
            timestamp_ms: chat.timestamp,
            edit_timestamp_ms: chat.edit_timestamp,
            message: chat.message,
            deleted: chat.deleted,
            generated: chat.generated,
            sender,
        }
    }

    /// The length of its texts, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.id.len() + self.message.len() + self.sender.len()
    }
}

/// A transcription in the packet of an agent that does not send it as a text stream of the topic
/// `lk.transcription`, or sends both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Transcription {
    /// The identity of the agent that sent it.
    pub sender: String,
    /// The identity of the participant whose speech it is.
    pub participant: String,
    /// The sid of the track with the speech.
    pub track_sid: String,
    /// The transcribed pieces, at most 256.
    pub segments: Vec<TranscriptionSegment>,
}

/// A piece of transcribed speech. One with the id of an earlier piece replaces it, until it is final.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TranscriptionSegment {
    /// Its id.
    pub id: String,
    /// The text so far.
    pub text: String,
    /// When it begins in the track, as the sender counts; most senders leave it 0.
    pub start_time: u64,
    /// When it ends in the track, as the sender counts; most senders leave it 0.
    pub end_time: u64,
    /// Whether the text does not change any more.
    pub is_final: bool,
    /// The language; may be empty.
    pub language: String,
}

impl Transcription {
    /// `None`: it has too many segments.
    pub(crate) fn from_wire(transcription: proto::Transcription, sender: String) -> Option<Self> {
        let segments = transcription.segments;
        (segments.len() <= MAX_SEGMENTS).then(|| Self {
            sender,
            participant: transcription.transcribed_participant_identity,
            track_sid: transcription.track_id,
            segments: segments.into_iter().map(TranscriptionSegment::from_wire).collect(),
        })
    }

    /// The size of its segments and texts, in bytes.
    pub(crate) fn len(&self) -> usize {
        let segment = |segment: &TranscriptionSegment| {
            size_of::<TranscriptionSegment>() + segment.id.len() + segment.text.len() + segment.language.len()
        };
        let texts = self.sender.len() + self.participant.len() + self.track_sid.len();
        texts + self.segments.iter().map(segment).sum::<usize>()
    }
}

impl TranscriptionSegment {
    fn from_wire(segment: proto::TranscriptionSegment) -> Self {
        Self {
            id: segment.id,
            text: segment.text,
            start_time: segment.start_time,
            end_time: segment.end_time,
            is_final: segment.r#final,
            language: segment.language,
        }
    }
}
