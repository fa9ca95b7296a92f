//! Official clients among themselves on a real server: what one sends, the others report.

use std::time::Duration;

use agent_testkit::{
    ClientError, ClientEvent, ClientKind, DataMessage, OfficialClient, OfficialHost, ParticipantChange,
    RealServer, official_host, official_host_of, real_server,
};
use agent_worker::Secret;

/// A test ends with the first error of a client.
type TestResult = Result<(), ClientError>;

const SOON: Duration = Duration::from_secs(10);

#[expect(clippy::expect_used, reason = "a helper of tests")]
fn token(server: &RealServer, identity: &str) -> Secret {
    server
        .token()
        .identity(identity)
        .name(identity)
        .join_room("lobby")
        .can_update_own_metadata(true)
        .sign()
        .expect("a token")
}

async fn join(server: &RealServer, identity: &str) -> Result<OfficialClient, ClientError> {
    OfficialClient::join(&server.url(), &token(server, identity)).await
}

fn payload(event: &ClientEvent) -> Option<&[u8]> {
    match event {
        ClientEvent::Data(data) => Some(&data.payload),
        _ => None,
    }
}

#[tokio::test]
async fn they_exchange_data() -> TestResult {
    let Some(server) = real_server().await else { return Ok(()) };
    if official_host().await.is_none() {
        return Ok(());
    }
    let mut ada = join(&server, "ada").await?;
    let mut bob = join(&server, "bob").await?;
    let mut eve = join(&server, "eve").await?;
    let joined = ada.wait_for(|event| matches!(event, ClientEvent::ParticipantConnected { participant } if participant.identity == "bob"), SOON).await?;
    let ClientEvent::ParticipantConnected { participant } = joined else { panic!("{joined:?}") };
    assert!(!participant.agent && participant.sid.starts_with("PA_"), "{participant:?}");

    ada.send(DataMessage::new(vec![0, 255, 7]).topic("chat").to("bob")).await?;
    ada.send(DataMessage::new("to all")).await?;
    let event = bob.wait_for(|event| payload(event).is_some(), SOON).await?;
    let ClientEvent::Data(data) = event else { panic!("{event:?}") };
    assert_eq!((data.identity.as_deref(), data.topic.as_deref()), (Some("ada"), Some("chat")));
    assert!(data.reliable && data.payload == [0, 255, 7], "{data:?}");
    // Reliable data arrive in order: a message for others would have arrived before.
    let event = eve.wait_for(|event| payload(event).is_some(), SOON).await?;
    assert_eq!(payload(&event), Some(&b"to all"[..]));

    server.api().send_data("lobby", DataMessage::new("from the server").lossy()).await.expect("sent");
    let event = bob.wait_for(|event| payload(event) == Some(b"from the server"), SOON).await?;
    let ClientEvent::Data(data) = event else { panic!("{event:?}") };
    assert!(data.identity.is_none() && data.topic.is_none() && !data.reliable, "{data:?}");
    // Skipped events are still there.
    let event = bob.next_event(SOON).await?;
    assert!(!matches!(event, ClientEvent::Data(ref data) if data.identity.is_none()), "{event:?}");
    Ok(())
}

