//! Audio tracks of an agent on a real livekit-server, as official clients hear them: the agent passes the
//! frames of a client's tone on unchanged, so that no codec of ours is involved.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use agent_testkit::{ClientEvent, OfficialClient, OfficialSound, RealServer, Tone, real_server};
use agent_worker::room::{
    AudioLevel, AudioTrackOptions, EncodedAudioStream, EncodedAudioTrack, JoinRequest, OutgoingFrame,
    RoomConnector, RoomError, RoomEvents, TrackSource, WebRtc,
};
use agent_worker::{Room, RoomEvent};

use crate::room::reconnect::reconnected;
use crate::support::network::Network;

const SOON: Duration = Duration::from_secs(20);

/// The tone that a client plays: a sine of an amplitude of 12,000.
pub(crate) fn played(hertz: f64) -> Tone {
    Tone::new(hertz).level(-8.7)
}

pub(crate) async fn join(server: &RealServer, network: &Network, room: &str) -> Room {
    let token = server.token().identity("agent").join_room(room).sign().expect("a token");
    let request = JoinRequest::new(server.url(), token);
    WebRtc::new(network.options()).connect(request).await.expect("the room is joined")
}

pub(crate) async fn client(server: &RealServer, room: &str, identity: &str) -> OfficialClient {
    let token = server.token().identity(identity).join_room(room).sign().expect("a token");
    OfficialClient::join(&server.url(), &token).await.expect("the client joins")
}

