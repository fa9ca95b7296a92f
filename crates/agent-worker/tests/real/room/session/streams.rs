//! Text and byte streams and RPC between two rooms of ours, over a real server.

use std::time::Duration;

use agent_testkit::real_server;
use agent_worker::Room;
use agent_worker::room::{RpcError, RpcErrorCode, RpcRequest, StreamError};

use super::{SOON, join};
use crate::support::long;

/// Content of this length that does not repeat soon, and is not compressible if `random`.
pub(crate) fn content(length: usize, random: bool) -> Vec<u8> {
    let mut state = 1_u32;
    let bytes = (0..length).map(|at| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if random { (state >> 24) as u8 } else { (at / 100 % 251) as u8 }
    });
    bytes.collect()
}

async fn pair(server: &agent_testkit::RealServer, room: &str) -> (Room, Room) {
    let one = join(server, room, "one").await;
    let two = join(server, room, "two").await;
    for (room, other) in [(&one, "two"), (&two, "one")] {
        let other = agent_worker::room::ParticipantFilter::identity(other).within(SOON);
        room.wait_for_participant(other).await.expect("both are there");
    }
    (one, two)
}

#[tokio::test]
async fn contents_of_all_sizes_arrive_as_they_were_sent() {
    let Some(server) = real_server().await else { return };
    let (one, two) = pair(&server, "sizes").await;
    let (mut texts, mut files) = (two.text_streams("t"), two.byte_streams("b"));
    let largest = long::times("bytes of a stream", 1_000_000, 10_000_000);
    for length in [0, 1, 14_000, 15_000, 15_001, largest] {
        for random in [false, true] {
            let bytes = content(length, random);
            let sent = bytes.clone();
            let sender = one.clone();
            let sending = tokio::spawn(async move {
                sender.send_bytes("b", sent).name("n").attributes([("k", "v")]).to(["two"]).await
            });
            let file = tokio::time::timeout(SOON, files.next()).await.expect("in time").unwrap().unwrap();
            assert_eq!((file.name(), file.info().sender.as_str()), ("n", "one"));
            assert_eq!(file.info().attributes["k"], "v");
            assert_eq!(file.info().total_length, Some(length as u64));
            assert!(file.read_all().await.unwrap() == bytes, "{length} bytes");
            sending.await.unwrap().unwrap();
        }
        let text: String =
            content(length, false).into_iter().map(|byte| if byte % 7 == 0 { 'ä' } else { 'x' }).collect();
        let (sender, sent) = (one.clone(), text.clone());
        let sending = tokio::spawn(async move { sender.send_text("t", sent).await });
        let received = tokio::time::timeout(SOON, texts.next()).await.expect("in time").unwrap().unwrap();
        assert!(received.read_all().await.unwrap() == text, "{length} characters");
        sending.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let Some(server) = real_server().await else { return };
    let (one, two) = pair(&server, "many").await;
    let mut files = two.byte_streams("b");
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..20_u8 {
        let sender = one.clone();
        sending.spawn(async move {
            let mut writer = sender.stream_bytes("b").name(number.to_string()).await.unwrap();
            for _ in 0..20 {
                writer.write(vec![number; 20_000]).await.unwrap();
            }
            writer.close_with([("end", number.to_string())]).await.unwrap();
        });
    }
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut file = tokio::time::timeout(SOON, files.next()).await.expect("in time").unwrap().unwrap();
        reading.spawn(async move {
            let number: u8 = file.name().parse().unwrap();
            let mut length = 0;
            while let Some(piece) = file.next().await {
                let piece = piece.unwrap();
                assert!(piece.iter().all(|byte| *byte == number));
                length += piece.len();
            }
            assert_eq!((length, file.attributes()["end"].as_str()), (400_000, file.name()));
        });
    }
    while let Some(read) = reading.join_next().await {
        read.unwrap();
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
}

#[tokio::test]
async fn a_sender_that_leaves_ends_its_streams_with_an_error() {
    let Some(server) = real_server().await else { return };
    let (one, two) = pair(&server, "leaves").await;
    let mut texts = two.text_streams("t");
    let mut writer = one.stream_text("t").await.unwrap();
    writer.write("begun").await.unwrap();
    let mut text = tokio::time::timeout(SOON, texts.next()).await.expect("in time").unwrap().unwrap();
    assert_eq!(text.next().await, Some(Ok("begun".to_owned())));
    one.leave().await;
    let end = tokio::time::timeout(SOON, text.next()).await.expect("in time");
    assert_eq!(end, Some(Err(StreamError::SenderLeft)));
}

#[tokio::test]
async fn calls_have_responses_or_the_protocols_errors() {
    let Some(server) = real_server().await else { return };
    let (one, two) = pair(&server, "calls-of-ours").await;
    two.register_rpc_method("echo", |request: RpcRequest| async move { request.payload }).await.unwrap();
    two.register_rpc_method("own", |_| async { Err::<(), _>(RpcError::new(7, "no", "data")) }).await.unwrap();
    two.register_rpc_method("hang", |_| std::future::pending::<()>()).await.unwrap();
    let payload =
        String::from_utf8(content(1_000_000, false).iter().map(|byte| byte % 26 + b'a').collect()).unwrap();
    for payload in ["", "short", &payload] {
        assert!(one.perform_rpc("two", "echo", payload).await.unwrap() == payload);
    }
    let own = one.perform_rpc("two", "own", "").await.unwrap_err();
    assert_eq!(own, RpcError::new(7, "no", "data"));
    for (destination, method, code) in [
        ("two", "unknown", RpcErrorCode::UnsupportedMethod),
        ("absent", "echo", RpcErrorCode::RecipientNotFound),
        ("two", "hang", RpcErrorCode::ResponseTimeout),
    ] {
        let call = one.perform_rpc(destination, method, "").timeout(Duration::from_millis(1500));
        let error = call.await.unwrap_err();
        assert!(error.is(code), "{destination}.{method}: {error:?}");
    }
    let caller = one.clone();
    let calling = tokio::spawn(async move { caller.perform_rpc("two", "hang", "").await });
    // Both ways at once; when this response is here, the request before it has been read.
    assert_eq!(one.perform_rpc("two", "echo", "x").await.unwrap(), "x");
    two.leave().await;
    let left = calling.await.unwrap().unwrap_err();
    assert!(left.is(RpcErrorCode::RecipientDisconnected), "{left:?}");
}
