//! Joins mock rooms as agents do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agent_server::{Hub, JoinRefusal, read_token};
use agent_worker::net::ConnectError;
use agent_worker::room::{JoinError, JoinFailure, JoinRequest, RoomConnector};
use agent_worker::{BoxFuture, Room};

use super::member::enter;
use super::order::Order;

/// Joins the rooms of a [`MockServer`](crate::MockServer), instead of WebRTC.
#[derive(Clone)]
pub struct MockConnector {
    hub: Arc<Hub>,
    order: Order,
}

impl MockConnector {
    pub(super) fn new(hub: Arc<Hub>, order: Order) -> Self {
        Self { hub, order }
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
            let Hub { api_key, api_secret, .. } = &*self.hub;
            let grant = read_token(&request.token, api_key, api_secret);
            let grant = grant.map_err(|reason| unauthorized(&reason.to_string()))?;
            let stay = self.hub.join(grant, request.auto_subscribe);
            let stay = stay.map_err(|refusal| unauthorized(&refusal.to_string()))?;
            Ok(enter(&self.hub, &self.order, stay))
        })
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

impl fmt::Debug for MockConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockConnector").finish_non_exhaustive()
    }
}
