//! The handle.

use agent_proto::text::line;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use agent_room::{DataFilter, DisconnectReason, Participant, Publish, RoomCommand, RoomError};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::{
    backend::{RoomReply, RoomRequest},
    data::RoomData,
    events::RoomEvents,
    publish::PublishData,
    shared::Shared,
};

/// How long [`Room::leave`] waits for the backend at most.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// A joined room: who is there, what happens, and what to say.
///
/// It is cheap to clone; all clones are the same room. When the last one is dropped, the room is left.
///
/// In a job it belongs to one attempt: when that is over, its streams end, and what is asked of it is refused as
/// [`AttemptOver`](RoomError::AttemptOver). The next attempt has a handle of its own.
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
    pub fn name(&self) -> String {
        self.shared.lock().view.room().name.clone()
    }

    /// The server's id of this run of the room (`RM_…`).
    #[must_use]
    pub fn sid(&self) -> String {
        self.shared.lock().view.room().sid.clone()
    }

    /// The room's metadata, as set through the server API.
    #[must_use]
    pub fn metadata(&self) -> String {
        self.shared.lock().view.room().metadata.clone()
    }

    /// Ourselves, as we are now.
    #[must_use]
    pub fn local_participant(&self) -> Arc<Participant> {
        self.shared.lock().view.local().clone()
    }

    /// The others, as they are now, sorted by identity.
    #[must_use]
    pub fn participants(&self) -> Vec<Arc<Participant>> {
        self.shared.lock().view.participants().values().cloned().collect()
    }

    /// One of the others, if present.
    #[must_use]
    pub fn participant(&self, identity: &str) -> Option<Arc<Participant>> {
        self.shared.lock().view.participants().get(identity).cloned()
    }

    /// What happens in the room.
    ///
    /// The first stream of an attempt holds everything since the attempt began, so that nothing is lost that came before the handler
    /// listened. Each later one begins with who is present now.
    ///
    /// Data outlive streams and attempts: a message that comes while no event stream is open, and one that the last event stream left
    /// unread, waits for the next one. So the first stream of a second attempt begins with who is present, then has the data that the
    /// first attempt did not read and what came in the wait between the two, and then goes on. At most 1,024 messages and 4 MiB
    /// wait; of more the oldest are dropped, and [`Lagged`](super::RoomEvent::Lagged) says how many. Changes among participants
    /// between two attempts are not repeated: who is present is their result.
    #[must_use]
    pub fn events(&self) -> RoomEvents {
        RoomEvents::new(self.shared.events(self.attempt))
    }

    /// The data messages of one topic, and what is missing of them.
    ///
    /// The first stream of a topic begins with its first message since the join, whenever it is opened, and each later one where the last
    /// one stopped: what comes while no stream of the topic is open, and what the last one left unread, waits for the next, also for that
    /// of the next attempt of a job. At most 1,024 messages and 4 MiB of all topics wait for streams that are not open
    /// yet, and as much in each stream that is; what is dropped is reported in its place as [`Missed`](super::Missed). Messages of other topics
    /// cost a stream nothing. Several streams of one topic have each message that comes while they are open; what one of them
    /// leaves unread and no other has had waits.
    ///
    /// [`events`](Self::events) has the same messages for itself: neither takes anything from the other.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    ///
    /// async fn echo(ctx: JobContext) -> JobResult {
    ///     let mut questions = ctx.room().data("question");
    ///     while let Some(question) = questions.next().await {
    ///         match question {
    ///             Ok(question) => ctx.room().publish_data("answer", question.payload).to(question.sender).await?,
    ///             Err(missed) => tracing::warn!("unanswered: {missed}"),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn data(&self, topic: impl Into<String>) -> RoomData {
        RoomData::new(self.shared.data(self.attempt, DataFilter::Topic(topic.into())))
    }

    /// The data messages of all topics. As [`data`](Self::data); the first stream of all topics begins with what waits for streams of any
    /// topic, and leaves that to them, too.
    #[must_use]
    pub fn all_data(&self) -> RoomData {
        RoomData::new(self.shared.data(self.attempt, DataFilter::AllTopics))
    }

    /// An event stream that takes nothing from the others, for code beside the handler: it begins with who is present, has what happens
    /// from now on, and leaves what waits to the streams of [`events`](Self::events).
    #[must_use]
    pub fn observe(&self) -> RoomEvents {
        RoomEvents::new(self.shared.side_events(self.attempt))
    }

    /// Sends a data message: reliably and to everybody, unless said otherwise before it is awaited.
    ///
    /// It is done when the message is on its way; a slow connection makes it wait. At most
    /// [`MAX_PAYLOAD_LEN`](super::MAX_PAYLOAD_LEN) bytes.
    ///
    /// # Errors
    /// Awaited: [`RoomError`], for example because the payload is too large or the room is over.
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.publish_data("chat", "hello").await?;
    /// room.publish_data("cursor", vec![1, 2]).lossy().to(["ada"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_data(&self, topic: impl Into<String>, payload: impl Into<Bytes>) -> PublishData {
        PublishData::new(self.clone(), Publish::new(topic, payload))
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

    /// Sets these of our own attributes. An empty value deletes its key; other keys stay.
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
        let attributes: BTreeMap<String, String> =
            attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.command(RoomCommand::SetAttributes(attributes)).await
    }

    /// Whether we are in the room, also while a lost connection is being restored, and the attempt that the handle belongs to is not over.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.check().is_ok()
    }

    /// Waits until we are no longer in the room, and says why. Dropping the future loses nothing.
    pub async fn closed(&self) -> DisconnectReason {
        self.shared.ended().await
    }

    /// Leaves the room. What was published reliably arrives first, if it can within a second. Takes three seconds at most; leaving
    /// twice is leaving once, and nothing happens when the handle's attempt is over.
    pub async fn leave(&self) {
        if !self.shared.is_over(self.attempt) {
            leave(&self.shared, &self.requests).await;
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.shared.presence()
    }

    fn check(&self) -> Result<(), RoomError> {
        if self.shared.is_over(self.attempt) {
            Err(RoomError::AttemptOver)
        } else if self.shared.end_reason().is_some() {
            Err(RoomError::NotConnected)
        } else {
            Ok(())
        }
    }

    pub(super) async fn command(&self, command: RoomCommand) -> Result<(), RoomError> {
        self.request(|reply| RoomRequest::Command(command, reply)).await
    }

    /// Asks for something and waits for the answer, which is what this kind of request is answered with.
    async fn request<T>(&self, request: impl FnOnce(RoomReply<T>) -> RoomRequest) -> Result<T, RoomError> {
        self.check()?;
        ask(&self.requests, request).await
    }
}

/// Sends a request to the backend, and waits for the answer.
async fn ask<T>(
    requests: &mpsc::Sender<RoomRequest>,
    request: impl FnOnce(RoomReply<T>) -> RoomRequest,
) -> Result<T, RoomError> {
    let (reply, answer) = RoomReply::new();
    requests.send(request(reply)).await.map_err(|_| RoomError::NotConnected)?;
    answer.await.unwrap_or(Err(RoomError::NotConnected))
}

/// Leaves the room, whichever attempt goes on.
pub(super) async fn leave(shared: &Shared, requests: &mpsc::Sender<RoomRequest>) {
    let left = async {
        if shared.end_reason().is_none() {
            // Refused means that there is nothing to leave any more.
            let _ = ask(requests, |reply| RoomRequest::Command(RoomCommand::Leave, reply)).await;
        }
        shared.ended().await;
    };
    if tokio::time::timeout(LEAVE_LIMIT, left).await.is_err() {
        tracing::warn!("the room {} was not left in time", line(shared.lock().view.room().name.clone()));
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
