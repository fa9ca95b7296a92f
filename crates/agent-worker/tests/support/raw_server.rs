//! A server that does the WebSocket handshake, and leaves the rest to the test.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use agent_proto::{encode, livekit as wire};

use super::within;

pub(crate) struct Server {
    listener: TcpListener,
}

/// One connection after its handshake.
pub(crate) struct Peer {
    pub(crate) tcp: TcpStream,
    /// The path and query of the request.
    pub(crate) target: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// The next connection, before its handshake.
    pub(crate) async fn accept_raw(&self) -> TcpStream {
        within(self.listener.accept()).await.unwrap().0
    }

    /// The next connection, after its handshake.
    pub(crate) async fn accept(&self) -> Peer {
        let mut tcp = self.accept_raw().await;
        let head = head(&mut tcp).await;
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
        });
        let accept = derive_accept_key(key.expect("a WebSocket").as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        tcp.write_all(answer.as_bytes()).await.unwrap();
        let target = head.split_whitespace().nth(1).expect("a target").to_owned();
        Peer { tcp, target }
    }

    /// The next connection of a worker, which is then registered.
    pub(crate) async fn accept_worker(&self) -> Peer {
        let mut peer = self.accept().await;
        let answer = wire::RegisterWorkerResponse { worker_id: "AW_1".to_owned(), ..Default::default() };
        // The answer, in advance, to the worker's ping that follows, with any timestamp.
        let pong = wire::WorkerPong { last_timestamp: i64::MAX, ..Default::default() };
        for message in
            [wire::server_message::Message::Register(answer), wire::server_message::Message::Pong(pong)]
        {
            peer.send(&binary(&encode(&wire::ServerMessage { message: Some(message) }))).await;
        }
        peer
    }
}

/// The head of a request.
pub(crate) async fn head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

impl Peer {
    /// Writes bytes as they are. The other side may close before it has read them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = within(self.tcp.write_all(bytes)).await;
    }

    /// Writes as long as the other side takes it, `total` bytes at most; how many it took.
    pub(crate) async fn flood(&mut self, bytes: &[u8], total: usize) -> usize {
        let mut taken = 0;
        while taken < total && within(self.tcp.write_all(bytes)).await.is_ok() {
            taken += bytes.len();
        }
        taken
    }

    /// Waits until the other side ends the connection.
    pub(crate) async fn ended(mut self) {
        let mut buffer = vec![0; 64 * 1024];
        within(async { while matches!(self.tcp.read(&mut buffer).await, Ok(1..)) {} }).await;
    }

    /// Whether a worker at the other end still does its work: it answers an offer.
    pub(crate) async fn answers_an_offer(self) -> Self {
        let (accepted, peer) = self.offer(0).await;
        assert!(accepted);
        peer
    }

    /// Offers a job of this type; whether it is accepted.
    pub(crate) async fn offer(mut self, r#type: i32) -> (bool, Self) {
        let job = Some(wire::Job { id: "AJ_1".to_owned(), r#type, ..Default::default() });
        let offer = wire::AvailabilityRequest { job, resuming: false };
        let message = Some(wire::server_message::Message::Availability(offer));
        self.send(&binary(&encode(&wire::ServerMessage { message }))).await;
        let mut socket = WebSocketStream::from_raw_socket(self.tcp, Role::Server, None).await;
        let answered = async {
            loop {
                let Message::Binary(frame) = socket.next().await.expect("a frame").expect("a frame") else {
                    continue;
                };
                let message: wire::WorkerMessage = agent_proto::decode(&frame, 1 << 20).expect("a message");
                if let Some(wire::worker_message::Message::Availability(answer)) = message.message {
                    assert_eq!(answer.job_id, "AJ_1");
                    return answer.available;
                }
            }
        };
        let accepted = within(answered).await;
        (accepted, Self { tcp: socket.into_inner(), target: self.target })
    }
}

/// The first byte of a frame that is whole, and the kinds of frames.
const WHOLE: u8 = 0x80;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;

pub(crate) fn binary(payload: &[u8]) -> Vec<u8> {
    frame(WHOLE | BINARY, payload)
}

pub(crate) fn whole(kind: u8, payload: &[u8]) -> Vec<u8> {
    frame(WHOLE | kind, payload)
}

/// A server's frame: its first byte, the length in the shortest form, the payload.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(u8::try_from(short).unwrap()),
        middle @ ..65_536 => {
            frame.push(126);
            frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => frame.extend(claim(long as u64)),
    }
    frame.extend(payload);
    frame
}

/// A length in its longest form.
fn claim(len: u64) -> Vec<u8> {
    let mut bytes = vec![127];
    bytes.extend(len.to_be_bytes());
    bytes
}

/// What ends every WebSocket: a name for it, and bytes that are repeated until it has ended.
pub(crate) fn breaches() -> Vec<(&'static str, Bytes, Bytes)> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut random = std::iter::repeat_with(move || rng.u8(..));
    let mib = 1024 * 1024;
    let nothing = Bytes::new();
    vec![
        // The first byte is one that no frame may have.
        ("random bytes", [vec![0xff], random.by_ref().take(mib).collect()].concat().into(), nothing.clone()),
        ("a text", "HTTP/1.1 200 OK\r\n\r\nhello".repeat(100).into(), nothing.clone()),
        ("a frame of 10 MB", binary(&vec![0; 10 * mib]).into(), nothing.clone()),
        (
            "a frame that claims 2^62 bytes",
            [vec![WHOLE | BINARY], claim(1 << 62)].concat().into(),
            vec![0; mib].into(),
        ),
        ("a masked frame", vec![WHOLE | BINARY, 0x80, 0, 0, 0, 0].into(), nothing.clone()),
        ("a ping of 2,000 bytes", whole(PING, &[0; 2000]).into(), nothing.clone()),
        ("a text that is no UTF-8", whole(TEXT, &[0xff; 10]).into(), nothing.clone()),
        ("a continuation of nothing", frame(WHOLE, b"more").into(), nothing),
        ("a message in parts without end", frame(BINARY, b"first").into(), frame(0, &vec![0; 60_000]).into()),
        (
            "one in empty parts without end",
            frame(BINARY, b"first").into(),
            frame(0, b"x").repeat(60_000).into(),
        ),
    ]
}
