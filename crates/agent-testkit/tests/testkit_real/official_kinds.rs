//! Each kind of official client on a real server, with the Python SDK as the other side: what one sends, the
//! other reports, byte for byte.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_testkit::{
    ClientError, ClientEvent, ClientKind, ClientStream, DataMessage, OfficialByteStream, OfficialClient,
    OfficialTextStream, RealServer, RpcBehaviour, official_host, official_host_of, real_server,
};

/// A test ends with the first error of a client.
type TestResult = Result<(), ClientError>;

const SOON: Duration = Duration::from_secs(20);

/// How long a stream of 10 MB may take on a busy machine.
const LARGE: Duration = Duration::from_secs(90);

/// A client of this kind, and one of the Python SDK, who know each other.
struct Pair {
    kind: ClientKind,
    it: OfficialClient,
    python: OfficialClient,
    _server: RealServer,
}

impl Pair {
    /// `None` if the test has to be skipped.
    async fn join(kind: ClientKind) -> Result<Option<Self>, ClientError> {
        let Some(server) = real_server().await else { return Ok(None) };
        if official_host().await.is_none() || official_host_of(kind).await.is_none() {
            return Ok(None);
        }
        let mut python = join(&server, ClientKind::Python, "python").await?;
        let mut it = join(&server, kind, "it").await?;
        // Until then, neither can choose a form that the other one reads.
        python.wait_for_state(|state| state.others.iter().any(|other| other.identity == "it"), SOON).await?;
        it.wait_for_state(|state| state.others.iter().any(|other| other.identity == "python"), SOON).await?;
        Ok(Some(Self { kind, it, python, _server: server }))
    }
}

async fn join(server: &RealServer, kind: ClientKind, identity: &str) -> Result<OfficialClient, ClientError> {
    let token = server.token().identity(identity).join_room("lobby").can_update_own_metadata(true);
    OfficialClient::join_with(kind, &server.url(), &token.sign().expect("a token")).await
}

/// Tests for each kind, which run beside each other.
macro_rules! for_each_kind {
    ($($name:ident),*) => {
        for_each_kind! { @ python ClientKind::Python, $($name),* }
        for_each_kind! { @ python12 ClientKind::Python12, $($name),* }
        for_each_kind! { @ node ClientKind::Node, $($name),* }
        for_each_kind! { @ browser ClientKind::Browser, $($name),* }
    };
    (@ $module:ident $kind:expr, $($name:ident),*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() -> TestResult {
                    let Some(pair) = Pair::join($kind).await? else { return Ok(()) };
                    super::$name(pair).await
                }
            )*
        }
    };
}

for_each_kind!(
    texts_arrive,
    bytes_arrive,
    large_streams_arrive,
    calls_are_answered,
    calls_fail_with_codes,
    keys_and_chats_arrive,
    participants_and_data_are_seen
);

async fn next_text(client: &mut OfficialClient) -> Result<OfficialTextStream, ClientError> {
    match client.wait_for(|event| matches!(event, ClientEvent::TextStream(_)), LARGE).await? {
        ClientEvent::TextStream(stream) => Ok(stream),
        event => panic!("{event:?}"),
    }
}

async fn next_bytes(client: &mut OfficialClient) -> Result<OfficialByteStream, ClientError> {
    match client.wait_for(|event| matches!(event, ClientEvent::ByteStream(_)), LARGE).await? {
        ClientEvent::ByteStream(stream) => Ok(stream),
        event => panic!("{event:?}"),
    }
}

async fn texts_arrive(mut pair: Pair) -> TestResult {
    pair.it.register_text_streams("chat").await?;
    pair.python.register_text_streams("chat").await?;
    send_texts("it", &pair.it, &mut pair.python).await?;
    send_texts("python", &pair.python, &mut pair.it).await
}

