//! Commands that a driver may send to a joined room.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    DataTrackFrame, E2eeKey, RpcError, RpcRequestId, StreamOptions, SubscriptionChange, TrackOptions,
};

/// Identifies a command and its result. Chosen by the driver and returned by the machine.
pub type CommandId = u64;

/// A command in the room. Its result is only whether it was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RoomCommand {
    /// Send a data message. Done when the data channel has accepted it, not when it has arrived.
    Publish(Publish),
    /// Send a whole content as a stream: in one packet or in many, compressed or not, as its recipients can
    /// read it. Done when the data channel has accepted all of it, not when it has arrived.
    SendStream {
        /// Its description.
        options: Box<StreamOptions>,
        /// The content; of a text, UTF-8.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
        content: Bytes,
    },
    /// Open a stream that is written in parts. Done when the data channel has accepted its header.
    OpenStream(Box<StreamOptions>),
    /// Write the next part of such a stream. Done when the data channel has accepted it.
    WriteStream {
        /// The command that opened the stream.
        stream: CommandId,
        /// The content; of a text, UTF-8.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
        content: Bytes,
    },
    /// End such a stream after what was written. Done when the data channel has accepted its end.
    CloseStream {
        /// The command that opened the stream.
        stream: CommandId,
        /// Why it is not complete; empty: it is.
        reason: String,
        /// Key-value pairs for the recipients, which replace those of the header.
        attributes: BTreeMap<String, String>,
    },
    /// Accept requests to this method from now on, as [`Output::Requested`](crate::Output::Requested); those
    /// to other methods are refused.
    RegisterMethod(String),
    /// Refuse requests to this method again.
    UnregisterMethod(String),
    /// Respond to a request.
    Respond {
        /// The request.
        request: RpcRequestId,
        /// The response, or the error.
        result: Result<String, RpcError>,
    },
    /// Send a telephone key to SIP participants. Done when the data channel has accepted it.
    SendDtmf {
        /// One of `0`–`9`, `*`, `#` and `A`–`D`; its code follows from it (RFC 4733).
        digit: char,
        /// The identities of the recipients; empty: everybody.
        destinations: Vec<String>,
    },
    /// Publish a data track. Done when the server has published it.
    PublishDataTrack {
        /// Its name, 1 to 256 bytes; no other data track of ours has it.
        name: String,
    },
    /// Send a frame of such a track. Done when the data channel has accepted it; not all frames arrive.
    /// While the connection is being re-established with a new session, it is dropped.
    PushDataFrame {
        /// The command that published the track.
        track: CommandId,
        /// The frame.
        frame: DataTrackFrame,
    },
    /// End such a track.
    UnpublishDataTrack {
        /// The command that published the track.
        track: CommandId,
    },
    /// Receive the frames of a data track of another participant, as
    /// [`Output::DataFrame`](crate::Output::DataFrame), until it is unpublished or all subscriptions to it
    /// have ended.
    SubscribeDataTrack {
        /// The track's sid.
        sid: String,
    },
    /// End such a subscription.
    UnsubscribeDataTrack {
        /// The command that subscribed.
        subscription: CommandId,
    },
    /// Publish an audio or video track. Done when its frames can be sent, as
    /// [`Input::SendFrame`](crate::Input::SendFrame); [`Output::LocalTrack`](crate::Output::LocalTrack) with
    /// its sid comes before that. After a new session it is published again by itself.
    PublishTrack {
        /// Its description.
        options: TrackOptions,
    },
    /// End such a track.
    UnpublishTrack {
        /// The command that published the track.
        track: CommandId,
    },
    /// Mute or unmute such a track: while it is muted its frames are not sent.
    MuteTrack {
        /// The command that published the track.
        track: CommandId,
        /// Whether it is muted.
        muted: bool,
    },
    /// Change what is received of a track of another participant. Done when it was noted, and requested if
    /// there is a connection; the server reports the result as events.
    ChangeSubscription {
        /// The track's sid.
        track_sid: String,
        /// The change.
        change: SubscriptionChange,
    },
    /// Request a key frame of a video track of another participant that is read, now and until one comes, at
    /// most once a second. Done at once.
    RequestKeyFrame {
        /// The track's sid.
        track_sid: String,
    },
    /// Forget what was chosen by hand for the tracks of others.
    ResetSubscriptions {
        /// By commands with smaller ids than this.
        before: CommandId,
    },
    /// Set a key of end-to-end encryption. Done at once.
    SetE2eeKey {
        /// The identity of another participant, whose own key it is. `None`: the key with which we encrypt,
        /// and with a shared key that of everybody.
        participant: Option<String>,
        /// Its index, which counts modulo 16.
        index: u8,
        /// The key.
        key: E2eeKey,
    },
    /// Encrypt with the key of this index from now on. Done at once.
    UseE2eeKey {
        /// Its index.
        index: u8,
    },
    /// Encrypt with the key that follows the one of this index, which others find by themselves. Done at
    /// once.
    RatchetE2eeKey {
        /// Its index.
        index: u8,
    },
    /// Replace our own metadata. An empty text changes nothing: the protocol cannot clear it.
    SetMetadata(String),
    /// Replace our own name. An empty text changes nothing: the protocol cannot clear it.
    SetName(String),
    /// Set these of our own attributes; an empty value deletes its key, other keys are kept.
    SetAttributes(BTreeMap<String, String>),
    /// Leave the room. Done when the server was notified; then the machine is closed.
    Leave,
}

/// A data message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Publish {
    /// The payload, at most [`MAX_PAYLOAD_LEN`](crate::MAX_PAYLOAD_LEN) bytes.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
    pub payload: Bytes,
    /// The topic; may be empty.
    pub topic: String,
    /// The identities of the recipients; empty: everybody.
    pub destinations: Vec<String>,
    /// Whether it is ordered and retransmitted until it arrives; otherwise it is sent once.
    pub reliable: bool,
}

impl Publish {
    /// A reliable message to everybody.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), topic: topic.into(), destinations: Vec::new(), reliable: true }
    }
}
