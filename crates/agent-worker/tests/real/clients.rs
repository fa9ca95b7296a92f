//! Text and byte streams and RPC with official clients of four SDKs, both ways.

use std::future::IntoFuture;
use std::time::Duration;

use agent_testkit::{
    ClientError, ClientEvent, ClientKind, ClientStream, OfficialClient, RealServer, RpcBehaviour,
    official_host_of, real_server,
};
use agent_worker::Room;
use agent_worker::room::{
    AgentState, ByteStreams, JoinRequest, RoomConnector, RpcError, RpcErrorCode, RpcRequest, TextStreams,
    WebRtc,
};

use crate::room::session::streams::content;
use crate::room::session::{SOON, join};
use crate::support::long;

/// How long a stream of 10 MB may take on a busy machine.
const LARGE: Duration = Duration::from_secs(90);

/// Our room, and a client that it knows.
struct Pair {
    room: Room,
    client: OfficialClient,
    kind: ClientKind,
    server: RealServer,
}

impl Pair {
    /// `None`: the test is skipped.
    async fn join(kind: ClientKind) -> Option<Self> {
        let server = real_server().await?;
        official_host_of(kind).await?;
        let room = join(&server, "lobby", "agent").await;
        let token = server.token().identity("ada").join_room("lobby").sign().expect("a token");
        let mut client = OfficialClient::join_with(kind, &server.url(), &token).await.expect("it joins");
        let ada = agent_worker::room::ParticipantFilter::identity("ada").within(SOON);
        room.wait_for_participant(ada).await.expect("ada is active");
        let knows =
            |state: &agent_testkit::ClientState| state.others.iter().any(|one| one.identity == "agent");
        client.wait_for_state(knows, SOON).await.expect("it knows the agent");
        Some(Self { room, client, kind, server })
    }
}

/// A test with each kind of client.
macro_rules! with_each_client {
    ($($test:ident),*) => {
        with_each_client! { @ python ClientKind::Python, $($test),* }
        with_each_client! { @ python12 ClientKind::Python12, $($test),* }
        with_each_client! { @ node ClientKind::Node, $($test),* }
        with_each_client! { @ browser ClientKind::Browser, $($test),* }
    };
    (@ $module:ident $kind:expr, $($test:ident),*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(pair) = Pair::join($kind).await {
                        super::$test(pair).await;
                    }
                }
            )*
        }
    };
}

with_each_client!(texts_go_both_ways, bytes_go_both_ways, streams_at_once_do_not_mix, calls_go_both_ways);

fn text(length: usize) -> String {
    // Not compressible to a packet, with characters of more than one byte.
    content(length, true).into_iter().map(|byte| char::from_u32(0xa0 + u32::from(byte)).unwrap()).collect()
}

async fn next_text(texts: &mut TextStreams) -> (String, String, String) {
    let next = tokio::time::timeout(LARGE, texts.next()).await.expect("a text in time");
    let text = next.expect("the room is open").expect("none is missed");
    let (id, sender) = (text.info().id.clone(), text.info().sender.clone());
    (id, sender, text.read_all().await.expect("a whole text"))
}

async fn texts_go_both_ways(pair: Pair) {
    let Pair { room, mut client, .. } = pair;
    let mut texts = room.text_streams("lk.chat");
    client.register_text_streams("lk.chat").await.expect("registered");
    let largest = text(long::times("characters of a text", 200_000, 5_000_000));
    for text in ["", "H", "na, na, hey! ".repeat(3000).as_str(), &largest] {
        let id = client.send_text("lk.chat", text).await.expect("sent");
        let (received_id, sender, received) = next_text(&mut texts).await;
        assert_eq!((received_id, sender.as_str()), (id, "ada"));
        assert!(received == text, "{} of {} bytes", received.len(), text.len());

        let id = room.send_text("lk.chat", text).to(["ada"]).attributes([("mood", "é")]).await.expect("sent");
        let event = client.wait_for(|event| matches!(event, ClientEvent::TextStream(_)), LARGE).await;
        let ClientEvent::TextStream(received) = event.expect("the text arrives") else { unreachable!() };
        assert_eq!((&received.id, received.identity.as_str()), (&id, "agent"));
        assert_eq!(received.attributes.get("mood").map(String::as_str), Some("é"));
        assert!(received.text == text, "{} of {} bytes", received.text.len(), text.len());
    }
    // In parts.
    client.stream_text("lk.chat", &["One, ", "twö", ", three"]).await.expect("sent");
    assert_eq!(next_text(&mut texts).await.2, "One, twö, three");
    let mut writer = room.stream_text("lk.chat").await.expect("opened");
    for part in ["One, ", "twö", ", three"] {
        writer.write(part).await.expect("written");
    }
    writer.close().await.expect("closed");
    let event = client.wait_for(|event| matches!(event, ClientEvent::TextStream(_)), SOON).await;
    let ClientEvent::TextStream(received) = event.expect("the text arrives") else { unreachable!() };
    assert_eq!(received.text, "One, twö, three");
}