async fn send_texts(name: &str, from: &OfficialClient, to: &mut OfficialClient) -> TestResult {
    // Inline, compressed, in several packets, and what cannot be cut anywhere.
    for text in ["", "Hi", "na, na, hey! ".repeat(2000).as_str(), "日本語🎉".repeat(4000).as_str()] {
        let id = from.send_text(ClientStream::new("chat").attribute("a", "é"), text).await?;
        let stream = next_text(to).await?;
        assert_eq!((stream.identity.as_str(), stream.topic.as_str(), &stream.id), (name, "chat", &id));
        assert!(stream.text == text, "{stream:?}");
        assert_eq!(stream.attributes.get("a").map(String::as_str), Some("é"), "{stream:?}");
    }
    let id = from.stream_text("chat", &["One, ", "twö", ", three"]).await?;
    let stream = next_text(to).await?;
    assert_eq!((stream.text.as_str(), stream.id), ("One, twö, three", id));
    // Another topic, and another recipient: the next is the one after these.
    from.send_text("other", "x").await?;
    from.send_text(ClientStream::new("chat").to("nobody"), "x").await?;
    from.send_text(ClientStream::new("chat").to(if name == "it" { "python" } else { "it" }), "y").await?;
    assert_eq!(next_text(to).await?.text, "y");
    // In several packets each, interleaved.
    let texts: BTreeSet<_> = (0..20).map(|n| format!("{n} ").repeat(20_000)).collect();
    let sent = texts.iter().map(|text| from.send_text("chat", text));
    futures_util::future::try_join_all(sent).await?;
    let mut received = BTreeSet::new();
    for _ in &texts {
        received.insert(next_text(to).await?.text);
    }
    assert!(received == texts, "{} of {}", received.intersection(&texts).count(), texts.len());
    Ok(())
}

async fn bytes_arrive(mut pair: Pair) -> TestResult {
    pair.it.register_byte_streams("files").await?;
    pair.python.register_byte_streams("files").await?;
    send_bytes("it", &pair.it, &mut pair.python).await?;
    send_bytes("python", &pair.python, &mut pair.it).await
}

async fn send_bytes(name: &str, from: &OfficialClient, to: &mut OfficialClient) -> TestResult {
    let stream = || ClientStream::new("files").name("a.png").mime_type("image/png").attribute("a", "b");
    for payload in [vec![], vec![0], vec![7; 40_000], noise(40_000)] {
        let id = from.send_bytes(stream(), &payload).await?;
        let received = next_bytes(to).await?;
        assert_eq!((received.identity.as_str(), received.topic.as_str(), &received.id), (name, "files", &id));
        assert_eq!((received.name.as_str(), received.mime_type.as_str()), ("a.png", "image/png"));
        assert!(received.payload == payload, "{received:?}");
        assert_eq!(received.attributes.get("a").map(String::as_str), Some("b"), "{received:?}");
    }
    let parts: [&[u8]; 3] = [&[1, 2], &noise(20_000), &[3]];
    let id = from.stream_bytes(stream(), &parts).await?;
    let received = next_bytes(to).await?;
    assert!(received.payload == parts.concat() && received.id == id, "{received:?}");
    let content = noise(50_000);
    from.send_file(stream(), &content).await?;
    let received = next_bytes(to).await?;
    assert_eq!((received.name.as_str(), received.mime_type.as_str()), ("a.png", "image/png"));
    assert!(received.payload == content, "{received:?}");
    Ok(())
}

async fn large_streams_arrive(mut pair: Pair) -> TestResult {
    for client in [&pair.it, &pair.python] {
        client.register_byte_streams("files").await?;
        client.register_text_streams("chat").await?;
    }
    send_large(&pair.it, &mut pair.python).await?;
    send_large(&pair.python, &mut pair.it).await
}

async fn send_large(from: &OfficialClient, to: &mut OfficialClient) -> TestResult {
    let payload = noise(crate::long::times("bytes of a stream", 1_000_000, 10_000_000));
    from.send_bytes("files", &payload).await?;
    let received = next_bytes(to).await?;
    assert!(received.payload == payload, "{received:?}");
    let text: String = payload.iter().take(1_000_000).map(|byte| char::from(b'a' + byte % 26)).collect();
    from.send_text("chat", &text).await?;
    let received = next_text(to).await?;
    assert!(received.text == text, "{received:?}");
    Ok(())
}

async fn calls_are_answered(mut pair: Pair) -> TestResult {
    call("it", &pair.it, "python", &mut pair.python).await?;
    call("python", &pair.python, "it", &mut pair.it).await
}

