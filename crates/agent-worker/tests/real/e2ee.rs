//! End-to-end encryption with official clients, through a real livekit-server.

use std::time::Duration;

use agent_testkit::{
    ClientEvent, ClientKind, DataMessage, MeasuredSound, OfficialClient, RealServer, real_server,
};
use agent_worker::media::{AudioFormat, AudioStream};
use agent_worker::room::{
    AudioTrackOptions, E2eeError, E2eeKey, E2eeOptions, E2eeState, JoinRequest, RoomConnector, RoomEvents,
    WebRtc,
};
use agent_worker::{Room, RoomEvent};

use crate::audio_out::{event, hears, listen};

const SOON: Duration = Duration::from_secs(30);
pub(crate) const PASSPHRASE: &str = "a passphrase of both";

/// An agent in this room, with this passphrase for everybody.
pub(crate) async fn agent(server: &RealServer, room: &str, passphrase: &str) -> Room {
    agent_with(server, room, E2eeOptions::shared(E2eeKey::new(passphrase))).await
}

pub(crate) async fn agent_with(server: &RealServer, room: &str, keys: E2eeOptions) -> Room {
    let token = server.token().identity("agent").join_room(room).sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.e2ee = Some(keys);
    WebRtc::default().connect(request).await.expect("the room is joined")
}

pub(crate) async fn client(server: &RealServer, kind: ClientKind, room: &str) -> OfficialClient {
    let token = server.token().identity("ada").join_room(room).sign().expect("a token");
    OfficialClient::join_encrypted(kind, &server.url(), &token, PASSPHRASE).await.expect("the client joins")
}

/// The sound of a tone that this client publishes.
async fn tone(room: &Room, events: &mut RoomEvents, ada: &OfficialClient) -> AudioStream {
    let sid = ada.publish_audio("microphone", Some(440)).await.expect("a track");
    event(
        events,
        "the subscription",
        |event| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid && track.encrypted),
    )
    .await;
    room.audio(&sid, AudioFormat::MONO_48K).expect("it is published")
}

/// Waits until a whole second is the tone.
async fn hears_tone(audio: &mut AudioStream) {
    let format = audio.format();
    let found = async {
        let mut second = Vec::new();
        loop {
            let received = audio.next().await.expect("the track continues");
            second.extend_from_slice(received.audio.samples());
            if second.len() >= format.samples_in(Duration::from_secs(1)) {
                let sound = MeasuredSound::of(&second, format.sample_rate(), format.channels());
                if (sound.hertz - 440.0).abs() < 2.0 && sound.dbfs > -30.0 {
                    return;
                }
                second.clear();
            }
        }
    };
    tokio::time::timeout(SOON, found).await.expect("the tone is heard");
}

/// Waits for this state of the client's tracks or data.
pub(crate) async fn state(events: &mut RoomEvents, expected: impl Fn(&E2eeState) -> bool) {
    event(events, "the state of the encryption", |event| {
        matches!(event, RoomEvent::E2eeStateChanged { identity, state, .. } if identity == "ada" && expected(state))
    })
    .await;
}

async fn data_both_ways(room: &Room, events: &mut RoomEvents, ada: &mut OfficialClient) {
    ada.send(DataMessage::new("from the client").topic("chat")).await.expect("sent");
    event(
        events,
        "the data",
        |event| matches!(event, RoomEvent::DataReceived(data) if data.payload == "from the client" && data.encrypted),
    )
    .await;
    room.publish_data("chat", "from the agent").await.expect("sent");
    let received =
        |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.payload == b"from the agent");
    ada.wait_for(received, SOON).await.expect("the client reads it");
}

#[tokio::test]
async fn sound_and_data_are_read_by_those_who_have_the_key() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = agent(&server, "sealed", PASSPHRASE).await;
    let mut events = room.events();
    let mut ada = client(&server, ClientKind::Python, "sealed").await;
    data_both_ways(&room, &mut events, &mut ada).await;
    let mut audio = tone(&room, &mut events, &ada).await;
    hears_tone(&mut audio).await;

    let track = room.publish_audio(AudioTrackOptions::new("echo")).await.expect("published");
    let sid = track.sid();
    let echo = async {
        while let Some(received) = audio.next().await {
            track.push(&received.audio).await.expect("it is published");
        }
    };
    let heard = async {
        listen(&mut ada, &sid).await;
        hears(&mut ada, &sid, 440.0).await;
        // The agent's next key, which the client finds by itself.
        room.ratchet_e2ee_key(0).await.expect("ratcheted");
        hears(&mut ada, &sid, 440.0).await;
    };
    tokio::select! {
        () = heard => {}
        () = echo => panic!("the track ended"),
    }
}

/// The keys of this client change while it sends a tone.
async fn follows_the_keys_of(kind: ClientKind) {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host_of(kind).await.is_none() {
        return;
    }
    let room = agent(&server, "changing", PASSPHRASE).await;
    let mut events = room.events();
    let mut ada = client(&server, kind, "changing").await;
    let mut audio = tone(&room, &mut events, &ada).await;
    hears_tone(&mut audio).await;
    ada.ratchet_shared_key(0).await.expect("ratcheted");
    state(&mut events, |state| *state == E2eeState::Ratcheted).await;
    hears_tone(&mut audio).await;
    // Another key, which the agent learns late.
    ada.set_shared_key("another passphrase", 1).await.expect("set");
    state(&mut events, |state| *state == E2eeState::Failed(E2eeError::MissingKey { index: 1 })).await;
    room.set_e2ee_key(1, E2eeKey::new("another passphrase")).await.expect("set");
    state(&mut events, |state| *state == E2eeState::Ok).await;
    hears_tone(&mut audio).await;
    room.use_e2ee_key(1).await.expect("there is one");
    data_both_ways(&room, &mut events, &mut ada).await;
}

