//! What members sent and called, as it is kept for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use agent_proto::{QueueEntry, Time};
use agent_room::{OutgoingMedia, Publish, RpcError, StreamError, StreamInfo, Track};

use super::history::Entry;

/// A data message that was sent in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Time since the server was created.
    pub at: Time,
    /// The sender's identity; `None`: the server's API.
    pub sender: Option<String>,
    /// The message.
    pub message: Publish,
}

/// A text or byte stream that was sent in a room, and is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentStream {
    /// When it began: the time since the server was created.
    pub at: Time,
    /// Identity of the participant that sent it. The description's is that of the participant for whom it was
    /// sent, which may be another one.
    pub sender: String,
    /// Its description.
    pub info: Arc<StreamInfo>,
    /// The identities of the recipients; empty: everybody.
    pub to: Vec<String>,
    /// The content; of one that was written in parts perhaps only its start.
    pub content: Bytes,
    /// The length of its whole content, in bytes.
    pub len: u64,
    /// The attributes of its trailer, or why it is not complete.
    pub result: Result<BTreeMap<String, String>, StreamError>,
}

/// A frame of a track that its publisher sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFrame {
    /// Time since the server was created.
    pub at: Time,
    /// Identity of the publisher.
    pub sender: String,
    /// Its track.
    pub track: Track,
    /// The frame.
    pub frame: OutgoingMedia,
}

/// A call of a method that has its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// When it was called: the time since the server was created.
    pub at: Time,
    /// Identity of the caller.
    pub caller: String,
    /// Identity of the participant that was called.
    pub destination: String,
    /// The method.
    pub method: String,
    /// The argument.
    pub payload: String,
    /// The response, or the error.
    pub result: Result<String, RpcError>,
}

impl Entry for Sent {
    fn len(&self) -> usize {
        let to: usize = self.message.destinations.iter().map(String::len).sum();
        self.message.payload.len() + self.message.topic.len() + to
    }
}

impl Entry for SentFrame {
    fn len(&self) -> usize {
        let track = self.track.sid.len() + self.track.name.len() + self.track.mime_type.len();
        size_of::<Self>() + self.sender.len() + track + self.frame.bytes()
    }
}

impl Entry for SentStream {
    fn len(&self) -> usize {
        let pairs = |pairs: &BTreeMap<String, String>| -> usize {
            pairs.iter().map(|(key, value)| key.len() + value.len()).sum()
        };
        let to: usize = self.to.iter().map(String::len).sum();
        let trailer = self.result.as_ref().map_or(0, pairs);
        let info = self.info.id.len() + self.info.topic.len() + pairs(&self.info.attributes);
        size_of::<Self>() + size_of::<StreamInfo>() + self.content.len() + info + trailer + to
    }
}

impl Entry for RecordedCall {
    fn len(&self) -> usize {
        let result = match &self.result {
            Ok(response) => response.len(),
            Err(error) => error.message.len() + error.data.len(),
        };
        size_of::<Self>()
            + self.caller.len()
            + self.destination.len()
            + self.method.len()
            + self.payload.len()
            + result
    }
}
