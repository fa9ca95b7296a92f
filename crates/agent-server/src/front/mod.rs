//! What the network sees of the mock server: HTTP, tokens, Twirp calls and workers' WebSockets, with no rule of its own.
//!
//! The rules are a [`Backend`]. [`serve`] takes any byte stream, so a worker may be on loopback or on a pipe in memory.

mod auth;
mod http;
#[cfg_attr(not(feature = "json"), path = "no_json.rs")]
mod json;
mod limits;
mod outbox;
mod twirp;
mod worker_socket;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_net::Secret;
use agent_proto::livekit as wire;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::debug;

use limits::{HEADER_WITHIN, WriteLimit};

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

/// Serves one byte stream (TCP, or a `tokio::io::duplex` in memory) until it ends; dropping the future cuts it.
///
/// A worker's socket is served in here too, not in a task of its own: whoever runs this future holds the whole connection.
pub(crate) async fn serve<IO>(io: IO, backend: Arc<dyn Backend>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let upgrade = UpgradeSlot::default();
    let service =
        service_fn(async |request| Ok::<_, Infallible>(http::answer(request, &*backend, &upgrade).await));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .serve_connection(TokioIo::new(WriteLimit::new(io)), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "mock server: an HTTP connection ended badly");
    }
    let Some(upgrade) = upgrade.take() else { return };
    match upgrade.await {
        Ok(io) => worker_socket::run(Box::new(TokioIo::new(io)), backend).await,
        Err(error) => debug!(%error, "mock server: no WebSocket came of an upgrade"),
    }
}

/// Where a request leaves its upgrade for [`serve`], as it is done only when the answer is out.
#[derive(Default)]
struct UpgradeSlot(Mutex<Option<OnUpgrade>>);

impl UpgradeSlot {
    fn put(&self, upgrade: OnUpgrade) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    fn take(&self) -> Option<OnUpgrade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
