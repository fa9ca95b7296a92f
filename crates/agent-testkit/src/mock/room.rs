//! Rooms without a network: the test plays the participants, and inspects what the agent does.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use agent_proto::Time;
use agent_proto::text::owned_pairs;
use agent_server::{
    Change, ChangeParticipant, CloseRoom, Grant, Input, MemberCommand, MemberId, MuteTrack, OpenRoom,
    PublishTrack, Refusal, RemoveParticipant, SendData, Server, SetRoomMetadata, Stay, UnpublishTrack,
};
use agent_server::{FrameReceiver, Hub, JoinRefusal, MemberEvent, read_token};
use agent_worker::net::ConnectError;
use agent_worker::room::{
    DisconnectReason, EncodedFrame, FrameSender, JoinError, JoinFailure, JoinRequest, Participant,
    ParticipantKind, Permissions, Publish, RoomBackend, RoomCommand, RoomConnector, RoomError, RoomRequest,
    Speaker, TrackKind, TrackSource,
};
use agent_worker::{BoxFuture, Room, RoomEvent};

/// A room of a [`MockServer`](crate::MockServer), as a test uses it. Clones are the same room.
///
/// The agent in it has the same [`Room`] as in production. Of media it receives the encoded frames that the
/// test sends ([`MockParticipant::send_frame`]).
#[derive(Clone)]
pub struct MockRoom {
    hub: Arc<Hub>,
    name: String,
}

/// A participant that a test plays. It stays until it [leaves](Self::leave), also when this handle is
/// dropped.
#[derive(Clone)]
pub struct MockParticipant {
    hub: Arc<Hub>,
    room: String,
    identity: String,
}

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

/// Joins the rooms of a [`MockServer`](crate::MockServer), instead of WebRTC.
#[derive(Clone)]
pub struct MockConnector {
    hub: Arc<Hub>,
}

