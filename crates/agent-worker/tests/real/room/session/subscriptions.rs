//! Which tracks a room receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_testkit::{DataMessage, RoomRequest, real_server};
use agent_worker::RoomEvent;
use agent_worker::net::NetOptions;
use agent_worker::room::{AutoSubscribe, JoinRequest, RoomConnector, WebRtc};

use super::{SOON, ada, until};

#[tokio::test]
async fn only_what_was_asked_for_is_subscribed() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    server.api().create_room(RoomRequest::new("modes")).await.expect("a room");
    let ada = ada(&server, "modes").await;
    let sid = ada.publish_audio("microphone", None).await.expect("a track");
    for (mode, subscribed) in [(AutoSubscribe::AudioOnly, true), (AutoSubscribe::VideoOnly, false)] {
        let identity = format!("{mode:?}");
        let token = server.token().identity(&identity).join_room("modes").sign().expect("a token");
        let mut request = JoinRequest::new(server.url(), token);
        request.auto_subscribe = mode;
        let room = WebRtc::default().connect(request).await.expect("joined");
        let mut events = room.events();
        until(&mut events, |event| matches!(event, RoomEvent::TrackPublished { .. }).then_some(())).await;
        if subscribed {
            until(&mut events, |event| {
                matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid).then_some(())
            })
            .await;
        } else {
            // No subscription is among all that comes until the room is left.
            ada.send(DataMessage::new("done").to(&identity)).await.expect("sent");
            let none = until(&mut events, |event| match event {
                RoomEvent::TrackSubscribed { .. } => Some(false),
                RoomEvent::DataReceived(_) => Some(true),
                _ => None,
            });
            assert!(none.await, "a track that was not subscribed to");
        }
        room.leave().await;
    }
}

/// Packets of a room in which somebody speaks, within a second: 50 with sound, and a few pings and reports.
#[tokio::test]
async fn a_room_without_subscriptions_receives_no_media() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    server.api().create_room(RoomRequest::new("silent")).await.expect("a room");
    let ada = ada(&server, "silent").await;
    ada.publish_audio("microphone", Some(440)).await.expect("a track");
    let mut packets = Vec::new();
    for mode in [AutoSubscribe::All, AutoSubscribe::None] {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let net = NetOptions::default().media_filter(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        });
        let token = server.token().identity(format!("{mode:?}")).join_room("silent").sign().expect("a token");
        let mut request = JoinRequest::new(server.url(), token);
        request.auto_subscribe = mode;
        let room = WebRtc::new(net).connect(request).await.expect("joined");
        let mut events = room.events();
        until(&mut events, |event| matches!(event, RoomEvent::TrackPublished { .. }).then_some(())).await;
        if mode == AutoSubscribe::All {
            until(&mut events, |event| matches!(event, RoomEvent::TrackSubscribed { .. }).then_some(()))
                .await;
            // What comes is sound.
            let deadline = tokio::time::Instant::now() + SOON;
            while count.load(Ordering::Relaxed) < 300 {
                assert!(tokio::time::Instant::now() < deadline, "no sound comes");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        } else {
            // As long as six hundred packets of sound.
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        packets.push(count.load(Ordering::Relaxed));
        room.leave().await;
    }
    assert!(packets[1] < 150, "{packets:?}");
}
