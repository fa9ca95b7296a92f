//! What was sent in a mock room, as tests look at it.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

/// A data message that was sent in a [`MockRoom`].
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