impl MockRoom {
    pub(crate) fn new(hub: Arc<Hub>, name: impl Into<String>) -> Self {
        Self { hub, name: name.into() }
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
    pub fn join(&self, identity: impl Into<String>) -> MockParticipant {
        self.join_as(Participant::new("", identity))
    }

    /// Joins as a participant with this name, metadata and attributes, and as an agent if that is its kind;
    /// the server chooses the id.
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
        // An identity that the server refuses makes a participant who is not in the room, which every check
        // of it shows.
        let _ = self.hub.join_silently(grant);
        MockParticipant { hub: self.hub.clone(), room: self.name.clone(), identity }
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
    pub async fn wait_for_data(&self, mut predicate: impl FnMut(&SentData) -> bool) -> SentData {
        let mut changes = self.hub.changes();
        loop {
            changes.borrow_and_update();
            if let Some(found) = self.sent().into_iter().find(|sent| predicate(sent)) {
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

impl MockParticipant {
    /// The identity, unique in the room.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Sends data reliably to everybody in the room. Does nothing after it has left.
    pub fn send_data(&self, topic: impl Into<String>, payload: impl Into<Bytes>) {
        self.command(RoomCommand::Publish(Publish::new(topic, payload)));
    }

    /// Sends a telephone key (DTMF) to everybody in the room, as a SIP participant does. Does nothing after
    /// it has left, or if it is none of `0`–`9`, `*`, `#` and `A`–`D`. What an agent sends is a
    /// [`ServerEvent::Dtmf`](crate::ServerEvent::Dtmf).
    pub fn send_dtmf(&self, digit: char) {
        self.command(RoomCommand::SendDtmf { digit, destinations: Vec::new() });
    }

    /// Sets these attributes; an empty value removes its key.
    pub fn set_attributes<K: Into<String>, V: Into<String>>(
        &self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) {
        let attributes = owned_pairs(attributes).collect();
        self.change(Change { attributes, ..Change::default() });
    }

    /// Replaces its metadata.
    pub fn set_metadata(&self, metadata: impl Into<String>) {
        self.change(Change { metadata: Some(metadata.into()), ..Change::default() });
    }

    /// Replaces its name.
    pub fn set_name(&self, name: impl Into<String>) {
        self.change(Change { name: Some(name.into()), ..Change::default() });
    }

    /// Publishes a microphone track, for [frames](Self::send_frame) of the test; returns its sid, empty if
    /// the participant is not in the room.
    pub fn publish_microphone(&self) -> String {
        self.publish("microphone", TrackKind::Audio, TrackSource::Microphone)
    }

    /// Publishes a camera track without media; returns its sid, empty if the participant is not in the room.
    pub fn publish_camera(&self) -> String {
        self.publish("camera", TrackKind::Video, TrackSource::Camera)
    }

    /// Publishes a track; returns its sid, empty if the participant is not in the room.
    pub fn publish(&self, name: impl Into<String>, kind: TrackKind, source: TrackSource) -> String {
        let (room, identity) = self.names();
        let publish = PublishTrack { room, identity, name: name.into(), kind, source };
        self.hub.call(publish).map(|track| track.sid).unwrap_or_default()
    }

    /// Sends an encoded frame of an audio track that it publishes, which is in the streams of its readers
    /// when this returns. It is not delivered while the track is muted.
    ///
    /// ```
    /// use agent_testkit::{JobSpec, run_job};
    /// use agent_worker::room::EncodedFrame;
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// /// Counts the bytes of the first three frames.
    /// async fn listen(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = events.next().await {
    ///         let RoomEvent::TrackSubscribed { track, .. } = event else { continue };
    ///         let mut frames = ctx.room().encoded_audio(&track.sid)?;
    ///         ctx.room().publish_data("status", "listening").await?;
    ///         let mut bytes = 0;
    ///         for _ in 0..3 {
    ///             bytes += frames.next().await.ok_or("the track ended")?.payload.len();
    ///         }
    ///         ctx.room().publish_data("status", bytes.to_string()).await?;
    ///         break;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let job = JobSpec::room("lobby").script(|room| async move {
    ///     let ada = room.join("ada");
    ///     let microphone = ada.publish_microphone();
    ///     room.wait_for_data(|sent| sent.text() == "listening").await;
    ///     for (number, payload) in ["one", "two", "three"].into_iter().enumerate() {
    ///         ada.send_frame(&microphone, EncodedFrame::new(payload, number as u64, number as u32 * 960));
    ///     }
    /// });
    /// let run = run_job(listen, job).await;
    /// run.assert_success();
    /// assert_eq!(run.sent_by_agent().last().unwrap().text(), "11");
    /// # });
    /// ```
    pub fn send_frame(&self, track_sid: &str, frame: EncodedFrame) {
        self.hub.send_frame(&self.room, &self.identity, track_sid, frame);
    }

    /// Waits until an agent reads this audio track of it: the [frames](Self::send_frame) that are sent from
    /// then on arrive. If none ever does, it waits without end; the test ends when its job does.
    pub async fn wait_for_reader(&self, track_sid: &str) {
        self.hub.wait_for_reader(&self.room, &self.identity, track_sid).await;
    }

    /// Unpublishes a track.
    pub fn unpublish(&self, track_sid: &str) {
        let (room, identity) = self.names();
        let _ = self.hub.call(UnpublishTrack { room, identity, sid: track_sid.to_owned() });
    }

    /// Mutes or unmutes a track.
    pub fn mute(&self, track_sid: &str, muted: bool) {
        let (room, identity) = self.names();
        let _ = self.hub.call(MuteTrack { room, identity, sid: track_sid.to_owned(), muted });
    }

    /// The data messages that it received: those sent to it or to everybody, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<SentData> {
        let for_me = |sent: &SentData| {
            sent.sender.as_ref() != Some(&self.identity)
                && (sent.to.is_empty() || sent.to.contains(&self.identity))
        };
        MockRoom::new(self.hub.clone(), &self.room).sent().into_iter().filter(for_me).collect()
    }

    /// Leaves the room. When no people are left, the room closes 20 s later.
    pub fn leave(&self) {
        MockRoom::new(self.hub.clone(), &self.room).leave(&self.identity, DisconnectReason::ClientInitiated);
    }

    fn command(&self, command: RoomCommand) {
        if let Some(member) = self.hub.inspect(|server| server.member_of(&self.room, &self.identity)) {
            // Only values that are too large or do not exist are refused.
            let _ = self.hub.call(MemberCommand { member, id: 0, command });
        }
    }

    fn change(&self, change: Change) {
        let (room, identity) = self.names();
        let _ = self.hub.call(ChangeParticipant { room, identity, change });
    }

    fn names(&self) -> (String, String) {
        (self.room.clone(), self.identity.clone())
    }
}

impl MockConnector {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

impl RoomConnector for MockConnector {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        let unauthorized = |detail: &str| {
            JoinError::Failed(JoinFailure::Unauthorized { status: 401, detail: detail.to_owned() })
        };
        Box::pin(async move {
            if let Some(refusal) = self.hub.refuse_join() {
                return Err(refused(refusal).into());
            }
            let grant = read_token(&request.token, &self.hub.api_secret).ok_or_else(|| {
                unauthorized("this token does not permit joining a room of the mock server")
            })?;
            let stay = self.hub.join(grant, request.auto_subscribe);
            let Stay { member, connected, events } =
                stay.map_err(|refusal| unauthorized(&refusal.to_string()))?;
            let (room, backend) = RoomBackend::new(connected);
            self.hub.receive_frames(member, Frames(Mutex::new(backend.frames())));
            tokio::spawn(play(self.hub.clone(), member, backend, events));
            Ok(room)
        })
    }
}

/// The frames that an agent is sent.
struct Frames(Mutex<FrameSender>);

impl Frames {
    fn lock(&self) -> MutexGuard<'_, FrameSender> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameReceiver for Frames {
    fn receive(&self, track_sid: &str, frame: EncodedFrame) {
        self.lock().send(track_sid, frame);
    }

    fn reader(&self, track_sid: &str) -> BoxFuture<'static, ()> {
        Box::pin(self.lock().reader(track_sid))
    }
}

/// The error of a WebSocket that was refused with this response.
fn refused(refusal: JoinRefusal) -> ConnectError {
    ConnectError::Refused {
        endpoint: "the mock server".to_owned(),
        status: refusal.status,
        body: JoinRefusal::TEXT.trim_end().to_owned(),
        location: None,
        retry_after: refusal.retry_after_secs().map(Duration::from_secs),
    }
}

/// Forwards events and requests until the member has left its room.
async fn play(
    hub: Arc<Hub>,
    member: MemberId,
    mut backend: RoomBackend,
    mut events: mpsc::UnboundedReceiver<MemberEvent>,
) {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => {
                let Some(event) = event else { return };
                // A room has no readers of streams and no methods yet.
                let MemberEvent::Room(event) = event else { continue };
                let is_last = matches!(event, RoomEvent::Disconnected { .. });
                backend.emit(event);
                if is_last {
                    return;
                }
            }
            request = backend.next_request() => match request {
                Some(RoomRequest::Command { id, command, reply }) => {
                    reply.send(hub.call(MemberCommand { member, id, command }).map_err(room_error));
                }
                Some(RoomRequest::Call { reply, .. }) => {
                    let detail = "this server carries no RPC".to_owned();
                    reply.send(Err(RoomError::Refused { detail }.into()));
                }
                // All handles of the room were dropped.
                None => hub.input(Input::MemberLeft { member, reason: DisconnectReason::ClientInitiated }),
            },
        }
    }
}

/// The reason why a command was not carried out, as the room handle's error.
fn room_error(refusal: Refusal) -> RoomError {
    match refusal {
        Refusal::Command(error) => error,
        refusal => RoomError::Refused { detail: refusal.to_string() },
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

impl fmt::Debug for MockRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockRoom").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for MockParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockParticipant")
            .field("room", &self.room)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MockConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockConnector").finish_non_exhaustive()
    }
}