/// Waits for an event of the room.
pub(crate) async fn event(
    events: &mut RoomEvents,
    what: &str,
    mut is_it: impl FnMut(&RoomEvent) -> bool,
) -> RoomEvent {
    let found = async {
        loop {
            match events.next().await {
                Some(event) if is_it(&event) => return event,
                Some(_) => {}
                None => panic!("the room ended before {what}"),
            }
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// The frames of a tone that this client publishes.
pub(crate) async fn tone(
    room: &Room,
    events: &mut RoomEvents,
    ada: &OfficialClient,
    hertz: u32,
) -> EncodedAudioStream {
    let sid = ada.publish_audio("microphone", Some(hertz)).await.expect("a track");
    event(
        events,
        "the subscription",
        |event| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid),
    )
    .await;
    room.encoded_audio(&sid).expect("it is published")
}

/// Passes frames on, with the level of speech, until one cannot be sent.
pub(crate) fn pass_on(
    mut frames: EncodedAudioStream,
    track: impl Into<Arc<EncodedAudioTrack>>,
) -> JoinHandle<RoomError> {
    let track = track.into();
    tokio::spawn(async move {
        while let Some(frame) = frames.next().await {
            if let Err(error) = track.send(OutgoingFrame::from(frame).level(AudioLevel::new(-15, true))) {
                return error;
            }
        }
        RoomError::NotConnected
    })
}

/// Waits until the client is subscribed to this track, and listens to it.
pub(crate) async fn listen(client: &mut OfficialClient, sid: &str) {
    let subscribed =
        |event: &ClientEvent| matches!(event, ClientEvent::TrackSubscribed { track, .. } if track.sid == sid);
    client.wait_for(subscribed, SOON).await.expect("the client is subscribed");
    client.listen(sid).await.expect("it listens");
}

/// The next second of a track.
pub(crate) async fn second(client: &mut OfficialClient, sid: &str) -> OfficialSound {
    let heard = |event: &ClientEvent| matches!(event, ClientEvent::Heard(sound) if sound.sid == sid);
    match client.wait_for(heard, SOON).await.expect("it hears something") {
        ClientEvent::Heard(sound) => sound,
        other => panic!("{other:?}"),
    }
}

/// Waits until a whole second is the tone: the first ones have its beginning.
pub(crate) async fn hears(client: &mut OfficialClient, sid: &str, hertz: f64) {
    let mut heard = Vec::new();
    for _ in 0..10 {
        let sound = second(client, sid).await;
        if sound.is(played(hertz)) {
            return;
        }
        heard.push(sound);
    }
    panic!("no second of {hertz} Hz: {heard:#?}");
}

async fn waits_for(client: &mut OfficialClient, what: &str, is_it: impl FnMut(&ClientEvent) -> bool) {
    client.wait_for(is_it, SOON).await.unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[tokio::test]
async fn a_tone_that_is_passed_on_is_heard_as_it_was_played_and_its_publisher_speaks() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, &Network::default(), "passed").await;
    let mut events = room.events();
    let mut ada = client(&server, "passed", "ada").await;
    let frames = tone(&room, &mut events, &ada, 440).await;
    let options = AudioTrackOptions::new("echo");
    let track = room.publish_encoded_audio(options).await.expect("published");
    let sid = track.sid();
    assert!(sid.starts_with("TR_"), "{sid}");
    event(
        &mut events,
        "the publication",
        |event| matches!(event, RoomEvent::LocalTrackPublished { track, .. } if track.sid == sid),
    )
    .await;
    assert_eq!(room.local_participant().tracks[&sid].name, "echo");
    let passing = pass_on(frames, track);
    listen(&mut ada, &sid).await;
    event(
        &mut events,
        "the subscription",
        |event| matches!(event, RoomEvent::LocalTrackSubscribed { track } if track.sid == sid),
    )
    .await;
    hears(&mut ada, &sid, 440.0).await;
    for n in 0..5 {
        let sound = second(&mut ada, &sid).await;
        assert!(sound.is(played(440.0)), "second {n}: {sound:?}");
    }
    waits_for(&mut ada, "the agent speaks", |event| {
        matches!(event, ClientEvent::ActiveSpeakers { identities } if identities.contains(&"agent".to_owned()))
    })
    .await;
    let state = ada.state().await.expect("its state");
    let agent = state.others.iter().find(|other| other.identity == "agent").expect("the agent");
    assert_eq!((agent.tracks.len(), agent.tracks[0].name.as_str()), (1, "echo"));
    room.leave().await;
    assert_eq!(passing.await.expect("no panic"), RoomError::NotConnected);
}

#[tokio::test]
async fn two_tracks_are_not_confused_and_one_follows_another_in_its_section() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, &Network::default(), "two").await;
    let mut events = room.events();
    let ada = client(&server, "two", "ada").await;
    let bob = client(&server, "two", "bob").await;
    let mut eve = client(&server, "two", "eve").await;
    let of_ada = tone(&room, &mut events, &ada, 440).await;
    let of_bob = tone(&room, &mut events, &bob, 880).await;
    // At once, so that the server has both requests before an offer.
    let publish =
        |name: &str| room.publish_encoded_audio(AudioTrackOptions::new(name).source(TrackSource::Unknown));
    let (low, high) = tokio::join!(publish("low"), publish("high"));
    let (low, high) = (low.expect("published"), high.expect("published"));
    let (low_sid, high_sid) = (low.sid(), high.sid());
    let low = pass_on(of_ada, low);
    let high = pass_on(of_bob, high);
    listen(&mut eve, &low_sid).await;
    listen(&mut eve, &high_sid).await;
    hears(&mut eve, &low_sid, 440.0).await;
    hears(&mut eve, &high_sid, 880.0).await;

    // Dropping one track does not end the other, and the next one is heard instead of it.
    low.abort();
    waits_for(
        &mut eve,
        "the end of a track",
        |event| matches!(event, ClientEvent::TrackUnpublished { track, .. } if track.sid == low_sid),
    )
    .await;
    let sid = ada.publish_audio("again", Some(660)).await.expect("a track");
    event(
        &mut events,
        "the subscription",
        |event| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid),
    )
    .await;
    let third = publish("third").await.expect("published");
    let third_sid = third.sid();
    assert!(third_sid != low_sid && third_sid != high_sid);
    let third = pass_on(room.encoded_audio(&sid).expect("published"), third);
    listen(&mut eve, &third_sid).await;
    hears(&mut eve, &third_sid, 660.0).await;
    let sound = second(&mut eve, &high_sid).await;
    assert!(sound.is(played(880.0)), "{sound:?}");
    room.leave().await;
    assert_eq!(high.await.expect("no panic"), RoomError::NotConnected);
    assert_eq!(third.await.expect("no panic"), RoomError::NotConnected);
}

