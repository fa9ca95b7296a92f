//! Bad input at a real livekit-server: each text is a line of the guide, and joined rooms survive all of
//! it. A program of its own, as it throws garbage at every UDP socket of its process.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{broadcast, mpsc};

use agent_testkit::{DispatchRequest, JobEndStatus, RealServer, real_server};
use agent_worker::net::{AccessToken, ByteStream, Dialer, MediaPath, NetOptions};
use agent_worker::room::{JoinError, JoinRequest, RoomConnector, RoomError, RoomEvents, WebRtc};
use agent_worker::{Agent, BoxFuture, EndedJob, JobContext, JobResult, Outcome, Room, RoomEvent, Worker};

use support::{guide_tables, udp_sockets};

const SOON: Duration = Duration::from_secs(20);
const GUIDE: &str = include_str!("../src/guide/troubleshooting.md");

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

/// # Panics
/// If the guide has no line with this text, or it shows a token.
fn is_in_the_guide(what: &str, text: &str) {
    assert!(!text.contains("eyJ"), "{what}: a token is shown: {text}");
    let text = guide_tables::steady(text);
    assert!(GUIDE.contains(&format!("{text}``")) || GUIDE.contains(&format!("{text} ``")), "{what}: {text}");
}

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

#[tokio::test]
async fn a_worker_with_another_key_or_secret() {
    let Some(server) = real_server().await else { return };
    for (what, key, secret) in [
        ("another key", "another", server.api_secret().expose()),
        ("another secret", server.api_key(), "another secret, as long as one has to be"),
    ] {
        let worker = Worker::builder(done).url(server.url()).credentials(key, secret).agent_name("tester");
        let running = worker.build().expect("the settings are complete").run();
        let error = within(running).await.expect_err(what);
        assert_eq!(error.exit_code(), 1);
        is_in_the_guide(what, &error.to_string());
    }
}

/// A token with these claims that the server takes as its own.
fn signed(server: &RealServer, claims: &str) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    let key = jsonwebtoken::EncodingKey::from_secret(server.api_secret().expose().as_bytes());
    let signer = (provider.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).expect("a signer");
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes())))
}

#[tokio::test]
async fn tokens_that_do_not_let_in() {
    let Some(server) = real_server().await else { return };
    let refused = async |what: &str, token: &str| {
        let request = JoinRequest::new(server.url(), token);
        let error: JoinError = within(WebRtc::default().connect(request)).await.expect_err(what);
        error.to_string()
    };
    let key = server.api_key();
    let sign = |token: AccessToken| token.sign().expect("a token").expose().to_owned();
    let lobby = |token: AccessToken| sign(token.identity("ada").join_room("lobby"));
    for (what, token) in [
        ("another key", lobby(AccessToken::new("another", server.api_secret().clone()))),
        ("another secret", lobby(AccessToken::new(key, "another secret, as long as one has to be"))),
        ("another grant", sign(server.token().identity("ada").create_rooms())),
        ("no token", "nonsense".to_owned()),
        (
            "an expired token",
            signed(
                &server,
                &format!(
                    r#"{{"iss":"{key}","sub":"ada","exp":1000,"video":{{"roomJoin":true,"room":"lobby"}}}}"#
                ),
            ),
        ),
    ] {
        is_in_the_guide(what, &refused(what, &token).await);
    }

    // The server's own message is shown, and the advice is to fix that.
    let no_identity =
        format!(r#"{{"iss":"{key}","exp":9999999999,"video":{{"roomJoin":true,"room":"lobby"}}}}"#);
    for (what, token, expected) in [
        (
            "a long identity",
            sign(server.token().identity("i".repeat(257)).join_room("lobby")),
            "max length 256",
        ),
        (
            "a long room name",
            sign(server.token().identity("ada").join_room("r".repeat(300))),
            "max length 256",
        ),
        ("no room name", sign(server.token().identity("ada").join_room("")), "no room name"),
        ("no identity", signed(&server, &no_identity), ""),
    ] {
        let text = refused(what, &token).await;
        assert!(
            text.contains("HTTP 400")
                && text.contains(expected)
                && text.contains("correct what the message names"),
            "{what}: {text}"
        );
    }
    // More than fits into the header of a request.
    let long = sign(server.token().identity("ada").metadata("m".repeat(1_000_000)).join_room("lobby"));
    let text = refused("long metadata", &long).await;
    assert!(text.contains("shorten the metadata and attributes"), "{text}");
}

/// Reports how its jobs ended.
struct Ends(mpsc::UnboundedSender<Outcome>);

impl Agent for Ends {
    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        let _ = self.0.send(ended.outcome.clone());
    }
}

