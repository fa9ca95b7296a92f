//! A session in a room of a real livekit-server, with an official client as the other participant.

mod data;
mod data_tracks;
mod dtmf;
mod joins;
mod packets;
mod participants;
pub(crate) mod streams;
mod subscriptions;

use std::time::Duration;

use agent_testkit::{ClientEvent, OfficialClient, RealServer};
use agent_worker::net::AccessToken;
use agent_worker::room::{JoinRequest, RoomConnector, RoomEvents, WebRtc};
use agent_worker::{Room, RoomEvent};

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn join(server: &RealServer, room: &str, identity: &str) -> Room {
    let token = server.token().identity(identity).join_room(room).can_update_own_metadata(true);
    join_with(server, token).await
}

async fn join_with(server: &RealServer, token: AccessToken) -> Room {
    let request = JoinRequest::new(server.url(), token.sign().expect("a token"));
    WebRtc::default().connect(request).await.expect("the room is joined")
}

async fn ada(server: &RealServer, room: &str) -> OfficialClient {
    let token = server.token().identity("ada").join_room(room).can_update_own_metadata(true);
    OfficialClient::join(&server.url(), &token.sign().expect("a token")).await.expect("the client joins")
}

/// The next event that `pick` takes; those before it are passed over.
async fn until<T>(events: &mut RoomEvents, mut pick: impl FnMut(RoomEvent) -> Option<T>) -> T {
    let picked = async {
        loop {
            let event = events.next().await.expect("the room stays");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    };
    tokio::time::timeout(SOON, picked).await.expect("the event comes")
}

async fn receives(client: &mut OfficialClient, topic: &str, payload: &[u8]) -> bool {
    let received = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some(topic) && data.payload == payload);
    client.wait_for(received, SOON).await.is_ok()
}
