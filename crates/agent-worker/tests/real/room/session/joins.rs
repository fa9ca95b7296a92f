//! How a session begins, is re-established automatically, and ends.

use std::time::Duration;

use agent_testkit::{ParticipantChange, ParticipantPermissions, real_server};
use agent_worker::room::{
    DisconnectReason, JoinError, JoinFailure, JoinRequest, RoomConnector, RoomError, WebRtc,
};
use agent_worker::{Room, RoomEvent};

use super::{SOON, join, until};

#[tokio::test]
async fn a_refreshed_token_opens_the_room_by_itself() {
    let Some(server) = real_server().await else { return };
    let room = join(&server, "tokens", "agent").await;
    let mut events = room.events();
    let refreshed = |event| match event {
        RoomEvent::TokenRefreshed { token } => Some(token),
        _ => None,
    };
    let mut no_tracks = ParticipantPermissions::new();
    no_tracks.can_publish = false;
    until(&mut events, refreshed).await; // at the start
    server
        .api()
        .update_participant("tokens", "agent", ParticipantChange::new().permissions(no_tracks))
        .await
        .expect("changed");
    let token = until(&mut events, refreshed).await;
    assert!(!format!("{token:?}").contains(token.expose()));
    room.leave().await;
    let request = JoinRequest::new(server.url(), token.expose());
    let again = WebRtc::default().connect(request).await.expect("the new token is as good");
    let local = again.local_participant();
    assert_eq!((local.identity.as_str(), local.permissions.can_publish), ("agent", false));
}

#[tokio::test]
async fn every_end_of_a_room_has_its_reason() {
    let Some(server) = real_server().await else { return };
    let ended = |room: Room| async move {
        let reason = tokio::time::timeout(SOON, room.closed()).await.expect("the room ends");
        let mut events = room.events();
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        assert_eq!(last, Some(RoomEvent::Disconnected { reason: reason.clone() }));
        assert!(!room.is_connected());
        assert_eq!(room.publish_data("t", "late").await, Err(RoomError::NotConnected));
        reason
    };
    let room = join(&server, "removed", "agent").await;
    server.api().remove_participant("removed", "agent").await.expect("removed");
    assert_eq!(ended(room).await, DisconnectReason::Removed);

    let room = join(&server, "deleted", "agent").await;
    server.api().delete_room("deleted").await.expect("deleted");
    assert_eq!(ended(room).await, DisconnectReason::RoomDeleted);

    let room = join(&server, "twice", "agent").await;
    let second = join(&server, "twice", "agent").await;
    assert_eq!(ended(room).await, DisconnectReason::DuplicateIdentity);
    assert!(second.is_connected());

    let token = server.token().identity("agent").join_room("crash").sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.reconnect_timeout = Duration::from_secs(2);
    let room = WebRtc::default().connect(request).await.expect("the room is joined");
    server.stop();
    let DisconnectReason::ReconnectFailed { cause, last } = ended(room).await else {
        panic!("another reason")
    };
    assert!(
        matches!(*cause, DisconnectReason::SignalLost { .. } | DisconnectReason::ServerShutdown),
        "{cause:?}"
    );
    assert!(matches!(*last, DisconnectReason::JoinFailed(JoinFailure::Unreachable { .. })), "{last:?}");
}

#[tokio::test]
async fn a_refused_join_reports_the_remedy() {
    let Some(server) = real_server().await else { return };
    let error = refusal(server.url(), "nonsense").await;
    assert!(matches!(&error, JoinError::Failed(JoinFailure::Unauthorized { status: 401, .. })), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("nonsense"));
    // As an old server answers.
    let token = server.token().identity("agent").join_room("old").sign().expect("a token");
    let error = refusal(format!("{}/elsewhere", server.url()), token.expose()).await;
    assert!(matches!(&error, JoinError::Failed(JoinFailure::ServerTooOld)), "{error:?}");
    assert!(error.to_string().contains("1.9.10"), "{error}");
    let error = refusal("ws://127.0.0.1:1".to_owned(), "t").await;
    assert!(matches!(&error, JoinError::Connect(_)), "{error:?}");
    let error = refusal("not a url".to_owned(), "t").await;
    assert!(matches!(&error, JoinError::Url), "{error:?}");
}

async fn refusal(url: String, token: &str) -> JoinError {
    WebRtc::default().connect(JoinRequest::new(url, token)).await.expect_err("the join is refused")
}
