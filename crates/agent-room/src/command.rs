//! What a driver may ask of a joined room.

use bytes::Bytes;
use std::collections::BTreeMap;

/// The longest payload of one data message, in bytes.
///
/// A packet must fit the server's message limit of 65,535 bytes together with its topic and addresses.
pub const MAX_PAYLOAD_LEN: usize = 64_000;

/// The longest packet that a server takes, in bytes: payload, topic and destinations together.
pub const MAX_PACKET_LEN: usize = 65_535;

/// The longest change of our own metadata, name or attributes that is sent, in bytes.
///
/// A server takes 512 KiB of metadata and 64 KiB of attributes, unless it is configured otherwise. One that is longer than a frame of
/// the connection may be would end the connection.
pub const MAX_CHANGE_LEN: usize = 1024 * 1024;

/// Names one command, so that its result can be told. The driver makes it; the machine gives it back.
pub type CommandId = u64;

/// What to do in the room. Each is answered with nothing but whether it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RoomCommand {
    /// Send a data message. Done when the data channel has taken it, not when it has arrived.
    Publish(Publish),
    /// Replace our own metadata. An empty text changes nothing: the protocol cannot clear it.
    SetMetadata(String),
    /// Replace our own name. An empty text changes nothing: the protocol cannot clear it.
    SetName(String),
    /// Set these of our own attributes; an empty value deletes its key, other keys stay.
    SetAttributes(BTreeMap<String, String>),
    /// Leave the room. Done when the server has been told; then the machine is closed.
    Leave,
}

/// A data message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Publish {
    /// At most [`MAX_PAYLOAD_LEN`] bytes.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
    pub payload: Bytes,
    /// What it is about; may be empty.
    pub topic: String,
    /// Who is to get it, by identity; empty: everybody.
    pub destinations: Vec<String>,
    /// In order and repeated until it arrives, or sent once.
    pub reliable: bool,
}

impl Publish {
    /// A reliable message to everybody.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), topic: topic.into(), destinations: Vec::new(), reliable: true }
    }
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum RoomError {
    /// The payload is over [`MAX_PAYLOAD_LEN`].
    #[error("the payload of {len} bytes is over the limit of {MAX_PAYLOAD_LEN} bytes; split it")]
    PayloadTooLarge {
        /// Its length, in bytes.
        len: usize,
    },
    /// Payload, topic and destinations together do not fit a packet.
    #[error(
        "payload, topic and destinations make a packet of {len} bytes, over the limit of {limit} bytes; shorten them"
    )]
    PacketTooLarge {
        /// Length of the packet, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// New metadata, a name or attributes are over [`MAX_CHANGE_LEN`].
    #[error(
        "metadata, name or attributes of {len} bytes are over the limit of {MAX_CHANGE_LEN} bytes; shorten them"
    )]
    ChangeTooLarge {
        /// Their length, in bytes.
        len: usize,
    },
    /// Too much is waiting to be sent or answered.
    #[error("too much waits to be sent; slow down, or try again later")]
    QueueFull,
    /// The token or the permissions do not allow it.
    #[error(
        "not allowed: {detail}; the token needs the matching grant (`.permissions(…)` of the worker that was given the job)"
    )]
    NotAllowed {
        /// What the server said.
        detail: String,
    },
    /// It is longer than the server takes.
    #[error("over a limit of the server: {detail}; shorten it")]
    OverLimit {
        /// What the server said.
        detail: String,
    },
    /// The server refused it.
    #[error("refused by the server: {detail}")]
    Refused {
        /// What the server said.
        detail: String,
    },
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The attempt is over that the room's handle belongs to.
    #[error("the attempt of this room handle is over: use the one of the current attempt (`ctx.room()`)")]
    AttemptOver,
    /// There is no room (any more).
    #[error("not in the room: it was left, or it is over")]
    NotConnected,
}
