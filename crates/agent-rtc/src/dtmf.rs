//! A telephone key that is sent.

use std::future::IntoFuture;

use agent_proto::BoxFuture;
use agent_room::{RoomCommand, RoomError};

use super::handle::Room;

/// A telephone key that is sent when it is awaited, from [`Room::send_dtmf`].
#[derive(Debug)]
#[must_use = "it is sent when it is awaited"]
pub struct SendDtmf {
    room: Room,
    digit: char,
    destinations: Vec<String>,
}

impl Room {
    /// Sends a telephone key (DTMF) to everybody (only SIP participants act on it), or to
    /// [some](SendDtmf::to): one of `0`–`9`, `*`, `#` and `A`–`D`.
    ///
    /// It completes when the key was passed to the network. Keys that are sent without a pause between them
    /// may be too fast for the other side.
    ///
    /// # Errors
    /// When awaited: [`RoomError::InvalidDtmf`] for another character, and others.
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.send_dtmf('5').to(["sip_+15550100"]).await
    /// # }
    /// ```
    #[doc(alias = "publish_dtmf")]
    pub fn send_dtmf(&self, digit: char) -> SendDtmf {
        SendDtmf { room: self.clone(), digit, destinations: Vec::new() }
    }
}

impl SendDtmf {
    /// Sends it to these identities only. An empty list means everybody.
    pub fn to<I: Into<String>>(mut self, identities: impl IntoIterator<Item = I>) -> Self {
        self.destinations = identities.into_iter().map(Into::into).collect();
        self
    }
}

impl IntoFuture for SendDtmf {
    type Output = Result<(), RoomError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { room, digit, destinations } = self;
        Box::pin(async move { room.command(RoomCommand::SendDtmf { digit, destinations }).await })
    }
}