#[tokio::test]
async fn a_muted_track_is_shown_to_others_and_nothing_is_heard_of_it() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, &Network::default(), "muted").await;
    let mut events = room.events();
    let mut ada = client(&server, "muted", "ada").await;
    let frames = tone(&room, &mut events, &ada, 440).await;
    let track = room.publish_encoded_audio(AudioTrackOptions::new("echo")).await.expect("published");
    let sid = track.sid();
    let track = Arc::new(track);
    let passing = pass_on(frames, Arc::clone(&track));
    listen(&mut ada, &sid).await;
    hears(&mut ada, &sid, 440.0).await;

    track.mute().await.expect("muted");
    assert!(track.is_muted() && room.local_participant().tracks[&sid].muted);
    event(
        &mut events,
        "our mute",
        |event| matches!(event, RoomEvent::TrackMuted { track, .. } if track.sid == sid),
    )
    .await;
    waits_for(
        &mut ada,
        "the mute",
        |event| matches!(event, ClientEvent::TrackMuted { track, .. } if track.sid == sid),
    )
    .await;
    track.unmute().await.expect("no longer muted");
    waits_for(
        &mut ada,
        "the end of the mute",
        |event| matches!(event, ClientEvent::TrackUnmuted { track, .. } if track.sid == sid),
    )
    .await;
    hears(&mut ada, &sid, 440.0).await;

    // The server's API mutes the track, and the agent may unmute it.
    server.api().room("muted").mute_track("agent", &sid, true).await.expect("the server mutes it");
    event(
        &mut events,
        "the server's mute",
        |event| matches!(event, RoomEvent::TrackMuted { track, .. } if track.sid == sid),
    )
    .await;
    assert!(track.is_muted());
    track.unmute().await.expect("no longer muted");
    hears(&mut ada, &sid, 440.0).await;

    // The end of the track.
    passing.abort();
    let _ = passing.await;
    let track = Arc::into_inner(track).expect("the only one");
    track.unpublish().await.expect("unpublished");
    event(
        &mut events,
        "the end",
        |event| matches!(event, RoomEvent::LocalTrackUnpublished { track, .. } if track.sid == sid),
    )
    .await;
    waits_for(
        &mut ada,
        "the end",
        |event| matches!(event, ClientEvent::TrackUnpublished { track, .. } if track.sid == sid),
    )
    .await;
    room.leave().await;
}

#[tokio::test]
async fn a_source_that_is_not_permitted_is_refused_by_name() {
    let Some(server) = real_server().await else { return };
    for (name, can_publish, detail) in [
        (
            "some",
            true,
            "no permission to publish the source Microphone, but [ScreenShareAudio] (`can_publish_sources`)",
        ),
        ("none", false, "no permission to publish tracks (`can_publish`)"),
    ] {
        let token = server.token().identity("agent").join_room(name).can_publish(can_publish);
        let token = token.can_publish_sources([TrackSource::ScreenShareAudio]).sign().expect("a token");
        let request = JoinRequest::new(server.url(), token);
        let room = WebRtc::default().connect(request).await.expect("the room is joined");
        let refused = room.publish_encoded_audio(AudioTrackOptions::new("voice")).await;
        let expected = RoomError::NotAllowed { detail: detail.to_owned() };
        assert_eq!(refused.map(|track| track.sid()), Err(expected));
        let permitted = AudioTrackOptions::new("music").source(TrackSource::ScreenShareAudio);
        let permitted = room.publish_encoded_audio(permitted).await.map(|track| track.sid().is_empty());
        assert_eq!(permitted.is_ok(), can_publish, "{permitted:?}");
        room.leave().await;
    }
}

#[tokio::test]
async fn the_sound_continues_after_a_resume_and_after_another_session() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let network = Network::default();
    let room = join(&server, &network, "again").await;
    let mut events = room.events();
    let mut ada = client(&server, "again", "ada").await;
    let frames = tone(&room, &mut events, &ada, 440).await;
    let track =
        Arc::new(room.publish_encoded_audio(AudioTrackOptions::new("echo")).await.expect("published"));
    let sid = track.sid();
    let passing = pass_on(frames, Arc::clone(&track));
    listen(&mut ada, &sid).await;
    hears(&mut ada, &sid, 440.0).await;

    for _ in 0..3 {
        network.cut();
        assert!(reconnected(&mut events, drop).await.resumed, "a resume");
        assert_eq!(track.sid(), sid);
        hears(&mut ada, &sid, 440.0).await;
    }
    // What is published after a resume works as before.
    let other = room.publish_encoded_audio(AudioTrackOptions::new("other")).await.expect("published");
    other.unpublish().await.expect("unpublished");

    network.block_media(true);
    let unblock = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        network.block_media(false);
    };
    let (again, ()) = tokio::join!(reconnected(&mut events, drop), unblock);
    assert!(!again.resumed, "another session");
    let again =
        event(&mut events, "the track", |event| matches!(event, RoomEvent::LocalTrackRepublished { .. }))
            .await;
    let RoomEvent::LocalTrackRepublished { track: shown, previous_sid, .. } = again else {
        panic!("{again:?}")
    };
    assert_eq!((previous_sid.as_str(), shown.sid.as_str()), (sid.as_str(), track.sid().as_str()));
    assert_ne!(shown.sid, sid);
    listen(&mut ada, &shown.sid).await;
    hears(&mut ada, &shown.sid, 440.0).await;
    room.leave().await;
    assert_eq!(passing.await.expect("no panic"), RoomError::NotConnected);
}
