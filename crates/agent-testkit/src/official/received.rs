//! Streams, transcriptions, sound and pictures as an official client received them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};

use agent_proto::text;

use crate::Tone;

/// How much of a text is shown for debugging; it may have megabytes.
const SHOWN: usize = 200;

/// A second of sound as an official client hears it, after its jitter buffer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct OfficialSound {
    /// The publisher's identity.
    pub identity: String,
    /// The track's sid.
    pub sid: String,
    /// The frequency of a tone; of silence 0, and of other sound a number without a meaning.
    pub hertz: f64,
    /// The level (RMS) in dBFS, where a full-scale sine has -3.
    pub dbfs: f64,
    /// Number of blocks of 10 ms.
    pub blocks: u32,
    /// How many of them are silent: below -60 dBFS.
    pub silent_blocks: u32,
}

impl OfficialSound {
    /// Whether it is this tone without a gap: within 2 Hz and 1 dB.
    #[must_use]
    pub fn is(&self, tone: Tone) -> bool {
        self.silent_blocks == 0 && tone.is_like(self.hertz, self.dbfs)
    }
}

/// Pictures that an official client received, decoded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct OfficialPictures {
    /// The publisher's identity.
    pub identity: String,
    /// The track's sid.
    pub sid: String,
    /// Number of pictures since the client began to watch.
    pub frames: u64,
    /// Width of the last one, in pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Its mean brightness (Y), from 0 to 255.
    pub luma: f64,
    /// Its mean difference from blue (Cb), from 0 to 255; 128 is grey.
    pub blue: f64,
    /// Its mean difference from red (Cr), as `blue`.
    pub red: f64,
}

/// A text stream that an official client received.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OfficialTextStream {
    /// The sender's identity.
    pub identity: String,
    /// The topic.
    pub topic: String,
    /// The stream's id.
    pub id: String,
    /// The attributes, with those of the stream's end.
    pub attributes: BTreeMap<String, String>,
    /// The whole text.
    pub text: String,
}

/// A byte stream that an official client received.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OfficialByteStream {
    /// The sender's identity.
    pub identity: String,
    /// The topic.
    pub topic: String,
    /// The stream's id.
    pub id: String,
    /// The name of the file or of what else is sent.
    pub name: String,
    /// The MIME type.
    pub mime_type: String,
    /// The attributes, with those of the stream's end.
    pub attributes: BTreeMap<String, String>,
    /// The whole content.
    #[serde(deserialize_with = "base64_bytes")]
    pub payload: Vec<u8>,
}

/// A part of a transcription that an official client received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OfficialSegment {
    /// The segment's id.
    pub id: String,
    /// The text.
    pub text: String,
    /// Whether it is not replaced by another one with this id.
    pub r#final: bool,
    /// The language.
    pub language: String,
}

impl fmt::Debug for OfficialTextStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfficialTextStream")
            .field("identity", &self.identity)
            .field("topic", &self.topic)
            .field("id", &self.id)
            .field("attributes", &self.attributes)
            .field("text", &text::shorten(&self.text, SHOWN))
            .field("len", &self.text.len())
            .finish()
    }
}

impl fmt::Debug for OfficialByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfficialByteStream")
            .field("identity", &self.identity)
            .field("topic", &self.topic)
            .field("id", &self.id)
            .field("name", &self.name)
            .field("mime_type", &self.mime_type)
            .field("attributes", &self.attributes)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// Decodes the bytes of an event.
pub(super) fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
}
