//! The sockets of a room: its WebSocket, and the UDP socket that is bound before it is joined.

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use agent_proto::{encode, livekit as wire};
use agent_worker::Room;
use agent_worker::room::{JoinError, JoinFailure, JoinRequest, RoomConnector, WebRtc};

use crate::memory::Memory;
use crate::support::raw_server::{PING, Server, TEXT, binary, breaches, whole};
use crate::support::{udp_sockets, within};

type Joining = JoinHandle<Result<Room, JoinError>>;

/// A room that is being joined at this server, and how long that may take.
fn join(server: &Server, timeout: Duration) -> Joining {
    let mut request = JoinRequest::new(server.url(), "a token");
    request.timeout = timeout;
    tokio::spawn(async move { WebRtc::default().connect(request).await })
}

async fn failure(joining: Joining) -> JoinFailure {
    match within(joining).await.expect("no panic") {
        Err(JoinError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

fn joined() -> Vec<u8> {
    let participant =
        Some(wire::ParticipantInfo { sid: "PA_1".into(), identity: "agent".into(), ..Default::default() });
    let join = wire::JoinResponse { participant, ping_interval: 60, ping_timeout: 60, ..Default::default() };
    binary(&encode(&wire::SignalResponse { message: Some(wire::signal_response::Message::Join(join)) }))
}

#[tokio::test]
async fn protocol_violations_fail_the_join() {
    let memory = Memory::measure().await;
    for (what, bytes, more) in breaches() {
        for after_the_join in [false, true] {
            let server = Server::start().await;
            let joining = join(&server, Duration::from_secs(20));
            let mut peer = server.accept().await;
            if after_the_join {
                peer.send(&joined()).await;
            }
            peer.send(&bytes).await;
            if !more.is_empty() {
                peer.flood(&more, 64 * 1024 * 1024).await;
            }
            let failure = failure(joining).await;
            assert!(matches!(failure, JoinFailure::Unreachable { .. }), "{what}: {failure:?}");
            memory.check(what);
        }
    }
}

#[tokio::test]
async fn invalid_messages_are_skipped_until_the_timeout() {
    let memory = Memory::measure().await;
    let mut rng = fastrand::Rng::with_seed(5);
    let random: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(20_000).collect();
    for (what, bytes) in [
        ("frames that are no messages", binary(&random).repeat(10)),
        ("texts", whole(TEXT, b"{}").repeat(1000)),
        ("pings", whole(PING, &[1; 125]).repeat(1000)),
        ("the answer to the join again and again", joined().repeat(1000)),
    ] {
        let server = Server::start().await;
        let joining = join(&server, Duration::from_secs(1));
        let mut peer = server.accept().await;
        peer.send(&joined()).await;
        let failure = tokio::select! {
            failure = failure(joining) => failure,
            // It ends with the connection.
            _ = async { peer.flood(&bytes, usize::MAX).await; std::future::pending::<()>().await } => unreachable!(),
        };
        assert!(matches!(failure, JoinFailure::MediaTimeout { .. }), "{what}: {failure:?}");
        memory.check(what);
    }
}

/// Packets of anybody: random, too long, and such that begin as those of WebRTC do.
#[tokio::test]
async fn malformed_packets_change_nothing() {
    let memory = Memory::measure().await;
    let server = Server::start().await;
    let joining = join(&server, Duration::from_secs(1));
    let mut peer = server.accept().await;
    peer.send(&joined()).await;
    let targets = udp_sockets::of_this_process();
    assert!(!targets.is_empty());
    let mut rng = fastrand::Rng::with_seed(9);
    let flooding = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut sent = 0_u64;
        loop {
            let len = *rng.choice([0, 1, 20, 100, 1200, 2048, 9000, 65_507].as_slice()).unwrap();
            let mut packet: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
            // STUN, DTLS, RTP, or anything else.
            let begin: &[u8] = [&[0, 1][..], &[22, 254, 253], &[128], &[]][rng.usize(..4)];
            let kept = begin.len().min(packet.len());
            packet[..kept].copy_from_slice(&begin[..kept]);
            for target in &targets {
                // The system may not have the room, or the socket may be gone.
                sent += u64::from(socket.send_to(&packet, target).await.is_ok());
            }
            if sent.is_multiple_of(100) {
                tokio::task::yield_now().await;
            }
        }
    };
    let failure = tokio::select! {
        failure = failure(joining) => failure,
        () = flooding => unreachable!("it never ends"),
    };
    assert!(matches!(failure, JoinFailure::MediaTimeout { .. }), "{failure:?}");
    memory.check("packets");
}