#[tokio::test]
async fn they_see_attributes_tracks_and_other_participants() -> TestResult {
    let Some(server) = real_server().await else { return Ok(()) };
    if official_host().await.is_none() {
        return Ok(());
    }
    let mut ada = join(&server, "ada").await?;
    let bob = join(&server, "bob").await?;
    // Changes before this would be part of the announcement.
    ada.wait_for(
        |event| matches!(event, ClientEvent::ParticipantConnected { participant } if participant.identity == "bob"),
        SOON,
    )
    .await?;
    bob.set_attributes(&[("mood", "fine")]).await?;
    bob.set_metadata("m").await?;
    bob.set_name("Bob").await?;
    let is = |name: &'static str, value: &'static str| {
        move |event: &ClientEvent| match event {
            ClientEvent::AttributesChanged { identity, changed, .. } => {
                name == "attributes"
                    && identity == "bob"
                    && changed.get("mood").is_some_and(|mood| mood == value)
            }
            ClientEvent::MetadataChanged { identity, metadata } => {
                name == "metadata" && identity == "bob" && metadata == value
            }
            ClientEvent::NameChanged { identity, name: new } => {
                name == "name" && identity == "bob" && new == value
            }
            ClientEvent::RoomMetadataChanged { metadata } => name == "room" && metadata == value,
            _ => false,
        }
    };
    // In a different order than they arrived.
    ada.wait_for(is("name", "Bob"), SOON).await?;
    ada.wait_for(is("attributes", "fine"), SOON).await?;
    ada.wait_for(is("metadata", "m"), SOON).await?;
    let change = ParticipantChange::new().attributes([("mood", "better")]).name("Robert");
    let bob_now = server.api().update_participant("lobby", "bob", change).await.expect("changed");
    assert_eq!((bob_now.name.as_str(), bob_now.active), ("Robert", true));
    ada.wait_for(is("attributes", "better"), SOON).await?;
    server.api().update_room_metadata("lobby", "busy").await.expect("changed");
    ada.wait_for(is("room", "busy"), SOON).await?;

    let sid = bob.publish_audio("mic", Some(440)).await?;
    ada.wait_for(|event| matches!(event, ClientEvent::TrackSubscribed { track, .. } if track.sid == sid && track.kind == "audio"), SOON).await?;
    ada.wait_for(
        |event| matches!(event, ClientEvent::ActiveSpeakers { identities } if identities == &["bob"]),
        SOON,
    )
    .await?;
    bob.mute(&sid, true).await?;
    ada.wait_for(|event| matches!(event, ClientEvent::TrackMuted { track, .. } if track.sid == sid), SOON)
        .await?;
    bob.mute(&sid, false).await?;
    ada.wait_for(|event| matches!(event, ClientEvent::TrackUnmuted { track, .. } if track.sid == sid), SOON)
        .await?;
    bob.unpublish(&sid).await?;
    ada.wait_for(
        |event| matches!(event, ClientEvent::TrackUnpublished { track, .. } if track.sid == sid),
        SOON,
    )
    .await?;

    let state = ada.state().await?;
    assert_eq!(
        (state.room.as_str(), state.metadata.as_str(), state.me.identity.as_str()),
        ("lobby", "busy", "ada")
    );
    assert_eq!(state.others.iter().map(|other| other.name.as_str()).collect::<Vec<_>>(), ["Robert"]);

    bob.leave().await?;
    ada.wait_for(|event| matches!(event, ClientEvent::ParticipantDisconnected { identity, reason } if identity == "bob" && reason == "CLIENT_INITIATED"), SOON).await?;
    let carl = join(&server, "carl").await?;
    // The server announces a newcomer some seconds late, and never one who has left by then.
    ada.wait_for(
        |event| matches!(event, ClientEvent::ParticipantConnected { participant } if participant.identity == "carl"),
        SOON,
    )
    .await?;
    drop(carl);
    ada.wait_for(
        |event| matches!(event, ClientEvent::ParticipantDisconnected { identity, .. } if identity == "carl"),
        SOON,
    )
    .await?;
    server.api().delete_room("lobby").await.expect("deleted");
    ada.wait_for(
        |event| matches!(event, ClientEvent::Disconnected { reason } if reason == "ROOM_DELETED"),
        SOON,
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn failures_are_reported() -> TestResult {
    let Some(server) = real_server().await else { return Ok(()) };
    if official_host().await.is_none() {
        return Ok(());
    }
    let error = OfficialClient::join(&server.url(), &Secret::from("no token")).await.expect_err("refused");
    assert!(matches!(&error, ClientError::Failed { operation, .. } if operation == "join"), "{error:?}");
    let mut ada = join(&server, "ada").await?;
    let error = ada.unpublish("TR_none").await.expect_err("there is none");
    assert!(matches!(&error, ClientError::Failed { operation, .. } if operation == "unpublish"), "{error:?}");
    let error = ada
        .wait_for(|event| matches!(event, ClientEvent::Reconnected), Duration::from_millis(50))
        .await
        .expect_err("nothing comes");
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_killed_process_is_reported_to_its_clients() -> TestResult {
    let Some(server) = real_server().await else { return Ok(()) };
    if official_host().await.is_none() {
        return Ok(());
    }
    let host = OfficialHost::start().await?;
    let mut ada = OfficialClient::join_in(&host, &server.url(), &token(&server, "ada")).await?;
    host.kill()?;
    let error =
        ada.wait_for(|event| matches!(event, ClientEvent::Reconnected), SOON).await.expect_err("no process");
    assert!(matches!(error, ClientError::HostGone { .. }), "{error:?}");
    let error = ada.set_name("x").await.expect_err("no process");
    assert!(matches!(error, ClientError::HostGone { .. }), "{error:?}");
    // The shared process is another one.
    join(&server, "bob").await?.leave().await?;
    Ok(())
}

/// A test that is killed leaves no browser behind.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_browser_ends_with_its_process() -> TestResult {
    if official_host_of(ClientKind::Browser).await.is_none() {
        return Ok(());
    }
    let host = OfficialHost::start_of(ClientKind::Browser).await?;
    let pid = host.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let browser = children.split_whitespace().next().expect("a browser").to_owned();
    let runs = || std::path::Path::new("/proc").join(&browser).exists();
    assert!(runs());
    host.kill()?;
    let gone = async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the browser ends");
    Ok(())
}
