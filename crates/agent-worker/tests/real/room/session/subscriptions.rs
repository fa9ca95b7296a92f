//! Which tracks a room receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_testkit::{DataMessage, RoomRequest, real_server};
use agent_worker::RoomEvent;
use agent_worker::net::NetOptions;
use agent_worker::room::{
    AutoSubscribe, EncodedAudioStream, JoinRequest, RoomConnector, RoomError, RoomEvents, WebRtc,
};

use super::{SOON, ada, until};
use crate::support::network::Network;

#[tokio::test]
async fn only_requested_tracks_are_subscribed() {
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
            // There is no subscription among all events until the room is left.
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
            // The received frames are sound.
            let deadline = tokio::time::Instant::now() + SOON;
            while count.load(Ordering::Relaxed) < 300 {
                assert!(tokio::time::Instant::now() < deadline, "no sound comes");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        } else {
            // The duration of six hundred packets of sound.
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        packets.push(count.load(Ordering::Relaxed));
        room.leave().await;
    }
    assert!(packets[1] < 150, "{packets:?}");
}

/// Waits until a hundred milliseconds have frames, or half a second has none.
async fn plays(stream: &mut EncodedAudioStream, plays: bool) {
    let as_expected = async {
        let mut in_a_row = 0;
        while in_a_row < 5 {
            in_a_row = match tokio::time::timeout(Duration::from_millis(500), stream.next()).await {
                Ok(frame) => in_a_row + frame.map(|_| u32::from(plays)).expect("the track continues"),
                Err(_) if plays => 0,
                Err(_) => return,
            };
        }
    };
    let what = if plays { "frames come" } else { "the track falls silent" };
    tokio::time::timeout(SOON, as_expected).await.expect(what);
}

async fn reconnected(events: &mut RoomEvents) -> bool {
    until(events, |event| match event {
        RoomEvent::Reconnected(again) => Some(again.resumed),
        _ => None,
    })
    .await
}

/// What was chosen by hand stays so over a resume and a new session of ours.
#[tokio::test]
async fn tracks_are_subscribed_and_paused_by_hand() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let ada = ada(&server, "by-hand").await;
    let a = ada.publish_audio("microphone", Some(440)).await.expect("a track");
    let b = ada.publish_audio("music", Some(220)).await.expect("a track");
    let network = Network::default();
    let token = server.token().identity("agent").join_room("by-hand").sign().expect("a token");
    let room = WebRtc::new(network.options()).connect(JoinRequest::new(server.url(), token)).await;
    let room = room.expect("joined");
    let mut events = room.events();
    // The participant's tracks may be announced after the join.
    let mut subscribed = 0;
    until(&mut events, |event| {
        subscribed += u32::from(matches!(event, RoomEvent::TrackSubscribed { .. }));
        (subscribed == 2).then_some(())
    })
    .await;
    let open = |sid: &str| room.encoded_audio(sid).expect("it is published").capacity(250);
    let (mut of_a, mut of_b) = (open(&a), open(&b));
    let unknown = room.set_subscribed("TR_nobody", true).await;
    assert_eq!(unknown, Err(RoomError::TrackNotFound { sid: "TR_nobody".to_owned() }));

    room.set_subscribed(&a, false).await.expect("requested");
    until(&mut events, |event| {
        matches!(event, RoomEvent::TrackUnsubscribed { track_sid } if track_sid == a).then_some(())
    })
    .await;
    plays(&mut of_a, false).await;
    plays(&mut of_b, true).await;
    room.set_track_enabled(&b, false).await.expect("requested");
    plays(&mut of_b, false).await;
    assert!(!room.is_subscribed(&a) && room.is_subscribed(&b));

    network.cut();
    assert!(reconnected(&mut events).await, "the session is resumed");
    plays(&mut of_a, false).await;
    plays(&mut of_b, false).await;
    room.set_track_enabled(&b, true).await.expect("requested");
    plays(&mut of_b, true).await;
    room.set_subscribed(&a, true).await.expect("requested");
    plays(&mut of_a, true).await;

    room.set_subscribed(&a, false).await.expect("requested");
    room.set_track_enabled(&b, false).await.expect("requested");
    plays(&mut of_a, false).await;
    plays(&mut of_b, false).await;
    // A resume finds no path for media, so that there is a new session.
    network.block_media(true);
    network.cut();
    let unblock = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        network.block_media(false);
    };
    let (resumed, ()) = tokio::join!(reconnected(&mut events), unblock);
    assert!(!resumed, "it is a new session");
    until(&mut events, |event| {
        matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == b).then_some(())
    })
    .await;
    plays(&mut of_a, false).await;
    plays(&mut of_b, false).await;
    assert!(!room.is_subscribed(&a) && room.is_subscribed(&b));
    room.set_track_enabled(&b, true).await.expect("requested");
    plays(&mut of_b, true).await;
    room.set_subscribed(&a, true).await.expect("requested");
    plays(&mut of_a, true).await;
    room.leave().await;
}

/// A track that is read is subscribed, and no longer when nobody reads it.
#[tokio::test]
async fn a_track_is_sent_while_it_is_read() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let ada = ada(&server, "read").await;
    let sid = ada.publish_audio("microphone", Some(440)).await.expect("a track");
    let token = server.token().identity("agent").join_room("read").sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.auto_subscribe = AutoSubscribe::None;
    let room = WebRtc::default().connect(request).await.expect("joined");
    let mut events = room.events();
    if room.encoded_audio(&sid).is_err() {
        until(&mut events, |event| matches!(event, RoomEvent::TrackPublished { .. }).then_some(())).await;
    }
    for _ in 0..2 {
        let mut stream = room.encoded_audio(&sid).expect("it is published");
        plays(&mut stream, true).await;
        assert!(room.is_subscribed(&sid));
        drop(stream);
        until(&mut events, |event| matches!(event, RoomEvent::TrackUnsubscribed { .. }).then_some(())).await;
    }
    room.leave().await;
}
