//! The other end of a room handle.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use agent_room::{
    CommandId, Connected, DisconnectReason, RoomCommand, RoomError, RoomEvent, RpcRequest, StreamEvent, Track,
};

use super::data_tracks::DataFrameSender;
use super::frame_sender::FrameSender;
use super::handle::Room;
use super::local_tracks::OutgoingFrames;
use super::request::{RoomReply, RoomRequest};
use super::shared::Shared;

/// Maximum number of commands queued for the backend; further callers wait.
const MAX_REQUESTS: usize = 64;

/// The other end of a [`Room`]: it receives the requests of the handles and sends them events.
///
/// With it a room can be implemented without a server, as mock rooms are:
///
/// ```
/// use agent_worker::{Room, RoomEvent, room::{Connected, Participant, RoomBackend, RoomInfo, RoomRequest}};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let me = Participant::new("PA_1", "agent");
/// let (room, mut backend) = RoomBackend::new(Connected::new(RoomInfo::new("RM_1", "lobby"), me));
/// backend.emit(RoomEvent::ParticipantJoined(Participant::new("PA_2", "ada").into()));
/// assert_eq!(room.participants().len(), 1);
///
/// let sent = tokio::spawn(async move { room.publish_data("chat", "hello").await });
/// match backend.next_request().await.unwrap() {
///     RoomRequest::Command { reply, .. } => reply.send(Ok(())),
///     RoomRequest::Call { .. } => unreachable!("no method was called"),
/// }
/// assert!(sent.await.unwrap().is_ok());
/// # });
/// ```
pub struct RoomBackend {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<RoomRequest>,
    /// Commands that nothing waits for.
    commands: mpsc::UnboundedReceiver<RoomCommand>,
    /// Tracks to be unpublished.
    ended_tracks: mpsc::UnboundedReceiver<CommandId>,
}

impl RoomBackend {
    /// Creates a joined room: its first handle and its backend.
    #[must_use]
    pub fn new(connected: Connected) -> (Room, Self) {
        let (sender, requests) = mpsc::channel(MAX_REQUESTS);
        let (later, commands) = mpsc::unbounded_channel();
        let (end_track, ended_tracks) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(connected, later, end_track));
        (Room::new(shared.clone(), sender, 0), Self { shared, requests, commands, ended_tracks })
    }

    /// Sends an event to all handles. Nothing is sent after [`RoomEvent::Disconnected`].
    pub fn emit(&mut self, event: RoomEvent) {
        self.shared.emit(event);
    }

    /// Sends an event of a stream that is received, to the handle's [`text_streams`](Room::text_streams) and
    /// [`byte_streams`](Room::byte_streams).
    pub fn stream(&mut self, event: StreamEvent) {
        let dropped = self.shared.streams.push(event);
        self.shared.report(dropped);
    }

    /// Runs a [method](Room::register_rpc_method) for a request, in a task; [`RoomCommand::Respond`] follows.
    pub fn request(&mut self, request: RpcRequest) {
        self.shared.methods.serve(request);
    }

    /// Where the frames of the room's tracks go. One sender is enough; a second one has the same readers.
    #[must_use]
    pub fn frames(&self) -> FrameSender {
        FrameSender::new(Arc::clone(&self.shared))
    }

    /// Where the frames of data tracks go. As [`frames`](Self::frames).
    #[must_use]
    pub fn data_frames(&self) -> DataFrameSender {
        DataFrameSender::new(self.shared.clone())
    }

    /// Where the frames of our own tracks come from.
    #[must_use]
    pub fn outgoing_frames(&self) -> OutgoingFrames {
        OutgoingFrames::new(self.shared.clone())
    }

    /// Reports that a receiver needs a key frame of the video track that a [`RoomCommand::PublishTrack`] of
    /// this id has published.
    pub fn key_frame_requested(&mut self, id: CommandId) {
        self.shared.local_tracks.request_key_frame(id);
    }

    /// Reports the state of the track that a [`RoomCommand::PublishTrack`] of this id has published:
    /// before the reply to that command, and at each change. `None`: it is not published any more.
    pub fn local_track(&mut self, id: CommandId, track: Option<Track>) {
        self.shared.local_tracks.report(id, track);
    }

    /// Waits for the next request of a handle; `None` once all handles were dropped: then the backend should
    /// leave. Cancel-safe.
    pub async fn next_request(&mut self) -> Option<RoomRequest> {
        loop {
            let command = tokio::select! {
                // In this order: the tracks of an attempt end before the next one publishes others, and a
                // stream is opened before it is closed.
                biased;
                Some(track) = self.ended_tracks.recv() => RoomCommand::UnpublishTrack { track },
                request = self.requests.recv() => match request {
                    Some(RoomRequest::Command { id, command: RoomCommand::PublishTrack { .. }, reply })
                        if !self.shared.local_tracks.is_wanted(id) =>
                    {
                        // Its end came first.
                        reply.send(Err(RoomError::TrackUnpublished));
                        continue;
                    }
                    request => return request,
                },
                Some(command) = self.commands.recv() => command,
            };
            let (id, (reply, _)) = (self.shared.next_command(), RoomReply::new());
            return Some(RoomRequest::Command { id, command, reply });
        }
    }
}

impl Drop for RoomBackend {
    /// Dropping the backend ends the room, so no caller waits forever.
    fn drop(&mut self) {
        let detail = "the room's task ended".to_owned();
        self.shared.emit(RoomEvent::Disconnected { reason: DisconnectReason::SignalLost { detail } });
    }
}

impl fmt::Debug for RoomBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomBackend").finish_non_exhaustive()
    }
}