async fn call(name: &str, from: &OfficialClient, callee: &str, to: &mut OfficialClient) -> TestResult {
    to.register_rpc("echo", RpcBehaviour::Echo).await?;
    to.register_rpc("answer", RpcBehaviour::Answer { len: 40_000 }).await?;
    // More than a packet holds, which is the limit of the older form.
    for payload in ["", "Hi 🎉", "na ".repeat(20_000).as_str()] {
        assert!(from.perform_rpc(callee, "echo", payload).await? == payload);
        let event = to.wait_for(|event| matches!(event, ClientEvent::RpcCalled { .. }), SOON).await?;
        let called = ("echo".to_owned(), name.to_owned(), payload.len());
        let ClientEvent::RpcCalled { method, caller, payload_len } = event else { panic!("{event:?}") };
        assert_eq!((method, caller, payload_len), called);
    }
    assert!(from.perform_rpc(callee, "answer", "").await? == "x".repeat(40_000));
    let call_with = async |number: usize| from.perform_rpc(callee, "echo", &number.to_string()).await;
    let answers = futures_util::future::try_join_all((0..100).map(call_with)).await?;
    assert!(answers.iter().enumerate().all(|(number, answer)| *answer == number.to_string()), "{answers:?}");
    Ok(())
}

async fn calls_fail_with_codes(pair: Pair) -> TestResult {
    let Pair { it, python, .. } = pair;
    for (from, callee, to) in [(&it, "python", &python), (&python, "it", &it)] {
        let (message, data) = ("no coffee".to_owned(), Some("tea".to_owned()));
        let fail = RpcBehaviour::Fail { code: 418, message: message.clone(), data: data.clone() };
        to.register_rpc("fail", fail).await?;
        to.register_rpc("throw", RpcBehaviour::Throw).await?;
        let error = rpc_error(from.perform_rpc(callee, "fail", "").await);
        assert_eq!(error, (418, message, data));
        assert_eq!(rpc_error(from.perform_rpc(callee, "throw", "").await).0, 1500);
        assert_eq!(rpc_error(from.perform_rpc(callee, "none", "").await).0, 1400);
    }
    it.register_rpc("silent", RpcBehaviour::Silent).await?;
    // The browser's SDK waits at least 8 s.
    let within = Duration::from_secs(3);
    assert_eq!(rpc_error(python.perform_rpc_within("it", "silent", "", within).await).0, 1502);
    Ok(())
}

fn rpc_error(answer: Result<String, ClientError>) -> (u64, String, Option<String>) {
    match answer {
        Err(ClientError::Rpc { code, message, data }) => (code, message, data),
        answer => panic!("{answer:?}"),
    }
}

async fn keys_and_chats_arrive(mut pair: Pair) -> TestResult {
    let is_key = |from: &'static str| move |event: &ClientEvent| matches!(event, ClientEvent::Dtmf { identity, code: 11, digit } if identity == from && digit == "#");
    pair.it.publish_dtmf(11, "#").await?;
    pair.python.wait_for(is_key("it"), SOON).await?;
    pair.python.publish_dtmf(11, "#").await?;
    pair.it.wait_for(is_key("python"), SOON).await?;

    // The Python SDKs have none.
    let sent = pair.it.send_chat_message("Hi").await;
    if matches!(pair.kind, ClientKind::Python | ClientKind::Python12) {
        assert!(matches!(sent, Err(ClientError::Failed { .. })), "{sent:?}");
    } else {
        assert!(!sent?.is_empty());
    }
    Ok(())
}

