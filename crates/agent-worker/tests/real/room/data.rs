//! Rooms of a real livekit-server, with an official client as the other participant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agent_testkit::{
    ClientError, ClientEvent, DataMessage, OfficialClient, ParticipantChange, RealServer, RoomRequest,
    real_server,
};
use agent_worker::net::NetOptions;
use agent_worker::room::{
    AutoSubscribe, ConnectionQuality, DisconnectReason, JoinError, JoinFailure, JoinRequest, ParticipantKind,
    RoomConnector, RoomError, RoomEvents, TrackKind, TrackSource, WebRtc,
};
use agent_worker::{Room, RoomEvent};

use crate::support::captured_log::CapturedLog;

const SOON: Duration = Duration::from_secs(20);

async fn join(server: &RealServer, room: &str, identity: &str) -> Room {
    let token = server.token().identity(identity).join_room(room).can_update_own_metadata(true);
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
            let event = events.next().await.expect("the room goes on");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    };
    tokio::time::timeout(SOON, picked).await.expect("the event comes")
}

async fn hears(client: &mut OfficialClient, topic: &str, payload: &[u8]) -> bool {
    let heard = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some(topic) && data.payload == payload);
    client.wait_for(heard, SOON).await.is_ok()
}

#[tokio::test]
async fn data_goes_both_ways_reliably_and_not() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, "data", "agent").await;
    let mut events = room.events();
    let mut ada = ada(&server, "data").await;

    room.publish_data("chat", "hello").await.expect("sent");
    assert!(hears(&mut ada, "chat", b"hello").await);
    room.publish_data("cursor", vec![1, 2, 3]).lossy().await.expect("sent");
    assert!(hears(&mut ada, "cursor", &[1, 2, 3]).await);
    room.publish_data("largest", vec![7; 64_000]).await.expect("sent");
    assert!(hears(&mut ada, "largest", &[7; 64_000]).await);
    let refused = room.publish_data("larger", vec![7; 64_001]).await;
    assert_eq!(refused, Err(RoomError::PayloadTooLarge { len: 64_001 }));
    // To somebody else first: had it come, it would have come before the one for Ada.
    room.publish_data("secret", "not for Ada").to(["bob"]).await.expect("sent");
    room.publish_data("secret", "for Ada").to(["ada"]).await.expect("sent");
    let secret = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some("secret"));
    let first = ada.wait_for(secret, SOON).await.expect("the secret comes");
    assert!(matches!(first, ClientEvent::Data(data) if data.payload == b"for Ada"));

    for (message, reliable) in [
        (DataMessage::new("one").topic("t1"), true),
        (DataMessage::new("two").topic("t2").lossy(), false),
        (DataMessage::new("three").to("agent"), true),
    ] {
        ada.send(message).await.expect("sent");
        let data = until(&mut events, |event| match event {
            RoomEvent::DataReceived(data) => Some(data),
            _ => None,
        })
        .await;
        let expected: (&[u8], &str) = match data.topic.as_str() {
            "t1" => (b"one", "t1"),
            "t2" => (b"two", "t2"),
            _ => (b"three", ""),
        };
        assert_eq!((&data.payload[..], data.topic.as_str()), expected);
        assert_eq!((data.sender.as_deref(), data.reliable), (Some("ada"), reliable));
    }

    // Much at once arrives whole and in order, also when the agent leaves right after it.
    for n in 0..100_u32 {
        room.publish_data("bulk", [n.to_be_bytes().to_vec(), vec![0; 10_000]].concat()).await.expect("sent");
    }
    room.leave().await;
    assert_eq!(room.closed().await, DisconnectReason::ClientInitiated);
    for n in 0..100_u32 {
        let bulk = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some("bulk"));
        match ada.wait_for(bulk, SOON).await.expect("all of it arrives") {
            ClientEvent::Data(data) => assert!(data.payload.starts_with(&n.to_be_bytes()), "number {n}"),
            other => panic!("{other:?}"),
        }
    }
    let left = |event: &ClientEvent| matches!(event, ClientEvent::ParticipantDisconnected { identity, .. } if identity == "agent");
    ada.wait_for(left, SOON).await.expect("the agent is gone");
}

#[tokio::test]
async fn participants_and_tracks_are_told_as_they_change() {
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
async fn what_the_server_api_does_is_heard() {
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
    let change = ParticipantChange::new().metadata("given").attribute("k", "v");
    server.api().update_participant("api", "agent", change).await.expect("changed");
    until(&mut events, |event| {
        matches!(event, RoomEvent::MetadataChanged(p) if p.identity == "agent").then_some(())
    })
    .await;
    server.api().update_room_metadata("api", "blue").await.expect("changed");
    until(&mut events, |event| matches!(event, RoomEvent::RoomMetadataChanged(_)).then_some(())).await;
    assert_eq!(room.metadata(), "blue");
}

#[tokio::test]
async fn a_refreshed_token_opens_the_room_by_itself() {
    let Some(server) = real_server().await else { return };
    let room = join(&server, "tokens", "agent").await;
    let mut events = room.events();
    let refreshed = |event| match event {
        RoomEvent::TokenRefreshed { token } => Some(token),
        _ => None,
    };
    until(&mut events, refreshed).await; // at the start
    server
        .api()
        .update_participant("tokens", "agent", ParticipantChange::new().can_publish(false))
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
async fn a_refused_join_says_what_to_do() {
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
            // Whatever else comes until the room is left, no subscription is among it.
            ada.send(DataMessage::new("done").to(&identity)).await.expect("sent");
            let none = until(&mut events, |event| match event {
                RoomEvent::TrackSubscribed { .. } => Some(false),
                RoomEvent::DataReceived(_) => Some(true),
                _ => None,
            });
            assert!(none.await, "a track that nobody asked for");
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

/// What peers send and this version does not take.
#[tokio::test]
async fn a_call_is_refused_at_once_and_streams_disturb_nothing() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let log = CapturedLog::start(tracing::Level::WARN);
    let room = join(&server, "calls", "agent").await;
    let mut events = room.events();
    let ada = ada(&server, "calls").await;
    for text in ["hello?", "hello??"] {
        ada.send_text("lk.chat", text).await.expect("sent");
    }
    let begun = Instant::now();
    let refused = ada.perform_rpc("agent", "greet", "{}").await;
    let Err(ClientError::Rpc { code: 1400, message }) = refused else { panic!("{refused:?}") };
    assert_eq!(message, "Method not supported at destination");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "before the caller's own timeouts: {:?}",
        begun.elapsed()
    );
    // And the room goes on.
    ada.send(DataMessage::new("still here").topic("t")).await.expect("sent");
    until(&mut events, |event| matches!(event, RoomEvent::DataReceived(_)).then_some(())).await;
    let streams = log.lines_with("a stream was ignored");
    assert!(matches!(&streams[..], [line] if line.contains("topic=lk.chat sender=ada")), "{streams:?}");
    let calls = log.lines_with("an RPC request was refused with error 1400");
    assert!(matches!(&calls[..], [line] if line.contains("method=greet sender=ada")), "{calls:?}");
}
