//! Rooms without a network: the test plays the participants, and inspects what the agent does.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use agent_server::{
    CloseRoom, Grant, Hub, Input, OpenRoom, RemoveParticipant, SendData, SentStream, Server, SetRoomMetadata,
};
use agent_worker::room::{
    AutoSubscribe, DisconnectReason, Participant, ParticipantKind, Permissions, Publish, Speaker, Track,
};

use super::member::{enter_to_stay, outside};
use super::order::Order;
use super::participant::MockParticipant;
use super::sent::{SentAudio, SentBytes, SentCall, SentData, SentText, SentVideo};

/// A room of a [`MockServer`](crate::MockServer), as a test uses it. Clones are the same room.
///
/// The agent in it has the same [`Room`](agent_worker::Room) as in production. Of media it receives the
/// encoded frames that the test sends ([`MockParticipant::send_frame`]), and others receive those that it
/// sends ([`audio`](Self::audio)).
#[derive(Clone)]
pub struct MockRoom {
    hub: Arc<Hub>,
    order: Order,
    name: String,
}

impl MockRoom {
    pub(super) fn new(hub: Arc<Hub>, order: Order, name: impl Into<String>) -> Self {
        Self { hub, order, name: name.into() }
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the room if it does not exist: every worker without a name is then offered a job for it.
    pub fn open(&self) {
        // No name is refused.
        let _ = self.hub.call(OpenRoom { name: self.name.clone(), ..OpenRoom::default() });
    }

    /// Joins as a participant with all permissions. Replaces a participant with the same identity.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn join(&self, identity: impl Into<String>) -> MockParticipant {
        self.join_as(Participant::new("", identity))
    }

    /// Joins as a participant with this name, metadata and attributes, and as an agent if that is its kind;
    /// the server chooses the id.
    ///
    /// # Panics
    /// As [`join`](Self::join).
    pub fn join_as(&self, participant: Participant) -> MockParticipant {
        let mut permissions = Permissions::default();
        permissions.can_subscribe = true;
        permissions.can_publish = true;
        permissions.can_publish_data = true;
        permissions.can_update_metadata = true;
        let identity = participant.identity;
        let grant = Grant {
            room: self.name.clone(),
            identity: identity.clone(),
            name: participant.name,
            metadata: participant.metadata,
            attributes: participant.attributes,
            agent: participant.kind == ParticipantKind::Agent,
            permissions,
        };
        let room = match self.hub.join(grant, AutoSubscribe::All) {
            Ok(stay) => enter_to_stay(&self.hub, &self.order, stay),
            // Every check of the participant shows that it is not in the room.
            Err(_) => outside(&self.name, &identity),
        };
        MockParticipant::new(self.hub.clone(), self.name.clone(), identity, room)
    }

    /// The participants, including agents and hidden ones.
    #[must_use]
    pub fn participants(&self) -> Vec<Arc<Participant>> {
        self.hub.inspect(|server| server.participants(&self.name)).unwrap_or_default()
    }

    /// Waits until a participant with this identity is in the room.
    pub async fn wait_for(&self, identity: &str) -> Arc<Participant> {
        self.wait_for_one(|participant| participant.identity == identity).await
    }

    /// Waits until an agent is in the room.
    pub async fn wait_for_agent(&self) -> Arc<Participant> {
        self.wait_for_one(|participant| participant.kind == ParticipantKind::Agent).await
    }

    async fn wait_for_one(&self, is_it: impl Fn(&Participant) -> bool) -> Arc<Participant> {
        let look = |server: &Server| server.participants(&self.name)?.into_iter().find(|there| is_it(there));
        self.hub.until(look).await
    }

    /// The data messages sent in the room so far, oldest first, also after it was closed. The newest messages
    /// of all rooms are kept: at most 64 MiB, and at most the number set by
    /// [`history`](crate::MockServerBuilder::history).
    #[must_use]
    pub fn sent(&self) -> Vec<SentData> {
        self.hub.inspect(|server| server.sent_in(&self.name)).into_iter().map(SentData::from).collect()
    }

    /// Waits for the first data message that the predicate accepts, from the first message of the room on.
    pub async fn wait_for_data(&self, predicate: impl FnMut(&SentData) -> bool) -> SentData {
        self.wait_in(Self::sent, predicate).await
    }

    /// The text streams in the room that are over, oldest end first, also after it was closed. As much of
    /// them is kept as of [data messages](Self::sent).
    #[must_use]
    pub fn texts(&self) -> Vec<SentText> {
        self.sent_streams().into_iter().filter_map(SentText::of).collect()
    }

    /// Waits for the first text stream that is over and that the predicate accepts, from the first of the
    /// room on.
    pub async fn wait_for_text(&self, predicate: impl FnMut(&SentText) -> bool) -> SentText {
        self.wait_in(Self::texts, predicate).await
    }

    /// The byte streams in the room that are over, as [`texts`](Self::texts). Of one that was written in
    /// parts at most 64 MiB are kept.
    #[must_use]
    pub fn byte_streams(&self) -> Vec<SentBytes> {
        self.sent_streams().into_iter().filter_map(SentBytes::of).collect()
    }