/// The token is good, and no packet gets through.
#[tokio::test]
async fn a_job_whose_room_cannot_be_joined_is_failed_with_the_reason() {
    let Some(server) = real_server().await else { return };
    let (sender, mut ends) = mpsc::unbounded_channel();
    let worker = Worker::builder(Ends(sender))
        .url(server.url())
        .credentials(server.api_key(), server.api_secret().clone())
        .agent_name("tester")
        .join_timeout(Duration::from_secs(2))
        .net(NetOptions::default().media_filter(|_: MediaPath| false))
        .build()
        .expect("the settings are complete");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(within(handle.registered()).await);
    server.api().create_dispatch(DispatchRequest::new("tester", "no-media")).await.expect("dispatched");
    let job = server.log().assigned_in("no-media", SOON).await.expect("a job").job_id;
    let Some(Outcome::Failed { error }) = within(ends.recv()).await else { panic!("it cannot succeed") };
    let begin = "the room could not be joined: joined, but no media connection was established in time (`.join_timeout(…)`)";
    assert!(error.starts_with(begin), "{error}");
    // With its own text if it sees the agent leave before it receives the reason.
    let end = server.log().outcome(&job, SOON).await.expect("its end");
    assert_eq!(end.status, JobEndStatus::Failed, "{}", end.error);
    within(handle.drain(Duration::ZERO)).await;
    running.await.expect("no panic").expect("drained");
}

/// Connections to the server into which bytes can be injected.
#[derive(Clone)]
struct Tap {
    throw: broadcast::Sender<Vec<u8>>,
}

impl Tap {
    fn new() -> Self {
        Self { throw: broadcast::Sender::new(8) }
    }
}

impl Dialer for Tap {
    fn dial(&self, host: &str, port: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let address = format!("{host}:{port}");
        Box::pin(async move {
            let (mut from_server, mut to_server) = TcpStream::connect(address).await?.into_split();
            let (near, far) = tokio::io::duplex(256 * 1024);
            let (mut from_us, mut to_us) = tokio::io::split(far);
            let mut thrown = self.throw.subscribe();
            tokio::spawn(async move { tokio::io::copy(&mut from_us, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let len = tokio::select! {
                        len = from_server.read(&mut buffer) => len?,
                        garbage = thrown.recv() => {
                            to_us.write_all(&garbage.unwrap_or_default()).await?;
                            continue;
                        }
                    };
                    if len == 0 {
                        return io::Result::Ok(());
                    }
                    to_us.write_all(&buffer[..len]).await?;
                }
            });
            Ok(Box::new(near) as Box<dyn ByteStream>)
        })
    }
}

async fn join(server: &RealServer, token: AccessToken, net: NetOptions) -> Room {
    let request = JoinRequest::new(server.url(), token.sign().expect("a token"));
    within(WebRtc::new(net).connect(request)).await.expect("the room is joined")
}

async fn wait_for_text(events: &mut RoomEvents, wanted: &str) {
    let found = async {
        loop {
            match events.next().await.expect("the room stays") {
                RoomEvent::DataReceived(data) if data.payload == wanted => return,
                _ => {}
            }
        }
    };
    within(found).await;
}

