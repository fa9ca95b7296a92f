//! The interface between the network front and the server behind it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use agent_net::Secret;
use agent_proto::livekit as wire;
use agent_proto::watch;

use crate::api_call::ApiCall;

/// The server's rules behind the network front.
///
/// No call may block: it runs in the task of a connection.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The required issuer of every token.
    fn api_key(&self) -> &str;
    /// The secret that every token must be signed with.
    fn api_secret(&self) -> &Secret;

    /// A worker's socket opened, after its token was checked. Exactly one [`worker_gone`](Self::worker_gone)
    /// follows.
    fn worker_connected(&self) -> WorkerLink;
    /// A worker sent a message; its inner `message` is `None` if it is empty or of an unknown kind.
    fn worker_message(&self, worker: u64, message: wire::WorkerMessage);
    /// A worker sent something other than a message. The backend decides whether to close the connection; a
    /// violation of the WebSocket protocol and a frame over the limit end it in any case, as nothing after
    /// them can be read.
    fn worker_garbage(&self, worker: u64, what: String);
    /// A worker's connection ended.
    fn worker_gone(&self, worker: u64);

    /// Called for each join of a room. `Some`: the join is refused with this response.
    fn refuse_join(&self) -> Option<JoinRefusal>;

    /// The API was called, with the grant that the call needs.
    fn called(&self, call: ApiCall);
    /// A call of the API was refused.
    fn refused(&self, method: &str, fault: &ApiFault);

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
    fn transfer_sip_participant(
        &self,
        r: wire::TransferSipParticipantRequest,
    ) -> Result<wire::TransferSipParticipantResponse, ApiFault>;
}

/// A worker's connection, from the backend's side.
pub(crate) struct WorkerLink {
    pub(crate) id: u64,
    /// Written in order. The connection is cut when the backend drops its end.
    pub(crate) outbox: mpsc::UnboundedReceiver<ToWorker>,
    /// While true, the socket neither reads nor writes (a frozen server), and takes nothing from the outbox.
    pub(crate) frozen: watch::Receiver<bool>,
}

/// A command to a worker's connection.
pub enum ToWorker {
    /// Sends a message not before `due`, in the form, binary or JSON, that the worker used last.
    Message {
        /// The message.
        message: Box<wire::ServerMessage>,
        /// The earliest time to send it.
        due: Instant,
    },
    /// Sends bytes unchanged, in a binary frame.
    Raw(Bytes),
    /// Sends a close frame; later messages of the worker are ignored.
    Close {
        /// The code of RFC 6455.
        code: u16,
        /// The text of the close frame, cut at 123 bytes.
        reason: String,
    },
    /// Ends the TCP connection without a close frame.
    Cut,
    /// Stops reading and writing messages, and leaves it to the worker to end the TCP connection.
    HalfOpen,
}

/// The response that refuses the join of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinRefusal {
    /// The HTTP status.
    pub status: u16,
    /// The delay in `Retry-After`, if the header is sent.
    pub retry_after: Option<Duration>,
}

impl JoinRefusal {
    /// The body of the response.
    pub const TEXT: &'static str = "this mock server refuses joins now (MockServer::refuse_joins)\n";

    /// The value of `Retry-After`: whole seconds, rounded up.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|time| time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)))
    }
}

/// The backend's error for a call.
#[derive(Debug)]
pub(crate) struct ApiFault {
    /// The Twirp code, such as `not_found`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}
