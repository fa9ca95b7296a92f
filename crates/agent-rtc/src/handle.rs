//! `Room`: the user's handle to a joined room.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use agent_proto::BoxFuture;
use agent_proto::text::{name, owned_pairs};
use agent_proto::watch;
use agent_room::{
    CommandId, DataFilter, DisconnectReason, NetworkPath, Participant, Publish, RoomCommand, RoomError,
    RpcCall, RpcError, StreamId,
};

use super::audio::EncodedAudioStream;
use super::data::RoomData;
use super::events::RoomEvents;
use super::reader::Reader;
use super::request::{PendingReply, RoomRequest, ask, queue};
use super::shared::Shared;
use super::track_error::TrackError;

/// Timeout of [`Room::leave`].
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// A joined room: its participants, its events, and what we send.
///
/// It is cheap to clone; all clones are the same room. When the last one is dropped, the room is left.
///
/// In a job it belongs to one attempt: at the end of the attempt its streams end, and its requests are
/// refused as [`AttemptOver`](RoomError::AttemptOver). The next attempt has a handle of its own.
#[derive(Clone)]
pub struct Room {
    shared: Arc<Shared>,
    requests: mpsc::Sender<RoomRequest>,
    attempt: u64,
}

impl Room {
    pub(super) fn new(shared: Arc<Shared>, requests: mpsc::Sender<RoomRequest>, attempt: u64) -> Self {
        Self { shared, requests, attempt }
    }