async fn next_bytes(files: &mut ByteStreams) -> (String, Vec<u8>) {
    let next = tokio::time::timeout(LARGE, files.next()).await.expect("bytes in time");
    let file = next.expect("the room is open").expect("none is missed");
    assert_eq!(file.info().sender, "ada");
    (file.name().to_owned(), file.read_all().await.expect("whole content").to_vec())
}

async fn bytes_go_both_ways(pair: Pair) {
    let Pair { room, mut client, .. } = pair;
    let mut files = room.byte_streams("files");
    client.register_byte_streams("files").await.expect("registered");
    let largest = long::times("bytes of a stream", 500_000, 10_000_000);
    for bytes in [vec![0], content(14_000, true), vec![7; 200_000], content(largest, true)] {
        client.send_bytes(ClientStream::new("files").name("a.bin"), &bytes).await.expect("sent");
        let (name, received) = next_bytes(&mut files).await;
        assert_eq!(name, "a.bin");
        assert!(received == bytes, "{} of {} bytes", received.len(), bytes.len());

        let sent = room.send_bytes("files", bytes.clone()).name("b.bin").mime_type("image/png").await;
        let id = sent.expect("sent");
        let event = client.wait_for(|event| matches!(event, ClientEvent::ByteStream(_)), LARGE).await;
        let ClientEvent::ByteStream(received) = event.expect("the bytes arrive") else { unreachable!() };
        assert_eq!((&received.id, received.name.as_str()), (&id, "b.bin"));
        assert_eq!(received.mime_type, "image/png");
        assert!(received.payload == bytes, "other content than the {} bytes", bytes.len());
    }
}

async fn streams_at_once_do_not_mix(pair: Pair) {
    let Pair { room, mut client, server, .. } = pair;
    let mut texts = room.text_streams("in");
    client.register_text_streams("out").await.expect("registered");
    let all: Vec<String> = (0..20).map(|number| format!("{number} ").repeat(20_000)).collect();
    let (to_agent, to_client) = tokio::join!(
        futures_util::future::join_all(all.iter().map(|text| client.send_text("in", text))),
        futures_util::future::join_all(all.iter().map(|text| room.send_text("out", text).into_future())),
    );
    let failed = (to_agent.iter().find(|sent| sent.is_err()), to_client.iter().find(|sent| sent.is_err()));
    assert!(matches!(failed, (None, None)), "{failed:?}\n{}", server.log().tail(60));
    let (mut received, mut received_by_client) = (Vec::new(), Vec::new());
    for _ in &all {
        received.push(next_text(&mut texts).await.2);
        let event = client.wait_for(|event| matches!(event, ClientEvent::TextStream(_)), LARGE).await;
        let ClientEvent::TextStream(text) = event.expect("the text arrives") else { unreachable!() };
        received_by_client.push(text.text);
    }
    for received in [&mut received, &mut received_by_client] {
        let mut expected = all.clone();
        received.sort();
        expected.sort();
        assert!(*received == expected);
    }
}

