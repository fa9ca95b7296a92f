//! A participant that a test plays.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use agent_proto::text::owned_pairs;
use agent_server::{
    Change, ChangeParticipant, Hub, MemberCommand, MuteTrack, PublishTrack, RemoveParticipant, Server,
    UnpublishTrack,
};
use agent_worker::Room;
use agent_worker::room::{
    DisconnectReason, MediaFrame, Publish, RoomCommand, StreamKind, StreamOptions, TrackKind, TrackSource,
};

use super::sent::SentData;

/// A participant who is subscribed to a track, from [`MockParticipant::subscribers`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackSubscriber {
    /// The participant's identity.
    pub identity: String,
    /// Whether it has not paused the track ([`Room::set_track_enabled`]): frames arrive.
    pub enabled: bool,
}

/// A participant that a test plays. It stays until it [leaves](Self::leave), also when this handle is
/// dropped.
#[derive(Clone)]
pub struct MockParticipant {
    hub: Arc<Hub>,
    room: String,
    identity: String,
    handle: Room,
}

impl MockParticipant {
    pub(super) const fn new(hub: Arc<Hub>, room: String, identity: String, handle: Room) -> Self {
        Self { hub, room, identity, handle }
    }

    /// The identity, unique in the room.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Its room, with the same methods as an agent's: it reads streams, calls methods and offers its own.
    /// Everything that it has received since its join can be read. Dropping this handle does not leave the
    /// room.
    ///
    /// ```
    /// use agent_testkit::{JobSpec, run_job};
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// /// Asks for a confirmation, and then writes a story.
    /// async fn storyteller(ctx: JobContext) -> JobResult {
    ///     let answer = ctx.room().perform_rpc("ada", "confirm", "Do you want a story?").await?;
    ///     let mut story = ctx.room().stream_text("story").attributes([("answer", answer)]).await?;
    ///     for word in ["once ", "upon ", "a ", "time"] {
    ///         story.write(word).await?;
    ///     }
    ///     story.close().await?;
    ///     Ok(())
    /// }
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let job = JobSpec::room("lobby").script(|room| async move {
    ///     let ada = room.join("ada");
    ///     let mut stories = ada.room().text_streams("story");
    ///     ada.room().register_rpc_method("confirm", |_| async { "yes" }).await.unwrap();
    ///     let story = stories.next().await.unwrap().unwrap();
    ///     assert_eq!(story.info().attributes["answer"], "yes");
    ///     assert_eq!(story.read_all().await.unwrap(), "once upon a time");
    /// });
    /// let run = run_job(storyteller, job).await;
    /// run.assert_success();
    /// assert_eq!(run.rpc_calls[0].result.as_deref(), Ok("yes"));
    /// assert_eq!(run.texts_by_agent().next().unwrap().text, "once upon a time");
    /// # });
    /// ```
    #[must_use]
    pub const fn room(&self) -> &Room {
        &self.handle
    }

    /// Sends a text, as one stream, to everybody in the room. Does nothing after it has left. For recipients,
    /// attributes and errors there is [`Room::send_text`].
    pub fn send_text(&self, topic: impl Into<String>, text: impl Into<String>) {
        self.send_stream(topic.into(), StreamKind::text(), text.into().into());
    }

    /// Sends bytes, as one stream, to everybody in the room. Does nothing after it has left. For a name,
    /// recipients and errors there is [`Room::send_bytes`].
    ///
    /// An agent keeps at most 1 MiB of streams of topics that it does not read yet: wait for a sign of it
    /// before sending more.
    pub fn send_bytes(&self, topic: impl Into<String>, bytes: impl Into<Bytes>) {
        self.send_stream(topic.into(), StreamKind::bytes(), bytes.into());
    }

    /// Sends data reliably to everybody in the room. Does nothing after it has left.
    pub fn send_data(&self, topic: impl Into<String>, payload: impl Into<Bytes>) {
        self.command(RoomCommand::Publish(Publish::new(topic, payload)));
    }

    /// Sends a telephone key (DTMF) to everybody in the room, as a SIP participant does. Does nothing after
    /// it has left, or if it is none of `0`–`9`, `*`, `#` and `A`–`D`. A key that an agent sends is a
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

    /// Publishes a camera track, for [frames](Self::send_frame) of the test; returns its sid, empty if the
    /// participant is not in the room.
    pub fn publish_camera(&self) -> String {
        self.publish("camera", TrackKind::Video, TrackSource::Camera)
    }

    /// Publishes a track; returns its sid, empty if the participant is not in the room.
    pub fn publish(&self, name: impl Into<String>, kind: TrackKind, source: TrackSource) -> String {
        let (room, identity) = self.names();
        let publish = PublishTrack { room, identity, name: name.into(), kind, source };
        self.hub.call(publish).map(|track| track.sid).unwrap_or_default()
    }

    /// Sends an encoded frame of a track that it publishes, an
    /// [`EncodedFrame`](agent_worker::room::EncodedFrame) of an audio track or an
    /// [`EncodedVideoFrame`](agent_worker::room::EncodedVideoFrame) of a video track, which is in the streams
    /// of its readers when this returns. It is not delivered while the track is muted, nor to those who are
    /// not subscribed or have paused it.
    ///
    /// ```
    /// use agent_testkit::{JobSpec, run_job};
    /// use agent_worker::room::EncodedFrame;
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// /// Counts the bytes of the first three frames.
    /// async fn listen(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
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
    pub fn send_frame(&self, track_sid: &str, frame: impl Into<MediaFrame>) {
        self.hub.send_frame(&self.room, &self.identity, track_sid, frame);
    }

    /// Waits until an agent reads this track of it: the [frames](Self::send_frame) that are sent from
    /// then on arrive. If none ever does, it waits without end; the test ends when its job does.
    pub async fn wait_for_reader(&self, track_sid: &str) {
        self.hub.wait_for_reader(&self.room, &self.identity, track_sid).await;
    }

    /// The participants that are subscribed to this track of it, by identity. Agents are, unless their
    /// [`auto_subscribe`](agent_worker::room::JoinOptions::auto_subscribe) or a choice by hand excludes it.
    #[must_use]
    pub fn subscribers(&self, track_sid: &str) -> Vec<TrackSubscriber> {
        self.hub.inspect(|server| self.subscribers_on(server, track_sid))
    }

    /// Waits until the predicate accepts the subscribers of a track.
    pub async fn wait_for_subscribers(
        &self,
        track_sid: &str,
        mut predicate: impl FnMut(&[TrackSubscriber]) -> bool,
    ) -> Vec<TrackSubscriber> {
        let look =
            |server: &Server| Some(self.subscribers_on(server, track_sid)).filter(|all| predicate(all));
        self.hub.until(look).await
    }

    fn subscribers_on(&self, server: &Server, track_sid: &str) -> Vec<TrackSubscriber> {
        let subscribers = server.subscribers(&self.room, &self.identity, track_sid);
        subscribers.into_iter().map(|(identity, enabled)| TrackSubscriber { identity, enabled }).collect()
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
        let sent = self.hub.inspect(|server| server.sent_in(&self.room));
        sent.into_iter().map(SentData::from).filter(for_me).collect()
    }

    /// Leaves the room. When no people are left, the room closes 20 s later.
    pub fn leave(&self) {
        let (room, identity) = self.names();
        let reason = DisconnectReason::ClientInitiated;
        let _ = self.hub.call(RemoveParticipant { room, identity, reason });
    }

    fn send_stream(&self, topic: String, kind: StreamKind, content: Bytes) {
        let options = StreamOptions::new(format!("stream-{}", self.hub.new_id()), topic, kind);
        self.command(RoomCommand::SendStream { options: Box::new(options), content });
    }

    fn command(&self, command: RoomCommand) {
        if let Some(member) = self.hub.inspect(|server| server.member_of(&self.room, &self.identity)) {
            let id = self.hub.new_id();
            // Only values that are too large or do not exist are refused.
            let _ = self.hub.call(MemberCommand { member, id, command });
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

impl fmt::Debug for MockParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockParticipant")
            .field("room", &self.room)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
