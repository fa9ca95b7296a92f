//! Data in both directions, and packets that this version ignores.

use std::time::{Duration, Instant};

use agent_testkit::{ClientError, ClientEvent, DataMessage, real_server};
use agent_worker::RoomEvent;
use agent_worker::room::{DisconnectReason, RoomError};

use super::{SOON, ada, join, receives, until};
use crate::support::captured_log::CapturedLog;

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
    assert!(receives(&mut ada, "chat", b"hello").await);
    room.publish_data("cursor", vec![1, 2, 3]).lossy().await.expect("sent");
    assert!(receives(&mut ada, "cursor", &[1, 2, 3]).await);
    room.publish_data("largest", vec![7; 64_000]).await.expect("sent");
    assert!(receives(&mut ada, "largest", &[7; 64_000]).await);
    let refused = room.publish_data("larger", vec![7; 64_001]).await;
    assert_eq!(refused, Err(RoomError::PayloadTooLarge { len: 64_001 }));
    // To another participant first: had it come, it would have come before the one for Ada.
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

    // Many messages at once arrive completely and in order, also when the agent leaves immediately after
    // them.
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

/// Data of peers that the agent does not read.
#[tokio::test]
async fn an_unknown_method_is_refused_at_once_and_unread_streams_are_logged() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let log = CapturedLog::start(tracing::Level::INFO);
    let room = join(&server, "calls", "agent").await;
    let mut events = room.events();
    let ada = ada(&server, "calls").await;
    for text in ["hello?", "hello??"] {
        ada.send_text("lk.chat", text).await.expect("sent");
    }
    let begun = Instant::now();
    let refused = ada.perform_rpc("agent", "greet", "{}").await;
    let Err(ClientError::Rpc { code: 1400, message, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(message, "Method not supported at destination");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "before the caller's own timeouts: {:?}",
        begun.elapsed()
    );
    // And the room stays.
    ada.send(DataMessage::new("still here").topic("t")).await.expect("sent");
    until(&mut events, |event| matches!(event, RoomEvent::DataReceived(_)).then_some(())).await;
    let streams = log.lines_with("a stream waits to be read, and its topic has no reader");
    assert!(matches!(&streams[..], [line] if line.contains("topic=lk.chat sender=ada")), "{streams:?}");
    let calls = log.lines_with("an RPC request was refused with error 1400");
    assert!(matches!(&calls[..], [line] if line.contains("method=greet sender=ada")), "{calls:?}");
}