async fn participants_and_data_are_seen(mut pair: Pair) -> TestResult {
    let Pair { it, python, kind, .. } = &mut pair;
    it.set_attributes(&[("mood", "fine")]).await?;
    it.set_metadata("m").await?;
    it.set_name("It").await?;
    let changed = python
        .wait_for_state(
            |state| {
                state.others.iter().any(|other| (other.name.as_str(), other.metadata.as_str()) == ("It", "m"))
            },
            SOON,
        )
        .await?;
    assert_eq!(changed.others[0].attributes.get("mood").map(String::as_str), Some("fine"), "{changed:?}");
    python.set_attributes(&[("mood", "better")]).await?;
    it.wait_for(
        |event| matches!(event, ClientEvent::AttributesChanged { identity, changed, .. } if identity == "python" && changed.get("mood").is_some_and(|mood| mood == "better")),
        SOON,
    )
    .await?;

    it.send(DataMessage::new(vec![0, 255, 7]).topic("data").to("python")).await?;
    python.send(DataMessage::new(vec![1]).lossy()).await?;
    let event = python.wait_for(|event| matches!(event, ClientEvent::Data(_)), SOON).await?;
    let ClientEvent::Data(data) = event else { panic!("{event:?}") };
    assert_eq!((data.identity.as_deref(), data.topic.as_deref()), (Some("it"), Some("data")));
    assert!(data.reliable && data.payload == [0, 255, 7], "{data:?}");
    let event = it.wait_for(|event| matches!(event, ClientEvent::Data(_)), SOON).await?;
    let ClientEvent::Data(data) = event else { panic!("{event:?}") };
    assert_eq!((data.identity.as_deref(), data.topic.as_deref()), (Some("python"), None));
    assert!(!data.reliable && data.payload == [1], "{data:?}");

    let sid = it.publish_audio("mic", Some(440)).await?;
    python.wait_for(|event| matches!(event, ClientEvent::TrackSubscribed { track, .. } if track.sid == sid && track.kind == "audio"), SOON).await?;
    python
        .wait_for(
            |event| matches!(event, ClientEvent::ActiveSpeakers { identities } if identities == &["it"]),
            SOON,
        )
        .await?;
    if *kind != ClientKind::Node {
        it.mute(&sid, true).await?;
        python
            .wait_for(
                |event| matches!(event, ClientEvent::TrackMuted { track, .. } if track.sid == sid),
                SOON,
            )
            .await?;
    }
    it.unpublish(&sid).await?;
    python
        .wait_for(
            |event| matches!(event, ClientEvent::TrackUnpublished { track, .. } if track.sid == sid),
            SOON,
        )
        .await?;
    let sid = python.publish_audio("mic", None).await?;
    it.wait_for(|event| matches!(event, ClientEvent::TrackSubscribed { identity, track } if identity == "python" && track.sid == sid && track.kind == "audio"), SOON).await?;

    let Pair { it, mut python, .. } = pair;
    it.leave().await?;
    python.wait_for(|event| matches!(event, ClientEvent::ParticipantDisconnected { identity, reason } if identity == "it" && reason == "CLIENT_INITIATED"), SOON).await?;
    Ok(())
}

#[tokio::test]
async fn chat_messages_arrive_where_the_sdk_has_them() -> TestResult {
    let Some(server) = real_server().await else { return Ok(()) };
    if official_host_of(ClientKind::Node).await.is_none()
        || official_host_of(ClientKind::Browser).await.is_none()
    {
        return Ok(());
    }
    let mut node = join(&server, ClientKind::Node, "node").await?;
    let mut browser = join(&server, ClientKind::Browser, "browser").await?;
    node.wait_for_state(|state| !state.others.is_empty(), SOON).await?;
    send_chat("node", &node, &mut browser).await?;
    send_chat("browser", &browser, &mut node).await
}

async fn send_chat(name: &str, from: &OfficialClient, to: &mut OfficialClient) -> TestResult {
    let sent = from.send_chat_message("Hi 🎉").await?;
    to.wait_for(
        |event| matches!(event, ClientEvent::ChatMessage { identity, id, message } if identity == name && *id == sent && message == "Hi 🎉"),
        SOON,
    )
    .await?;
    Ok(())
}

/// They are forwarded from agents only.
#[tokio::test]
async fn transcriptions_arrive_where_the_sdk_has_them() -> TestResult {
    let Some(server) = real_server().await else { return Ok(()) };
    for kind in [ClientKind::Python, ClientKind::Python12, ClientKind::Node, ClientKind::Browser] {
        if official_host_of(kind).await.is_none() {
            return Ok(());
        }
    }
    let mut listeners = Vec::new();
    for (kind, identity) in
        [(ClientKind::Python, "python"), (ClientKind::Python12, "python12"), (ClientKind::Browser, "browser")]
    {
        listeners.push(join(&server, kind, identity).await?);
    }
    for (kind, identity) in [(ClientKind::Python, "agent"), (ClientKind::Node, "node-agent")] {
        let token = server.token().identity(identity).join_room("lobby").agent().sign().expect("a token");
        let mut agent = OfficialClient::join_with(kind, &server.url(), &token).await?;
        agent.wait_for_state(|state| state.others.len() == listeners.len(), SOON).await?;
        agent.publish_transcription("python", "TR_none", "SG_1", "Hello").await?;
        for listener in &mut listeners {
            let event = listener
                .wait_for(|event| matches!(event, ClientEvent::TranscriptionReceived { .. }), SOON)
                .await?;
            let ClientEvent::TranscriptionReceived { identity, segments, .. } = event else {
                panic!("{event:?}")
            };
            let segment = segments.first().expect("a segment");
            assert_eq!((identity.as_str(), segment.id.as_str()), ("python", "SG_1"));
            assert!(segment.text == "Hello" && segment.r#final, "{segments:?}");
        }
        agent.leave().await?;
    }
    Ok(())
}

/// Bytes that cannot be compressed, the same in each run.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(next).collect()
}
