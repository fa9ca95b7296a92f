//! What was sent in a mock room, as tests look at it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;
use agent_server::{RecordedCall, SentFrame, SentStream};
use agent_worker::room::{
    OutgoingFrame, OutgoingMedia, OutgoingVideoFrame, RpcError, StreamError, StreamKind, Track,
};

/// A data message that was sent in a [`MockRoom`](crate::MockRoom).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentData {
    /// The time of sending, since the server was created.
    pub at: Duration,
    /// The identity of the sender; `None`: the server's API.
    pub sender: Option<String>,
    /// The topic; may be empty.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Whether it was sent reliably.
    pub reliable: bool,
    /// The identities of the recipients; empty: everybody.
    pub to: Vec<String>,
}

impl SentData {
    /// The payload as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

impl From<agent_server::Sent> for SentData {
    fn from(sent: agent_server::Sent) -> Self {
        Self {
            at: sent.at - Time::ZERO,
            sender: sent.sender,
            topic: sent.message.topic,
            payload: sent.message.payload,
            reliable: sent.message.reliable,
            to: sent.message.destinations,
        }
    }
}

/// A text stream that was sent in a [`MockRoom`](crate::MockRoom), and is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentText {
    /// When it began, since the server was created.
    pub at: Duration,
    /// The identity of the sender.
    pub sender: String,
    /// The identity of the participant for whom an agent sent it, whom others see as its sender.
    pub on_behalf_of: Option<String>,
    /// The id of the stream.
    pub id: String,
    /// The topic; may be empty.
    pub topic: String,
    /// The text.
    pub text: String,
    /// Its attributes: those of its end replace those of its beginning.
    pub attributes: BTreeMap<String, String>,
    /// The id of the stream that it replies to; empty: none.
    pub reply_to: String,
    /// The identities of the recipients; empty: everybody.
    pub to: Vec<String>,
    /// Why it is not complete.
    pub error: Option<StreamError>,
}

/// A byte stream that was sent in a [`MockRoom`](crate::MockRoom), and is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentBytes {
    /// When it began, since the server was created.
    pub at: Duration,
    /// The identity of the sender.
    pub sender: String,
    /// The id of the stream.
    pub id: String,
    /// The topic; may be empty.
    pub topic: String,
    /// The name, for example that of a file.
    pub name: String,
    /// The MIME type.
    pub mime_type: String,
    /// The content; of a very long one that was written in parts its beginning.
    pub content: Bytes,
    /// The length of the whole content, in bytes.
    pub len: u64,
    /// Its attributes: those of its end replace those of its beginning.
    pub attributes: BTreeMap<String, String>,
    /// The identities of the recipients; empty: everybody.
    pub to: Vec<String>,
    /// Why it is not complete.
    pub error: Option<StreamError>,
}

/// A frame of an audio track that was sent in a [`MockRoom`](crate::MockRoom) with
/// [`EncodedAudioTrack`](agent_worker::room::EncodedAudioTrack).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentAudio {
    /// The time of sending, since the server was created.
    pub at: Duration,
    /// The identity of the sender.
    pub sender: String,
    /// Its track, in its state at that time.
    pub track: Track,
    /// The frame.
    pub frame: OutgoingFrame,
}

/// A frame of a video track that was sent in a [`MockRoom`](crate::MockRoom) with
/// [`EncodedVideoTrack`](agent_worker::room::EncodedVideoTrack).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentVideo {
    /// The time of sending, since the server was created.
    pub at: Duration,
    /// The identity of the sender.
    pub sender: String,
    /// Its track, in its state at that time.
    pub track: Track,
    /// The frame.
    pub frame: OutgoingVideoFrame,
}

/// A call of a method in a [`MockRoom`](crate::MockRoom) that has its result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentCall {
    /// When it was made, since the server was created.
    pub at: Duration,
    /// The identity of the caller.
    pub caller: String,
    /// The identity of the participant that was called.
    pub destination: String,
    /// The method.
    pub method: String,
    /// The argument.
    pub payload: String,
    /// The response, or the error.
    pub result: Result<String, RpcError>,
}

impl SentText {
    /// `None`: it is no text.
    pub(super) fn of(sent: SentStream) -> Option<Self> {
        let (attributes, error) = end_of(&sent);
        let StreamKind::Text(text) = &sent.info.kind else { return None };
        Some(Self {
            at: sent.at - Time::ZERO,
            on_behalf_of: Some(&sent.info.sender).filter(|other| **other != sent.sender).cloned(),
            sender: sent.sender,
            id: sent.info.id.clone(),
            topic: sent.info.topic.clone(),
            text: String::from_utf8_lossy(&sent.content).into_owned(),
            attributes,
            reply_to: text.reply_to.clone(),
            to: sent.to,
            error,
        })
    }
}

impl SentBytes {
    /// `None`: it is a text.
    pub(super) fn of(sent: SentStream) -> Option<Self> {
        let (attributes, error) = end_of(&sent);
        let StreamKind::Bytes { name } = &sent.info.kind else { return None };
        Some(Self {
            at: sent.at - Time::ZERO,
            sender: sent.sender,
            id: sent.info.id.clone(),
            topic: sent.info.topic.clone(),
            name: name.clone(),
            mime_type: sent.info.mime_type.clone(),
            content: sent.content,
            len: sent.len,
            attributes,
            to: sent.to,
            error,
        })
    }
}

/// All attributes of a stream, and why it is not complete.
fn end_of(sent: &SentStream) -> (BTreeMap<String, String>, Option<StreamError>) {
    let mut attributes = sent.info.attributes.clone();
    match &sent.result {
        Ok(trailer) => {
            attributes.extend(trailer.clone());
            (attributes, None)
        }
        Err(error) => (attributes, Some(error.clone())),
    }
}

impl SentAudio {
    /// `None`: it is no audio.
    pub(super) fn of(sent: SentFrame) -> Option<Self> {
        let SentFrame { at, sender, track, frame } = sent;
        let OutgoingMedia::Audio(frame) = frame else { return None };
        Some(Self { at: at - Time::ZERO, sender, track, frame })
    }
}

impl SentVideo {
    /// `None`: it is no video.
    pub(super) fn of(sent: SentFrame) -> Option<Self> {
        let SentFrame { at, sender, track, frame } = sent;
        let OutgoingMedia::Video(frame) = frame else { return None };
        Some(Self { at: at - Time::ZERO, sender, track, frame })
    }
}

impl From<RecordedCall> for SentCall {
    fn from(call: RecordedCall) -> Self {
        Self {
            at: call.at - Time::ZERO,
            caller: call.caller,
            destination: call.destination,
            method: call.method,
            payload: call.payload,
            result: call.result,
        }
    }
}
