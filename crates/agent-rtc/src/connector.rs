//! The seam between those who join rooms and what carries a room.

use std::time::Duration;

use agent_proto::BoxFuture;
use agent_room::AutoSubscribe;
use tokio::sync::watch;

use super::{handle::Room, join_error::JoinError, join_session::JoinSession};
use agent_net::Secret;

/// Joins rooms: [`WebRtc`](super::WebRtc) for real, something else in tests.
pub trait RoomConnector: Send + Sync + 'static {
    /// Joins one room. Dropping the future gives it up; nothing stays behind.
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>>;
}

/// What it takes to join a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinRequest {
    /// The server: `ws`, `wss`, `http` or `https`, with an optional base path.
    pub url: String,
    /// The token that lets us in; it names the room and who we are.
    pub token: Secret,
    /// Which tracks of others the server sends us. Default: all.
    pub auto_subscribe: AutoSubscribe,
    /// How long it may take until data can go both ways. Default: 10 s.
    pub timeout: Duration,
    /// How long a lost connection is tried to be restored before the room counts as over. Default: 60 s.
    pub reconnect_timeout: Duration,
    /// While it says `false`, a lost connection is not tried to be restored, for at most 20 s. A worker says so until the server
    /// knows it again: a room that comes back before its worker would stay without an agent.
    pub reconnect_when: Option<watch::Receiver<bool>>,
    /// Keeps a join that failed after the server had let us in. Default: none, so that it leaves at once.
    pub session: Option<JoinSession>,
}

impl JoinRequest {
    /// Defaults for everything but the server and the token.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            auto_subscribe: AutoSubscribe::default(),
            timeout: Duration::from_secs(10),
            reconnect_timeout: Duration::from_secs(60),
            reconnect_when: None,
            session: None,
        }
    }
}
