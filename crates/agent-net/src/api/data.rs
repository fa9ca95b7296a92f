//! Data that the server sends to the participants of a room.

use agent_proto::livekit;

use super::call::Call;
use super::client::{ServerApi, random_nonce};
use super::error::ApiError;

/// A data message to participants of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a message does nothing until it is sent"]
#[non_exhaustive]
pub struct DataMessage {
    /// The payload.
    pub payload: Vec<u8>,
    /// The topic.
    pub topic: Option<String>,
    /// Whether it may be lost or arrive out of order.
    pub lossy: bool,
    /// Identities of the recipients; empty: all participants.
    pub destinations: Vec<String>,
}

impl DataMessage {
    /// Creates a reliable message with this payload to all participants.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// Sets the topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Sends without retransmission: the message may be lost.
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }

    /// Adds a recipient. Without one, all participants receive the message.
    pub fn to(mut self, identity: impl Into<String>) -> Self {
        self.destinations.push(identity.into());
        self
    }
}

impl ServerApi {
    /// Sends data to a room without a sender.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn send_data(&self, room: &str, message: DataMessage) -> Result<(), ApiError> {
        let kind = if message.lossy {
            livekit::data_packet::Kind::Lossy
        } else {
            livekit::data_packet::Kind::Reliable
        };
        let request = livekit::SendDataRequest {
            room: room.to_owned(),
            data: message.payload.into(),
            kind: kind.into(),
            topic: message.topic,
            destination_identities: message.destinations,
            nonce: random_nonce()?.to_vec().into(),
            ..Default::default()
        };
        let _: livekit::SendDataResponse = self.call(Call::SendData, room, &request).await?;
        Ok(())
    }
}