#[tokio::test]
async fn keys_that_change_in_the_middle_are_followed() {
    follows_the_keys_of(ClientKind::Python).await;
}

#[tokio::test]
async fn keys_of_a_browser_that_change_in_the_middle_are_followed() {
    follows_the_keys_of(ClientKind::Browser).await;
}

/// The key of this client is another one.
async fn hears_nothing_of(kind: ClientKind) {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host_of(kind).await.is_none() {
        return;
    }
    let room = agent(&server, "wrong", "another passphrase").await;
    let mut events = room.events();
    let ada = client(&server, kind, "wrong").await;
    let mut audio = tone(&room, &mut events, &ada).await;
    state(&mut events, |state| *state == E2eeState::Failed(E2eeError::WrongKey { index: 0 })).await;
    let heard = tokio::time::timeout(Duration::from_secs(2), async {
        while let Some(received) = audio.next().await {
            assert!(received.audio.samples().iter().all(|sample| *sample == 0), "nothing is played");
        }
    });
    assert!(heard.await.is_err(), "the track continues");
}

#[tokio::test]
async fn with_a_wrong_key_nothing_is_heard_and_it_is_reported() {
    hears_nothing_of(ClientKind::Python).await;
}

#[tokio::test]
async fn with_a_wrong_key_nothing_is_heard_of_a_browser() {
    hears_nothing_of(ClientKind::Browser).await;
}

#[tokio::test]
async fn each_participant_has_a_key_of_its_own() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let own = E2eeOptions::per_participant().own_key(E2eeKey::new("the agent's"));
    let room = agent_with(&server, "keys", own.key_of("ada", E2eeKey::new("Ada's"))).await;
    let mut events = room.events();
    let token = server.token().identity("ada").join_room("keys").sign().expect("a token");
    let keys = [("ada", "Ada's"), ("agent", "the agent's")];
    let joined = OfficialClient::join_with_participant_keys(&server.url(), &token, &keys).await;
    let mut ada = joined.expect("the client joins");
    data_both_ways(&room, &mut events, &mut ada).await;
    let mut audio = tone(&room, &mut events, &ada).await;
    hears_tone(&mut audio).await;
    let track = room.publish_audio(AudioTrackOptions::new("echo")).await.expect("published");
    let sid = track.sid();
    let echo = async {
        while let Some(received) = audio.next().await {
            track.push(&received.audio).await.expect("it is published");
        }
    };
    let heard = async {
        listen(&mut ada, &sid).await;
        hears(&mut ada, &sid, 440.0).await;
    };
    tokio::select! {
        () = heard => {}
        () = echo => panic!("the track ended"),
    }
}

#[tokio::test]
async fn data_tracks_are_encrypted_both_ways() {
    /// How long to wait for a frame before it is sent again.
    const PAUSE: Duration = Duration::from_millis(20);

    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = agent(&server, "tracks", PASSPHRASE).await;
    let mut events = room.events();
    let mut ada = client(&server, ClientKind::Python, "tracks").await;
    let sid = ada.publish_data_track("sensor").await.expect("published");
    event(
        &mut events,
        "the track",
        |event| matches!(event, RoomEvent::DataTrackPublished { track, .. } if track.sid == sid && track.encrypted),
    )
    .await;
    let mut stream = room.data_track(&sid).await.expect("there is one");
    // Of more than one packet.
    let payload = vec![9; 40_000];
    let arrives = async {
        loop {
            ada.push_data_frame(&sid, &payload, Some(7)).await.expect("pushed");
            if let Ok(frame) = tokio::time::timeout(PAUSE, stream.next()).await {
                return frame.expect("the track goes on");
            }
        }
    };
    let frame = tokio::time::timeout(SOON, arrives).await.expect("a frame arrives");
    assert!(frame.payload == payload && frame.user_timestamp == Some(7));

    let mut position = room.publish_data_track("position").await.expect("published");
    let is_track = |event: &ClientEvent| matches!(event, ClientEvent::DataTrackPublished { .. });
    let Ok(ClientEvent::DataTrackPublished { sid, .. }) = ada.wait_for(is_track, SOON).await else {
        panic!("the client sees no track");
    };
    ada.subscribe_data_track(&sid).await.expect("subscribed");
    let payload = vec![8; 40_000];
    let is_it =
        |event: &ClientEvent| matches!(event, ClientEvent::DataFrame { payload: it, .. } if *it == payload);
    let arrives = async {
        loop {
            position.push(payload.clone()).await.expect("pushed");
            if ada.wait_for(is_it, PAUSE).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, arrives).await.expect("a frame arrives");
}

#[tokio::test]
async fn a_browser_reads_and_is_read() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host_of(ClientKind::Browser).await.is_none() {
        return;
    }
    let room = agent(&server, "browser", PASSPHRASE).await;
    let mut events = room.events();
    let mut ada = client(&server, ClientKind::Browser, "browser").await;
    data_both_ways(&room, &mut events, &mut ada).await;
    let mut audio = tone(&room, &mut events, &ada).await;
    hears_tone(&mut audio).await;
    let track = room.publish_audio(AudioTrackOptions::new("echo")).await.expect("published");
    let sid = track.sid();
    let echo = async {
        while let Some(received) = audio.next().await {
            track.push(&received.audio).await.expect("it is published");
        }
    };
    let heard = async {
        // A tenth of a second of the tone.
        while ada.audio_energy(&sid).await.expect("an answer") < 0.005 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        heard = tokio::time::timeout(SOON, heard) => heard.expect("the browser hears the agent"),
        () = echo => panic!("the track ended"),
    }
}
