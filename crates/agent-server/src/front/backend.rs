//! What the front and the server behind it know of each other.

use std::time::Duration;

use agent_net::Secret;
use agent_proto::livekit as wire;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What stands behind the front: the server's rules.
///
/// No call may block: it runs on the task of a connection.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The issuer that every token must have.
    fn api_key(&self) -> &str;
    /// What every token must be signed with.
    fn api_secret(&self) -> &Secret;

    /// A worker's socket opened, after its token was checked. One [`worker_gone`](Self::worker_gone) follows, whatever happens.
    fn worker_connected(&self) -> WorkerLink;
    /// It sent a message, which may be an empty one: `message` is `None` if it is of a kind that we do not know.
    fn worker_message(&self, worker: u64, message: wire::WorkerMessage);
    /// It sent something that is no message. The backend decides whether to close; a breach of the WebSocket protocol and a
    /// frame over the limit end the connection in any case, as nothing after them can be read.
    fn worker_garbage(&self, worker: u64, what: String);
    /// Its connection is gone.
    fn worker_gone(&self, worker: u64);

    /// Called for each join of a room. `Some`: it is refused with this; `None`: it is not refused.
    fn refuse_join(&self) -> Option<JoinRefusal>;

    fn create_dispatch(&self, r: wire::CreateAgentDispatchRequest) -> Result<wire::AgentDispatch, ApiFault>;
    fn delete_dispatch(&self, r: wire::DeleteAgentDispatchRequest) -> Result<wire::AgentDispatch, ApiFault>;
    fn list_dispatch(
        &self,
        r: wire::ListAgentDispatchRequest,
    ) -> Result<wire::ListAgentDispatchResponse, ApiFault>;

    fn create_room(&self, r: wire::CreateRoomRequest) -> Result<wire::Room, ApiFault>;
    fn list_rooms(&self, r: wire::ListRoomsRequest) -> Result<wire::ListRoomsResponse, ApiFault>;
    fn delete_room(&self, r: wire::DeleteRoomRequest) -> Result<wire::DeleteRoomResponse, ApiFault>;
    fn list_participants(
        &self,
        r: wire::ListParticipantsRequest,
    ) -> Result<wire::ListParticipantsResponse, ApiFault>;
    fn get_participant(&self, r: wire::RoomParticipantIdentity) -> Result<wire::ParticipantInfo, ApiFault>;
    fn remove_participant(
        &self,
        r: wire::RoomParticipantIdentity,
    ) -> Result<wire::RemoveParticipantResponse, ApiFault>;
    fn mute_published_track(
        &self,
        r: wire::MuteRoomTrackRequest,
    ) -> Result<wire::MuteRoomTrackResponse, ApiFault>;
    fn update_participant(
        &self,
        r: wire::UpdateParticipantRequest,
    ) -> Result<wire::ParticipantInfo, ApiFault>;
    fn update_room_metadata(&self, r: wire::UpdateRoomMetadataRequest) -> Result<wire::Room, ApiFault>;
    fn send_data(&self, r: wire::SendDataRequest) -> Result<wire::SendDataResponse, ApiFault>;
}

/// A worker's connection, as the backend holds its other ends.
pub(crate) struct WorkerLink {
    pub(crate) id: u64,
    /// Carried out in order. When the backend drops its end, the connection is cut.
    pub(crate) outbox: mpsc::UnboundedReceiver<ToWorker>,
    /// While true, the socket neither reads nor writes (a frozen server), and takes nothing from the outbox.
    pub(crate) frozen: watch::Receiver<bool>,
}

/// What to do to a worker's connection.
pub enum ToWorker {
    /// Not before `due`, and in the form, binary or JSON, that the worker spoke last.
    Message {
        /// What to write.
        message: Box<wire::ServerMessage>,
        /// When, at the earliest.
        due: Instant,
    },
    /// Bytes as they are, in a binary frame.
    Raw(Bytes),
    /// A close frame; nothing that the worker sends after it is heard.
    Close {
        /// The code of RFC 6455.
        code: u16,
        /// The text beside it, cut at 123 bytes.
        reason: String,
    },
    /// Ends the TCP connection without a word.
    Cut,
    /// Neither reads nor writes a message any more, and leaves the TCP connection to the worker to end.
    HalfOpen,
}

/// How the join of a room is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinRefusal {
    /// The HTTP status.
    pub status: u16,
    /// When to come back, if it says so.
    pub retry_after: Option<Duration>,
}

impl JoinRefusal {
    /// The body of the answer.
    pub const TEXT: &'static str = "this mock server refuses joins now (MockServer::refuse_joins)\n";

    /// The value of the header: whole seconds, rounded up.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|time| time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)))
    }
}

/// Why the backend refuses a call.
#[derive(Debug)]
pub(crate) struct ApiFault {
    /// The Twirp code, such as `not_found`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}