    /// Waits for the first byte stream that is over and that the predicate accepts, from the first of the
    /// room on.
    pub async fn wait_for_bytes(&self, predicate: impl FnMut(&SentBytes) -> bool) -> SentBytes {
        self.wait_in(Self::byte_streams, predicate).await
    }

    /// The calls of methods in the room that have their result, oldest result first, also after it was
    /// closed.
    #[must_use]
    pub fn rpc_calls(&self) -> Vec<SentCall> {
        self.hub.inspect(|server| server.calls_in(&self.name)).into_iter().map(SentCall::from).collect()
    }

    /// Waits for the first call that has its result and that the predicate accepts, from the first of the
    /// room on.
    pub async fn wait_for_rpc_call(&self, predicate: impl FnMut(&SentCall) -> bool) -> SentCall {
        self.wait_in(Self::rpc_calls, predicate).await
    }

    /// Waits until a participant, perhaps an agent, publishes a track that the predicate accepts.
    pub async fn wait_for_track(&self, mut predicate: impl FnMut(&Participant, &Track) -> bool) -> Track {
        let look = |server: &Server| {
            let participants = server.participants(&self.name)?;
            participants.iter().find_map(|participant| {
                participant.tracks.values().find(|track| predicate(participant, track)).cloned()
            })
        };
        self.hub.until(look).await
    }

    /// The frames that agents sent on tracks of their own, and participants on those of
    /// [their rooms](MockParticipant::room), oldest first, also after the room was closed. As much of them is
    /// kept as of [data messages](Self::sent).
    #[must_use]
    pub fn audio(&self) -> Vec<SentAudio> {
        self.hub
            .inspect(|server| server.frames_in(&self.name))
            .into_iter()
            .filter_map(SentAudio::of)
            .collect()
    }

    /// Waits for the first such frame that the predicate accepts, from the first of the room on.
    pub async fn wait_for_audio(&self, predicate: impl FnMut(&SentAudio) -> bool) -> SentAudio {
        self.wait_in(Self::audio, predicate).await
    }

    /// As [`audio`](Self::audio), of video tracks.
    #[must_use]
    pub fn video(&self) -> Vec<SentVideo> {
        self.hub
            .inspect(|server| server.frames_in(&self.name))
            .into_iter()
            .filter_map(SentVideo::of)
            .collect()
    }

    /// Waits for the first such frame that the predicate accepts, from the first of the room on.
    pub async fn wait_for_video(&self, predicate: impl FnMut(&SentVideo) -> bool) -> SentVideo {
        self.wait_in(Self::video, predicate).await
    }

    fn sent_streams(&self) -> Vec<SentStream> {
        self.hub.inspect(|server| server.streams_in(&self.name))
    }

    async fn wait_in<T>(&self, look: impl Fn(&Self) -> Vec<T>, mut predicate: impl FnMut(&T) -> bool) -> T {
        let mut changes = self.hub.changes();
        loop {
            changes.borrow_and_update();
            if let Some(found) = look(self).into_iter().find(|sent| predicate(sent)) {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends data as the server's API does: without a sender, to everybody.
    pub fn send_data(&self, topic: impl Into<String>, payload: impl Into<Bytes>) {
        let message = Publish::new(topic, payload);
        let _ = self.hub.call(SendData { room: self.name.clone(), message });
    }

    /// Changes the room's metadata.
    pub fn set_metadata(&self, metadata: impl Into<String>) {
        let _ = self.hub.call(SetRoomMetadata { room: self.name.clone(), metadata: metadata.into() });
    }

    /// Sets the active speakers, each with a level from 0 to 1; nobody else speaks.
    pub fn speak<S: Into<String>>(&self, speakers: impl IntoIterator<Item = (S, f32)>) {
        let speakers = speakers.into_iter().map(|(who, level)| Speaker::new(who, level)).collect();
        self.hub.input(Input::SpeakersChanged { room: self.name.clone(), speakers });
    }

    /// Removes a participant, for example an agent, as the server's API does. Does nothing if it is not in
    /// the room.
    pub fn remove(&self, identity: &str) {
        self.leave(identity, DisconnectReason::Removed);
    }

    /// Loses a participant's connection for good, as after a network outage. Does nothing if it is not in the
    /// room.
    pub fn lose(&self, identity: &str) {
        self.leave(identity, DisconnectReason::ConnectionTimeout);
    }

    /// Closes the room as the server's API does: everybody is disconnected.
    pub fn delete(&self) {
        let _ = self.hub.call(CloseRoom { room: self.name.clone(), reason: DisconnectReason::RoomDeleted });
    }

    fn leave(&self, identity: &str, reason: DisconnectReason) {
        let (room, identity) = (self.name.clone(), identity.to_owned());
        let _ = self.hub.call(RemoveParticipant { room, identity, reason });
    }
}

impl fmt::Debug for MockRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockRoom").field("name", &self.name).finish_non_exhaustive()
    }
}
