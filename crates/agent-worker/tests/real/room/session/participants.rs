//! Participants, their tracks and their changes, and what the server API does to them.

use std::collections::BTreeMap;
use std::time::Instant;

use agent_testkit::{DataMessage, ParticipantChange, real_server};
use agent_worker::RoomEvent;
use agent_worker::room::{
    ConnectionQuality, DisconnectReason, JoinRequest, ParticipantKind, RoomConnector, RoomError, TrackKind,
    TrackSource, WebRtc,
};

use super::{SOON, ada, join, until};

#[tokio::test]
async fn participants_and_tracks_are_reported_as_they_change() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, "events", "agent").await;
    assert_eq!(room.name(), "events");
    assert!(room.sid().starts_with("RM_"), "{}", room.sid());
    let mut events = room.events();
    let ada = ada(&server, "events").await;

    // Publishing makes the server announce her at once.
    let sid = ada.publish_audio("microphone", Some(440)).await.expect("a track");
    let joined = until(&mut events, |event| match event {
        RoomEvent::ParticipantJoined(participant) => Some(participant),
        _ => None,
    })
    .await;
    assert_eq!((joined.identity.as_str(), joined.kind), ("ada", ParticipantKind::Standard));
    let track = until(&mut events, |event| match event {
        RoomEvent::TrackPublished { track, .. } => Some(track),
        _ => None,
    })
    .await;
    assert_eq!((track.sid.as_str(), track.name.as_str()), (sid.as_str(), "microphone"));
    assert_eq!((track.kind, track.source), (TrackKind::Audio, TrackSource::Microphone));
    // The server asked for a section, and we offered one.
    until(&mut events, |event| {
        matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid).then_some(())
    })
    .await;
    until(&mut events, |event| match event {
        RoomEvent::SpeakersChanged(speakers) => speakers.iter().any(|s| s.identity == "ada").then_some(()),
        _ => None,
    })
    .await;

    // Measured by the server from what she sends, some seconds after she began.
    let quality = until(&mut events, |event| match event {
        RoomEvent::ConnectionQualityChanged { identity, quality } if identity == "ada" => Some(quality),
        _ => None,
    })
    .await;
    assert_eq!(quality, ConnectionQuality::Excellent);
    assert_eq!(room.connection_quality("ada"), Some(quality));
    assert!(room.is_subscribed(&sid) && room.active_speakers().iter().any(|s| s.identity == "ada"));

    ada.mute(&sid, true).await.expect("muted");
    until(&mut events, |event| matches!(event, RoomEvent::TrackMuted { .. }).then_some(())).await;
    ada.mute(&sid, false).await.expect("unmuted");
    until(&mut events, |event| matches!(event, RoomEvent::TrackUnmuted { .. }).then_some(())).await;

    server.api().mute_track("events", "ada", &sid, true).await.expect("muted");
    until(&mut events, |event| matches!(event, RoomEvent::TrackMuted { .. }).then_some(())).await;

    ada.set_attributes(&[("mood", "good"), ("x", "1")]).await.expect("set");
    let changed = |event| match event {
        RoomEvent::AttributesChanged { changed, .. } => Some(changed),
        _ => None,
    };
    let both = BTreeMap::from([("mood".to_owned(), "good".to_owned()), ("x".to_owned(), "1".to_owned())]);
    assert_eq!(until(&mut events, changed).await, both);
    ada.set_attributes(&[("x", "")]).await.expect("removed");
    assert_eq!(until(&mut events, changed).await, BTreeMap::from([("x".to_owned(), String::new())]));
    ada.set_metadata("tall").await.expect("set");
    until(&mut events, |event| {
        matches!(event, RoomEvent::MetadataChanged(p) if p.metadata == "tall").then_some(())
    })
    .await;
    ada.set_name("Ada L.").await.expect("set");
    until(&mut events, |event| {
        matches!(event, RoomEvent::NameChanged(p) if p.name == "Ada L.").then_some(())
    })
    .await;
    let known = room.participant("ada").expect("she is there");
    assert_eq!((known.name.as_str(), known.metadata.as_str()), ("Ada L.", "tall"));

    ada.unpublish(&sid).await.expect("taken back");
    until(&mut events, |event| {
        matches!(event, RoomEvent::TrackUnpublished { track, .. } if track.sid == sid).then_some(())
    })
    .await;
    // Once more in the same section.
    let again = ada.publish_audio("again", None).await.expect("a track");
    until(&mut events, |event| {
        matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == again).then_some(())
    })
    .await;
    ada.leave().await.expect("left");
    let reason = until(&mut events, |event| match event {
        RoomEvent::ParticipantLeft { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert_eq!(reason, DisconnectReason::ClientInitiated);
    assert!(room.participants().is_empty());
}

#[tokio::test]
async fn our_own_changes_are_seen_by_others() {
    let Some(server) = real_server().await else { return };
    let room = join(&server, "own", "agent").await;
    room.set_attributes([("a", "1"), ("b", "2")]).await.expect("set");
    room.set_attributes([("a", "")]).await.expect("removed");
    room.set_metadata("about me").await.expect("set");
    room.set_name("The Agent").await.expect("set");
    // The server's list may be older than its answer to the change.
    let attributes = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
    let limit = Instant::now() + SOON;
    loop {
        let listed = server.api().list_participants("own").await.expect("a list");
        let me = listed.iter().find(|p| p.identity == "agent");
        let is_right = me.is_some_and(|me| {
            (me.name.as_str(), me.metadata.as_str()) == ("The Agent", "about me")
                && me.attributes == attributes
        });
        if is_right {
            break;
        }
        assert!(Instant::now() < limit, "listed: {me:?}");
    }
    let local = room.local_participant();
    assert_eq!((local.name.as_str(), local.metadata.as_str()), ("The Agent", "about me"));
    assert_eq!(local.attributes, BTreeMap::from([("b".to_owned(), "2".to_owned())]));

    let token = server.token().identity("mute").join_room("own").sign().expect("a token");
    let other = WebRtc::default().connect(JoinRequest::new(server.url(), token)).await.expect("joined");
    let refused = other.set_metadata("x").await;
    assert!(matches!(refused, Err(RoomError::NotAllowed { .. })), "{refused:?}");
}

#[tokio::test]
async fn actions_of_the_server_api_are_reported() {
    let Some(server) = real_server().await else { return };
    let room = join(&server, "api", "agent").await;
    let mut events = room.events();
    server.api().send_data("api", DataMessage::new("from above").topic("srv")).await.expect("sent");
    let data = until(&mut events, |event| match event {
        RoomEvent::DataReceived(data) => Some(data),
        _ => None,
    })
    .await;
    assert_eq!((&data.payload[..], data.topic.as_str(), data.sender), (&b"from above"[..], "srv", None));
    let change = ParticipantChange::new().metadata("given").attributes([("k", "v")]);
    server.api().update_participant("api", "agent", change).await.expect("changed");
    until(&mut events, |event| {
        matches!(event, RoomEvent::MetadataChanged(p) if p.identity == "agent").then_some(())
    })
    .await;
    server.api().update_room_metadata("api", "blue").await.expect("changed");
    until(&mut events, |event| matches!(event, RoomEvent::RoomMetadataChanged(_)).then_some(())).await;
    assert_eq!(room.metadata(), "blue");
}
