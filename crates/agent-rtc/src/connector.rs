//! The interface between the code that joins rooms and the implementations of rooms.

use std::time::Duration;

use tokio::sync::watch;

use agent_net::Secret;
use agent_proto::BoxFuture;
use agent_room::{AutoSubscribe, E2eeOptions};

use super::handle::Room;
use super::join_error::JoinError;
use super::join_session::JoinSession;

/// Joins rooms: [`WebRtc`](super::WebRtc) in production, a mock in tests.
pub trait RoomConnector: Send + Sync + 'static {
    /// Joins one room. Dropping the future cancels the join and cleans up.
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>>;
}

/// The parameters of a join.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinRequest {
    /// The server: `ws`, `wss`, `http` or `https`, with an optional base path.
    pub url: String,
    /// The token, which contains the room and our identity.
    pub token: Secret,
    /// Which tracks of others the server sends us. Default: all.
    pub auto_subscribe: AutoSubscribe,
    /// End-to-end encryption of what we send, and the keys of what we receive. Default: none.
    pub e2ee: Option<E2eeOptions>,
    /// Media and data go through TURN servers only, over UDP, TCP or TLS. Default: they are tried if direct
    /// UDP does not work, or if the server demands relays.
    pub force_relay: bool,
    /// Timeout until data can be sent in both directions. Default: 10 s.
    pub timeout: Duration,
    /// How long to try to re-establish a lost connection before the room ends. Default: 60 s.
    pub reconnect_timeout: Duration,
    /// While `false`, a lost connection is not re-established, for at most 20 s. A worker sets this until it
    /// is registered again: a room that reconnects before its worker would stay without an agent.
    pub reconnect_when: Option<watch::Receiver<bool>>,
    /// Keeps a join that failed after the server had admitted us, or whose future was dropped. Default: none,
    /// so that it leaves immediately.
    pub session: Option<JoinSession>,
}

impl JoinRequest {
    /// Defaults for everything except the server and the token.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            auto_subscribe: AutoSubscribe::default(),
            e2ee: None,
            force_relay: false,
            timeout: Duration::from_secs(10),
            reconnect_timeout: Duration::from_secs(60),
            reconnect_when: None,
            session: None,
        }
    }
}
