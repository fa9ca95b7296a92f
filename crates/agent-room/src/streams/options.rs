//! Options of a stream of ours: its content and its recipients.

use std::collections::BTreeMap;

use super::{StreamInfo, StreamKind};

/// Description of a stream that we send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StreamOptions {
    /// The id of the stream, which no other stream in the room may have: a UUID.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// Text or bytes.
    pub kind: StreamKind,
    /// The identities of the recipients; empty: everybody.
    pub destinations: Vec<String>,
    /// Key-value pairs for the recipients. Together with everything else in the header at most 15,000 bytes.
    pub attributes: BTreeMap<String, String>,
    /// The MIME type; `None`: that of the kind.
    pub mime_type: Option<String>,
    /// For a stream that is written in parts: its whole length, if it is known. A recipient refuses a stream
    /// of another length.
    pub total_length: Option<u64>,
    /// Identity of the participant for whom we send it. Servers permit it to agents, for texts.
    pub sender: Option<String>,
    /// Whether it may be compressed, if all recipients can decompress it. Default `true`.
    pub compress: bool,
}

impl StreamOptions {
    /// A stream to everybody; everything else is empty.
    #[must_use]
    pub fn new(id: impl Into<String>, topic: impl Into<String>, kind: StreamKind) -> Self {
        Self {
            id: id.into(),
            topic: topic.into(),
            kind,
            destinations: Vec::new(),
            attributes: BTreeMap::new(),
            mime_type: None,
            total_length: None,
            sender: None,
            compress: true,
        }
    }

    /// As its recipients see it.
    pub(super) fn info(&self, timestamp_ms: i64) -> StreamInfo {
        let mut info = StreamInfo::new(&self.id, &self.topic, self.kind.clone());
        if let Some(mime_type) = &self.mime_type {
            info.mime_type.clone_from(mime_type);
        }
        info.attributes.clone_from(&self.attributes);
        info.timestamp_ms = timestamp_ms;
        info.total_length = self.total_length;
        info
    }
}
