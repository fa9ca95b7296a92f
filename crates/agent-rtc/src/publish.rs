//! A data message before it is sent.

use std::future::IntoFuture;

use agent_proto::BoxFuture;
use agent_room::{Publish, RoomCommand, RoomError};

use super::handle::Room;

/// A data message that is sent when it is awaited, from [`Room::publish_data`].
#[derive(Debug)]
#[must_use = "it is sent when it is awaited"]
pub struct PublishData {
    room: Room,
    message: Publish,
}

impl PublishData {
    pub(super) fn new(room: Room, message: Publish) -> Self {
        Self { room, message }
    }

    /// Sends it once, without waiting for earlier messages: for data that are soon outdated.
    pub fn lossy(mut self) -> Self {
        self.message.reliable = false;
        self
    }

    /// Sends it to these identities only. An empty list means everybody.
    pub fn to<I: Into<String>>(mut self, identities: impl IntoIterator<Item = I>) -> Self {
        self.message.destinations = identities.into_iter().map(Into::into).collect();
        self
    }
}

impl IntoFuture for PublishData {
    type Output = Result<(), RoomError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.room.command(RoomCommand::Publish(self.message)).await })
    }
}
