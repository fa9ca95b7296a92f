//! The header of a stream, in types of our own.

use std::collections::BTreeMap;

use agent_proto::livekit as proto;

use proto::data_stream::header::ContentHeader;
use proto::data_stream::{ByteHeader, CompressionType, Header, OperationType, TextHeader};

/// The MIME type of texts.
const TEXT_MIME_TYPE: &str = "text/plain";
/// The MIME type of bytes of an unknown type.
const BYTES_MIME_TYPE: &str = "application/octet-stream";
/// The name of bytes without one.
const UNNAMED: &str = "unknown";

/// Description of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StreamInfo {
    /// The sender's id of the stream.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// Identity of the participant whose content it is: the sender, or the one for whom an agent sends it,
    /// as the transcription of a person's speech. Empty if it was sent through the server API.
    pub sender: String,
    /// When the sender began it, in milliseconds since 1970 on the sender's clock.
    pub timestamp_ms: i64,
    /// The MIME type of the content.
    pub mime_type: String,
    /// The length of the content, in bytes, if the sender knew it.
    pub total_length: Option<u64>,
    /// Key-value pairs of the header. Those of the trailer follow at the end.
    pub attributes: BTreeMap<String, String>,
    /// Text or bytes.
    pub kind: StreamKind,
    /// Whether the content is compressed on the wire.
    pub compressed: bool,
}

/// The kind of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StreamKind {
    /// Text, as UTF-8.
    Text(TextStreamInfo),
    /// Bytes, for example a file.
    Bytes {
        /// A name, for example that of the file. It is the sender's text: do not use it as a path.
        name: String,
    },
}

/// Description of a text stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TextStreamInfo {
    /// What the text does.
    pub operation: TextOperation,
    /// The version of a text that is updated.
    pub version: i32,
    /// The id of the stream that this one replies to; empty: none.
    pub reply_to: String,
    /// The ids of byte streams that belong to the text.
    pub attached: Vec<String>,
    /// Whether an agent made the text from a participant's speech.
    pub generated: bool,
}

/// What a text does to earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TextOperation {
    /// A new text.
    #[default]
    Create,
    /// It replaces an earlier text.
    Update,
    /// It deletes an earlier text.
    Delete,
    /// It is a reaction to an earlier text.
    Reaction,
}

impl StreamInfo {
    /// A stream of this kind on a topic; everything else is empty.
    #[must_use]
    pub fn new(id: impl Into<String>, topic: impl Into<String>, kind: StreamKind) -> Self {
        let mime_type = match &kind {
            StreamKind::Text(_) => TEXT_MIME_TYPE,
            StreamKind::Bytes { .. } => BYTES_MIME_TYPE,
        };
        Self {
            id: id.into(),
            topic: topic.into(),
            sender: String::new(),
            timestamp_ms: 0,
            mime_type: mime_type.to_owned(),
            total_length: None,
            attributes: BTreeMap::new(),
            kind,
            compressed: false,
        }
    }

    /// Reads a header. The inner `Err` is the number of a compression that this version does not know.
    /// `None`: the header is neither for text nor for bytes.
    pub(super) fn from_wire(header: Header, sender: String) -> Option<(Self, Result<(), i32>)> {
        let kind = match header.content_header? {
            ContentHeader::TextHeader(text) => StreamKind::Text(text.into()),
            ContentHeader::ByteHeader(bytes) => StreamKind::Bytes { name: bytes.name },
        };
        let (compressed, known) = match CompressionType::try_from(header.compression) {
            Ok(CompressionType::None) => (false, Ok(())),
            Ok(CompressionType::DeflateRaw) => (true, Ok(())),
            Err(_) => (false, Err(header.compression)),
        };
        let info = Self {
            id: header.stream_id,
            topic: header.topic,
            sender,
            timestamp_ms: header.timestamp,
            mime_type: header.mime_type,
            total_length: header.total_length,
            attributes: header.attributes,
            kind,
            compressed,
        };
        Some((info, known))
    }

    /// The header, without content.
    pub(crate) fn to_wire(&self) -> Header {
        let compression = if self.compressed { CompressionType::DeflateRaw } else { CompressionType::None };
        let content_header = match &self.kind {
            StreamKind::Text(text) => ContentHeader::TextHeader(TextHeader {
                operation_type: OperationType::from(text.operation) as i32,
                version: text.version,
                reply_to_stream_id: text.reply_to.clone(),
                attached_stream_ids: text.attached.clone(),
                generated: text.generated,
            }),
            StreamKind::Bytes { name } => ContentHeader::ByteHeader(ByteHeader { name: name.clone() }),
        };
        Header {
            stream_id: self.id.clone(),
            timestamp: self.timestamp_ms,
            topic: self.topic.clone(),
            mime_type: self.mime_type.clone(),
            total_length: self.total_length,
            attributes: self.attributes.clone(),
            compression: compression as i32,
            content_header: Some(content_header),
            ..Header::default()
        }
    }

    /// Whether it is a text stream.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self.kind, StreamKind::Text(_))
    }

    /// The name of bytes, for example that of a file; `None`: it is a text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            StreamKind::Text(_) => None,
            StreamKind::Bytes { name } => Some(name),
        }
    }

    /// The memory of its texts, in bytes.
    pub(super) fn weight(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|(key, value)| key.len() + value.len()).sum();
        let kind = match &self.kind {
            StreamKind::Text(text) => {
                text.reply_to.len()
                    + text.attached.iter().map(|id| id.len() + size_of::<String>()).sum::<usize>()
            }
            StreamKind::Bytes { name } => name.len(),
        };
        size_of::<Self>()
            + self.id.len()
            + self.topic.len()
            + self.sender.len()
            + self.mime_type.len()
            + attributes
            + kind
    }
}

impl StreamKind {
    /// Bytes without a name.
    #[must_use]
    pub fn bytes() -> Self {
        Self::Bytes { name: UNNAMED.to_owned() }
    }

    /// A new text.
    #[must_use]
    pub fn text() -> Self {
        Self::Text(TextStreamInfo::default())
    }
}

impl From<TextHeader> for TextStreamInfo {
    fn from(header: TextHeader) -> Self {
        Self {
            operation: header.operation_type().into(),
            version: header.version,
            reply_to: header.reply_to_stream_id,
            attached: header.attached_stream_ids,
            generated: header.generated,
        }
    }
}

impl From<OperationType> for TextOperation {
    fn from(operation: OperationType) -> Self {
        match operation {
            OperationType::Create => Self::Create,
            OperationType::Update => Self::Update,
            OperationType::Delete => Self::Delete,
            OperationType::Reaction => Self::Reaction,
        }
    }
}

impl From<TextOperation> for OperationType {
    fn from(operation: TextOperation) -> Self {
        match operation {
            TextOperation::Create => Self::Create,
            TextOperation::Update => Self::Update,
            TextOperation::Delete => Self::Delete,
            TextOperation::Reaction => Self::Reaction,
        }
    }
}
