//! The server's end of a worker's connection, and of its rooms.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use agent_proto::{decode, encode, livekit as wire};

use crate::support::raw_server::{Server, binary};
use crate::support::within;
use wire::server_message::Message as ToWorker;
use wire::worker_message::Message as FromWorker;

pub(crate) struct Registered(WebSocketStream<TcpStream>);

impl Registered {
    pub(crate) async fn accept(server: &Server) -> Self {
        let peer = server.accept_worker().await;
        Self(WebSocketStream::from_raw_socket(peer.tcp, Role::Server, None).await)
    }

    async fn send(&mut self, message: ToWorker) {
        let frame = encode(&wire::ServerMessage { message: Some(message) });
        within(self.0.send(Message::Binary(frame))).await.unwrap();
    }

    async fn next(&mut self) -> FromWorker {
        loop {
            let frame = self.0.next().await.expect("the worker lives").expect("a message");
            let Message::Binary(frame) = frame else { continue };
            let message: wire::WorkerMessage = decode(&frame, 1 << 20).expect("a message");
            match message.message.expect("a message") {
                FromWorker::Ping(ping) => {
                    let stamp = ping.timestamp;
                    self.send(ToWorker::Pong(wire::WorkerPong { last_timestamp: stamp, timestamp: stamp }))
                        .await;
                }
                message => return message,
            }
        }
    }

    pub(crate) async fn offer(&mut self, n: usize) {
        let job = Some(job(&format!("AJ_{n}")));
        self.send(ToWorker::Availability(wire::AvailabilityRequest { job, resuming: false })).await;
    }

    /// The next answer to an offer: of which job, and whether it is taken.
    pub(crate) async fn answer(&mut self) -> (String, bool) {
        let answered = async {
            loop {
                if let FromWorker::Availability(answer) = self.next().await {
                    return (answer.job_id, answer.available);
                }
            }
        };
        within(answered).await
    }

    pub(crate) async fn assign(&mut self, id: &str) {
        let (job, token) = (Some(job(id)), "a token".to_owned());
        self.send(ToWorker::Assignment(wire::JobAssignment { job, token, ..Default::default() })).await;
    }

    /// The error of the next job that fails.
    pub(crate) async fn failure(&mut self) -> String {
        within(async { self.next_failure().await }).await
    }

    /// Those that come within a moment.
    pub(crate) async fn failures(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(text) = tokio::time::timeout(Duration::from_secs(1), self.next_failure()).await {
            all.push(text);
        }
        all
    }

    async fn next_failure(&mut self) -> String {
        loop {
            if let FromWorker::UpdateJob(update) = self.next().await
                && update.status() == wire::JobStatus::JsFailed
            {
                return update.error;
            }
        }
    }
}

fn job(id: &str) -> wire::Job {
    let room = Some(wire::Room { name: id.to_owned(), ..Default::default() });
    wire::Job { id: id.to_owned(), room, ..Default::default() }
}

/// Lets every room in and holds its connection; counts them.
pub(crate) fn hold_rooms(server: Server) -> watch::Receiver<usize> {
    let (count, rooms) = watch::channel(0);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(mut peer) = tokio::time::timeout(Duration::from_secs(600), server.accept()).await {
            let participant = Some(wire::ParticipantInfo {
                sid: "PA_1".into(),
                identity: "agent".into(),
                ..Default::default()
            });
            let join =
                wire::JoinResponse { participant, ping_interval: 60, ping_timeout: 60, ..Default::default() };
            let message = Some(wire::signal_response::Message::Join(join));
            let frame: Bytes = encode(&wire::SignalResponse { message });
            peer.send(&binary(&frame)).await;
            held.push(peer);
            count.send_modify(|open| *open += 1);
        }
    });
    rooms
}