    pub(super) fn into_parts(self) -> (Arc<Shared>, mpsc::Sender<RoomRequest>) {
        (self.shared, self.requests)
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The server's id of this instance of the room (`RM_…`).
    #[must_use]
    pub fn sid(&self) -> String {
        self.shared.lock().view.room().sid.clone()
    }

    /// The room's metadata, as set through the server API.
    #[must_use]
    pub fn metadata(&self) -> String {
        self.shared.lock().view.room().metadata.clone()
    }

    /// Our own current state.
    #[must_use]
    #[doc(alias = "agent")]
    pub fn local_participant(&self) -> Arc<Participant> {
        self.shared.lock().view.local().clone()
    }

    /// The current state of the other participants, sorted by identity.
    #[must_use]
    #[doc(alias = "remote_participants")]
    pub fn participants(&self) -> Vec<Arc<Participant>> {
        self.shared.lock().view.participants().values().cloned().collect()
    }

    /// The current state of one of the other participants, if present.
    #[must_use]
    pub fn participant(&self, identity: &str) -> Option<Arc<Participant>> {
        self.shared.lock().view.participants().get(identity).cloned()
    }

    /// The path that media and data take to the server: directly or through a relay, over UDP, TCP or TLS,
    /// and the addresses of both sides. After a loss of the connection it is the last one.
    ///
    /// [`NetworkPathChanged`](super::RoomEvent::NetworkPathChanged) reports another one. `None`: this room
    /// has no network, as those of a [`RoomBackend`](super::RoomBackend) that names none.
    ///
    /// ```
    /// # fn example(room: &agent_worker::Room) {
    /// if let Some(path) = room.network_path() {
    ///     tracing::info!(%path, remote = %path.remote, reason = path.reason, "joined");
    /// }
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "selected_candidate_pair")]
    pub fn network_path(&self) -> Option<NetworkPath> {
        self.shared.lock().view.network_path().cloned()
    }

    /// Opens a stream of the room's events.
    ///
    /// The first stream of an attempt has all events since the attempt began, so that none before the
    /// handler's first poll is lost. Each later one begins with the present: the participants, their tracks,
    /// which of them are subscribed, and who speaks.
    ///
    /// Data outlive streams and attempts: a message that arrives while no event stream is open, and one that
    /// the last event stream left unread, is queued for the next one. So the first stream of a second attempt
    /// begins with the participants who are present, then has the data that the first attempt did not read
    /// and those that arrived between the two, and then continues. At most 1,024 messages and 4 MiB are
    /// queued; beyond that the oldest are dropped, and [`Lagged`](super::RoomEvent::Lagged) contains their
    /// number. Changes among participants between two attempts are not repeated: the present participants are
    /// their result.
    #[must_use]
    #[doc(alias = "on")]
    pub fn events(&self) -> RoomEvents {
        RoomEvents::new(self.reader(self.shared.events(self.attempt)))
    }

    /// Opens a stream of the data messages of one topic, with the gaps in it.
    ///
    /// The first stream of a topic begins with its first message since the join, whenever it is opened, and
    /// each later one where the last one stopped: messages that arrive while no stream of the topic is open,
    /// and those that the last one left unread, are queued for the next, also for that of the job's next
    /// attempt. At most 1,024 messages and 4 MiB of all topics are queued for streams that are not open yet,
    /// and as much in each open stream; dropped messages are reported in their place as
    /// [`Missed`](super::Missed). Messages of other topics do not affect a stream. Several streams of one
    /// topic all get each message that arrives while they are open; a message that one of them leaves unread
    /// and no other has had is queued.
    ///
    /// [`events`](Self::events) has the same messages independently: neither takes any from the other.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn echo(ctx: JobContext) -> JobResult {
    ///     let mut questions = ctx.room().data("question");
    ///     while let Some(question) = ctx.run_until_cancelled(questions.next()).await.flatten() {
    ///         match question {
    ///             Ok(question) => ctx.room().publish_data("answer", question.payload).to(question.sender).await?,
    ///             Err(missed) => tracing::warn!("unanswered: {missed}"),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    #[doc(alias = "data_received")]
    pub fn data(&self, topic: impl Into<String>) -> RoomData {
        RoomData::new(self.reader(self.shared.data(self.attempt, DataFilter::Topic(topic.into()))))
    }

    /// Opens a stream of the data messages of all topics. As [`data`](Self::data); the first stream of all
    /// topics begins with the messages queued for streams of any topic, and leaves them to those, too.
    #[must_use]
    pub fn all_data(&self) -> RoomData {
        RoomData::new(self.reader(self.shared.data(self.attempt, DataFilter::AllTopics)))
    }

    /// Opens an event stream that takes nothing from the others, for code beside the handler: it begins with
    /// the participants who are present, has all events from now on, and leaves queued ones to the streams of
    /// [`events`](Self::events).
    #[must_use]
    pub fn observe(&self) -> RoomEvents {
        RoomEvents::new(self.reader(self.shared.side_events(self.attempt)))
    }

    /// The encoded frames of an audio track that the server sends us, by the track's sid, from now on: Opus
    /// packets, for an agent that forwards, records or decodes them itself.
    ///
    /// A stream may be opened as soon as the track is published; frames arrive once it is
    /// [subscribed](super::RoomEvent::TrackSubscribed). A track that
    /// [`auto_subscribe`](super::JoinRequest::auto_subscribe) excludes is subscribed while it has a stream,
    /// unless it was unsubscribed by hand ([`set_subscribed`](Self::set_subscribed)). A track has one stream
    /// at a time. Without a stream its frames are dropped.
    ///
    /// ```
    /// use agent_worker::room::TrackKind;
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// async fn listen(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
    ///         if let RoomEvent::TrackSubscribed { track, .. } = event
    ///             && track.kind == TrackKind::Audio
    ///         {
    ///             let mut frames = ctx.room().encoded_audio(&track.sid)?;
    ///             ctx.spawn(async move {
    ///                 while let Some(frame) = frames.next().await {
    ///                     println!("{}: {} bytes of Opus", frame.sequence, frame.payload.len());
    ///                 }
    ///             });
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TrackError`]: no participant publishes such a track, it is not audio, it has a stream already, or
    /// the room or the attempt is over.
    pub fn encoded_audio(&self, track_sid: &str) -> Result<EncodedAudioStream, TrackError> {
        EncodedAudioStream::open(&self.shared, self.attempt, track_sid)
    }

    /// Sends a data message: reliably and to everybody, unless changed before it is awaited.
    ///
    /// It completes when the message was passed to the network; a slow connection delays that. At most
    /// [`MAX_PAYLOAD_LEN`](super::MAX_PAYLOAD_LEN) bytes.
    ///
    /// # Errors
    /// When awaited: [`RoomError`], for example because the payload is too large or the room has ended.
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.publish_data("chat", "hello").await?;
    /// room.publish_data("cursor", vec![1, 2]).lossy().to(["ada"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_data(&self, topic: impl Into<String>, payload: impl Into<Bytes>) -> PublishData {
        PublishData { room: self.clone(), message: Publish::new(topic, payload) }
    }

    /// Replaces our own metadata. An empty text changes nothing: the protocol cannot clear it.
    ///
    /// # Errors
    /// [`RoomError::NotAllowed`] without the grant `canUpdateOwnMetadata`, and others.
    pub async fn set_metadata(&self, metadata: impl Into<String>) -> Result<(), RoomError> {
        self.command(RoomCommand::SetMetadata(metadata.into())).await
    }

    /// Replaces our own name. An empty text changes nothing: the protocol cannot clear it.
    ///
    /// # Errors
    /// As [`Self::set_metadata`].
    pub async fn set_name(&self, name: impl Into<String>) -> Result<(), RoomError> {
        self.command(RoomCommand::SetName(name.into())).await
    }

    /// Sets these of our own attributes. An empty value deletes its key; other keys are kept.
    ///
    /// # Errors
    /// As [`Self::set_metadata`].
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.set_attributes([("mood", "curious")]).await
    /// # }
    /// ```
    pub async fn set_attributes<K: Into<String>, V: Into<String>>(
        &self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), RoomError> {
        self.command(RoomCommand::SetAttributes(owned_pairs(attributes).collect())).await
    }

    /// Whether we are in the room, also while a lost connection is being re-established, and the handle's
    /// attempt is not over.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.check().is_ok()
    }

    /// Waits until we are no longer in the room, and returns the reason. Cancel-safe.
    pub async fn closed(&self) -> DisconnectReason {
        self.shared.ended().await
    }

    /// Leaves the room, after reliable messages have arrived, if they do within a second. Takes at most three
    /// seconds; a second call does nothing, nor does a call after the handle's attempt.
    pub async fn leave(&self) {
        if !self.is_over() {
            leave(&self.shared, &self.requests).await;
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.shared.presence()
    }

    pub(super) fn check(&self) -> Result<(), RoomError> {
        if self.is_over() {
            Err(RoomError::AttemptOver)
        } else if self.shared.end_reason().is_some() {
            Err(RoomError::NotConnected)
        } else {
            Ok(())
        }
    }

    fn reader(&self, stream: StreamId) -> Reader {
        Reader::new(Arc::clone(&self.shared), stream)
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) const fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Whether the attempt of this handle is over.
    pub(super) fn is_over(&self) -> bool {
        self.shared.is_over(self.attempt)
    }

    /// A new id of a command.
    pub(super) fn next_command(&self) -> CommandId {
        self.shared.next_command()
    }

    pub(super) async fn command(&self, command: RoomCommand) -> Result<(), RoomError> {
        self.command_as(self.next_command(), command).await
    }

    /// Sends a command with this id and waits for its reply.
    pub(super) async fn command_as(&self, id: CommandId, command: RoomCommand) -> Result<(), RoomError> {
        self.check()?;
        ask(&self.requests, |reply| RoomRequest::Command { id, command, reply }).await
    }

    /// Sends a command. If the future is dropped, the command is not sent.
    pub(super) async fn queue_command(
        &self,
        command: RoomCommand,
    ) -> Result<PendingReply<(), RoomError>, RoomError> {
        self.check()?;
        let id = self.next_command();
        queue(&self.requests, |reply| RoomRequest::Command { id, command, reply }).await
    }

    pub(super) async fn call(&self, call: RpcCall) -> Result<String, RpcError> {
        self.check()?;
        let id = self.next_command();
        ask(&self.requests, |reply| RoomRequest::Call { id, call, reply }).await
    }
}

/// Leaves the room, whatever the current attempt.
pub(super) async fn leave(shared: &Shared, requests: &mpsc::Sender<RoomRequest>) {
    let left = async {
        if shared.end_reason().is_none() {
            // An error means that the room was left already.
            let (id, command) = (shared.next_command(), RoomCommand::Leave);
            let _ = ask(requests, |reply| RoomRequest::Command { id, command, reply }).await;
        }
        shared.ended().await;
    };
    if tokio::time::timeout(LEAVE_LIMIT, left).await.is_err() {
        let room = shared.lock().view.room().name.clone();
        tracing::warn!(room = %name(&room), limit = ?LEAVE_LIMIT, "the room was not left in time");
    }
}

/// A data message that is sent when it is awaited, from [`Room::publish_data`].
#[derive(Debug)]
#[must_use = "it is sent when it is awaited"]
pub struct PublishData {
    room: Room,
    message: Publish,
}

impl PublishData {
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

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Room")
            .field("name", &state.view.room().name)
            .field("sid", &state.view.room().sid)
            .field("identity", &state.view.local().identity)
            .field("participants", &state.view.participants().len())
            .finish_non_exhaustive()
    }
}
