//! A server behind an HTTP proxy and TLS that writes its frames by hand: a library on this side would log
//! them, too.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use agent_proto::{encode, livekit as wire};

use wire::server_message::Message as ToWorker;
use wire::signal_response::Message as ToRoom;

pub(crate) struct Server {
    listener: TcpListener,
    tls: TlsAcceptor,
    /// Of the proxy, behind which the server is.
    pub(crate) address: SocketAddr,
}

/// A WebSocket.
pub(crate) struct Socket {
    stream: TlsStream<TcpStream>,
    pub(crate) head: String,
    /// The path and the query.
    pub(crate) target: String,
}

/// The rest of the line that begins like this, in any case.
pub(crate) fn line_after(text: &str, begin: &str) -> String {
    let starts = |line: &&str| line.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin));
    let line = text.lines().find(starts).unwrap_or_else(|| panic!("no {begin} in {text}"));
    line[begin.len()..].trim().to_owned()
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("text")
}

impl Server {
    pub(crate) async fn start(tls: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, tls, address }
    }

    /// The next connection: through the proxy, encrypted, upgraded.
    pub(crate) async fn accept(&self) -> Socket {
        let accepting = async {
            let (mut tcp, _) = self.listener.accept().await.unwrap();
            let connect = head(&mut tcp).await;
            assert!(connect.starts_with("CONNECT media.test:443 "), "{connect}");
            assert!(line_after(&connect, "proxy-authorization: basic ").len() > 10);
            tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let mut stream = self.tls.accept(tcp).await.unwrap();
            let head = head(&mut stream).await;
            let key = line_after(&head, "sec-websocket-key: ");
            let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
            let accept = aws_lc_rs::digest::digest(
                &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
                format!("{key}{guid}").as_bytes(),
            );
            let accept = base64::engine::general_purpose::STANDARD.encode(accept);
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            let target = head.split_whitespace().nth(1).expect("a target").to_owned();
            Socket { stream, head, target }
        };
        tokio::time::timeout(Duration::from_secs(20), accepting).await.expect("a connection")
    }
}

impl Socket {
    async fn send(&mut self, message: &[u8]) {
        let len = u16::try_from(message.len()).expect("a short message").to_be_bytes();
        let frame = [&[0x82, 126], &len[..], message].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn send_worker(&mut self, message: ToWorker) {
        self.send(&encode(&wire::ServerMessage { message: Some(message) })).await;
    }

    async fn send_room(&mut self, message: ToRoom) {
        self.send(&encode(&wire::SignalResponse { message: Some(message) })).await;
    }

    pub(crate) async fn register(&mut self) {
        let answer = wire::RegisterWorkerResponse { worker_id: "AW_1".to_owned(), ..Default::default() };
        self.send_worker(ToWorker::Register(answer)).await;
    }

    /// Offers a job and assigns it.
    pub(crate) async fn assign(&mut self, token: &str) {
        let room = Some(wire::Room { name: "lobby".to_owned(), ..Default::default() });
        let job = Some(wire::Job { id: "AJ_1".to_owned(), room, ..Default::default() });
        let offer = wire::AvailabilityRequest { job: job.clone(), resuming: false };
        self.send_worker(ToWorker::Availability(offer)).await;
        let assignment = wire::JobAssignment { job, token: token.to_owned(), ..Default::default() };
        self.send_worker(ToWorker::Assignment(assignment)).await;
    }

    /// Admits the participant, with a TURN server that requires a password.
    pub(crate) async fn let_in(&mut self, turn_password: &str) {
        let participant =
            wire::ParticipantInfo { sid: "PA_1".into(), identity: "agent".into(), ..Default::default() };
        let turn = wire::IceServer {
            urls: vec!["turn:127.0.0.1:9?transport=udp".to_owned()],
            username: "someone".to_owned(),
            credential: turn_password.to_owned(),
        };
        let join = wire::JoinResponse {
            participant: Some(participant),
            ping_interval: 60,
            ping_timeout: 60,
            ice_servers: vec![turn],
            ..Default::default()
        };
        self.send_room(ToRoom::Join(join)).await;
    }

    pub(crate) async fn refresh(&mut self, token: &str) {
        self.send_room(ToRoom::RefreshToken(token.to_owned())).await;
    }

    /// Answers the offer as a server would, with this ICE password and an address without a listener.
    pub(crate) async fn answer(&mut self, offer: &str, ice_password: &str) {
        let lines = offer.lines().filter_map(|line| match line {
            "a=setup:actpass" => Some("a=setup:active".to_owned()),
            line if line.starts_with("a=ice-ufrag:") => Some("a=ice-ufrag:someServer".to_owned()),
            line if line.starts_with("a=ice-pwd:") => Some(format!("a=ice-pwd:{ice_password}")),
            line if line.starts_with("a=candidate:") => None,
            line => Some(line.to_owned()),
        });
        let mut sdp = lines.collect::<Vec<_>>().join("\r\n");
        sdp.push_str("\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n");
        let description = wire::SessionDescription { r#type: "answer".into(), sdp, ..Default::default() };
        self.send_room(ToRoom::Answer(description)).await;
    }

    /// Reads what comes, until this time has passed.
    pub(crate) async fn read_until_idle(&mut self, limit: Duration) {
        let mut buffer = [0; 4096];
        let reading = async { while matches!(self.stream.read(&mut buffer).await, Ok(1..)) {} };
        let _ = tokio::time::timeout(limit, reading).await;
    }
}