#[tokio::test]
async fn requests_that_a_room_refuses() {
    let Some(server) = real_server().await else { return };
    let may =
        |identity: &str| server.token().identity(identity).join_room("limits").can_update_own_metadata(true);
    let agent = join(&server, may("agent"), NetOptions::default()).await;
    let ada = join(&server, may("ada"), NetOptions::default()).await;
    let mut events = ada.events();
    let long = |len: usize| "x".repeat(len);
    let is_told = |what: &str, result: Result<(), RoomError>| {
        is_in_the_guide(what, &result.expect_err(what).to_string());
    };
    is_told("data", agent.publish_data("t", vec![0; 70_000]).await);
    is_told("a name", agent.set_name(long(300)).await);
    is_told("metadata", agent.set_metadata(long(600_000)).await);
    is_told("attributes", agent.set_attributes([("k", long(70_000))]).await);
    is_told("metadata for no server", agent.set_metadata(long(2_000_000)).await);
    // More than the largest payload with its topic does not fit into a packet.
    let topic = agent.publish_data(long(2_000), vec![0; 64_000]).await.expect_err("too long");
    assert!(matches!(topic, RoomError::PacketTooLarge { .. }), "{topic}");
    // The largest permitted value does not end the connection either, however the server answers it.
    let largest = agent.set_metadata(long(1024 * 1024)).await.expect_err("over the server's limit");
    assert!(matches!(largest, RoomError::OverLimit { .. }), "{largest}");
    agent.publish_data("t", "still here").await.expect("sent");
    wait_for_text(&mut events, "still here").await;

    let token = server.token().identity("mute").join_room("limits").can_publish_data(false);
    let mute = join(&server, token, NetOptions::default()).await;
    is_told("data without the permission", mute.publish_data("t", "x").await);
    is_told("metadata without the permission", mute.set_metadata("x").await);
    agent.leave().await;
    is_told("after it was left", agent.publish_data("t", "x").await);
}

#[tokio::test]
async fn garbage_from_the_network_ends_no_room() {
    let Some(server) = real_server().await else { return };
    let token = |identity: &str| server.token().identity(identity).join_room("garbage");
    let tap = Tap::new();
    let agent = join(&server, token("agent"), NetOptions::default().dialer(tap.clone())).await;
    let mut events = agent.events();
    let ada = join(&server, token("ada"), NetOptions::default()).await;
    let mut rng = fastrand::Rng::with_seed(13);

    // Packets of another participant.
    let addresses = udp_sockets::of_this_process();
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut sent = 0;
    for n in 0..20_000_usize {
        let len = [0, 1, 20, 100, 1200, 2048, 9000, 65_507][n % 8];
        let mut packet: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        let begin: &[u8] = [&[0, 1][..], &[22, 254, 253], &[128], &[]][rng.usize(..4)];
        let kept = begin.len().min(len);
        packet[..kept].copy_from_slice(&begin[..kept]);
        for address in &addresses {
            sent += usize::from(socket.send_to(&packet, address).await.is_ok());
        }
        if n % 1000 == 0 {
            ada.publish_data("t", format!("in the flood {n}")).await.expect("sent");
            wait_for_text(&mut events, &format!("in the flood {n}")).await;
        }
    }
    assert!(sent > 10_000, "{sent} packets were sent");

    // Bytes in the signalling connection: it is lost, and resumed.
    for _ in 0..3 {
        let garbage: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(10_000).collect();
        tap.throw.send([vec![0xff], garbage].concat()).expect("it listens");
        let resumed = async {
            loop {
                match events.next().await.expect("the room stays") {
                    RoomEvent::Reconnected(again) => return again.resumed,
                    RoomEvent::Disconnected { reason } => panic!("{reason}"),
                    _ => {}
                }
            }
        };
        assert!(within(resumed).await);
        ada.publish_data("t", "after it").await.expect("sent");
        wait_for_text(&mut events, "after it").await;
    }
    agent.leave().await;
}