async fn calls_go_both_ways(pair: Pair) {
    let Pair { room, client, kind, server } = pair;
    room.register_rpc_method("echo", |request: RpcRequest| async move { request.payload })
        .await
        .expect("registered");
    let own = || RpcError::new(418, "no coffee", "tea");
    room.register_rpc_method("own", move |_| async move { Err::<(), _>(own()) }).await.expect("registered");
    room.register_rpc_method("fails", |_| async { "x".parse::<u8>().map(|_| ()) }).await.expect("registered");
    room.register_rpc_method("hangs", |_| std::future::pending::<()>()).await.expect("registered");
    client.register_rpc("echo", RpcBehaviour::Echo).await.expect("registered");
    let (message, data) = ("no coffee".to_owned(), Some("tea".to_owned()));
    client.register_rpc("own", RpcBehaviour::Fail { code: 418, message, data }).await.expect("registered");
    client.register_rpc("fails", RpcBehaviour::Throw).await.expect("registered");
    client.register_rpc("hangs", RpcBehaviour::Silent).await.expect("registered");

    // The last one needs a stream.
    for payload in ["", "é", &text(7_000), &text(500_000)] {
        let answer = client.perform_rpc("agent", "echo", payload).await;
        let log = || server.log().tail(60);
        let answer = answer.unwrap_or_else(|error| panic!("{} bytes: {error}\n{}", payload.len(), log()));
        assert!(answer == payload, "{} bytes", payload.len());
        let answer = room.perform_rpc("ada", "echo", payload).timeout(LARGE).await;
        assert!(answer.expect("answered") == payload, "{} bytes", payload.len());
    }
    let of_agent = |result: Result<String, ClientError>| match result {
        Err(ClientError::Rpc { code, message, data }) => (code, message, data.unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    let error = of_agent(client.perform_rpc("agent", "own", "").await);
    assert_eq!(error, (418, "no coffee".to_owned(), "tea".to_owned()));
    assert_eq!(room.perform_rpc("ada", "own", "").await, Err(own()));
    for (method, code) in
        [("unknown", RpcErrorCode::UnsupportedMethod), ("fails", RpcErrorCode::ApplicationError)]
    {
        assert_eq!(of_agent(client.perform_rpc("agent", method, "").await).0, u64::from(code.code()));
        let error = room.perform_rpc("ada", method, "").await.expect_err("an error");
        assert!(error.is(code), "{method}: {error:?}");
    }
    let within = Duration::from_secs(2);
    let error = room.perform_rpc("ada", "hangs", "").timeout(within).await.expect_err("no response");
    assert!(error.is(RpcErrorCode::ResponseTimeout), "{error:?}");
    let error = of_agent(client.perform_rpc_within("agent", "hangs", "", within).await);
    assert_eq!(error.0, u64::from(RpcErrorCode::ResponseTimeout.code()), "{kind:?}: {error:?}");
    let absent = room.perform_rpc("bob", "echo", "").await.expect_err("nobody there");
    assert!(absent.is(RpcErrorCode::RecipientNotFound), "{absent:?}");
    // A participant who leaves does not answer.
    let caller = room.clone();
    let calling = tokio::spawn(async move { caller.perform_rpc("ada", "hangs", "").await });
    assert_eq!(room.perform_rpc("ada", "echo", "sent later").await.as_deref(), Ok("sent later"));
    client.leave().await.expect("it leaves");
    let left = calling.await.expect("no panic").expect_err("no response");
    assert!(left.is(RpcErrorCode::RecipientDisconnected), "{left:?}");
}

/// Transcripts that an agent sends of its own speech and of others', as a front end and another agent receive
/// them.
#[tokio::test]
async fn transcripts_of_an_agent_arrive_as_those_of_their_speakers() {
    let kind = ClientKind::Python12;
    let Some(Pair { room: listener, mut client, server, .. }) = Pair::join(kind).await else {
        return;
    };
    client.register_text_streams("lk.transcription").await.expect("registered");
    let mut transcripts = listener.transcripts();
    let token = server.token().identity("scribe").join_room("lobby").agent().can_update_own_metadata(true);
    let request = JoinRequest::new(server.url(), token.sign().expect("a token"));
    let scribe = WebRtc::default().connect(request).await.expect("the room is joined");
    let active = agent_worker::room::ParticipantFilter::identity("agent").within(SOON);
    scribe.wait_for_participant(active).await.expect("the listener is active");

    scribe.set_agent_state(AgentState::Speaking).await.expect("set");
    let mut own = scribe.transcribe_own_speech("").await.expect("opened");
    for part in ["Good ", "morning!"] {
        own.write(part).await.expect("written");
    }
    own.finish().await.expect("finished");
    let mut speech = scribe.transcribe("ada", "TR_1");
    speech.interim("I woke").await.expect("sent");
    speech.finish("I would like a tea.").await.expect("sent");

    let mut finals = Vec::new();
    while finals.len() < 2 {
        let next = tokio::time::timeout(SOON, transcripts.next()).await.expect("in time");
        let transcript = next.expect("the room is open").expect("none is missed");
        assert_eq!(transcript.error, None);
        if transcript.is_final {
            finals.push((transcript.segment.speaker, transcript.segment.track_sid, transcript.text));
        }
    }
    finals.sort();
    let of = |speaker: &str, track: &str, text: &str| (speaker.to_owned(), track.to_owned(), text.to_owned());
    assert_eq!(finals, [of("ada", "TR_1", "I would like a tea."), of("scribe", "", "Good morning!")]);
    let state = listener.participant("scribe").expect("it is there").agent_state();
    assert_eq!(state, Some(AgentState::Speaking));

    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = client.wait_for(|event| matches!(event, ClientEvent::TextStream(_)), SOON).await;
        let ClientEvent::TextStream(text) = event.expect("the text arrives") else { unreachable!() };
        seen.push((text.identity, text.text));
    }
    seen.sort();
    let of = |speaker: &str, text: &str| (speaker.to_owned(), text.to_owned());
    let expected = [of("ada", "I woke"), of("ada", "I would like a tea."), of("scribe", "Good morning!")];
    assert_eq!(seen, expected);
}
