//! A server without a socket that sends what a test passes to it, on virtual time.

use std::io;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use agent_proto::{decode, encode, livekit as wire};
use agent_worker::net::{ByteStream, Dialer, NetOptions};
use agent_worker::{Agent, BoxFuture, Worker, WorkerBuilder};

use wire::server_message::Message as ToWorker;

#[derive(Clone)]
pub(crate) struct Server {
    outgoing: mpsc::UnboundedSender<Message>,
    queue: Arc<Mutex<mpsc::UnboundedReceiver<Message>>>,
    /// How many offers were answered.
    answers: watch::Sender<usize>,
    /// The worker id that it gives, and its version.
    names: Arc<(String, String)>,
}

impl Server {
    pub(crate) fn new(worker_id: &str, version: &str) -> Self {
        let (outgoing, queue) = mpsc::unbounded_channel();
        Self {
            outgoing,
            queue: Arc::new(Mutex::new(queue)),
            answers: watch::Sender::new(0),
            names: Arc::new((worker_id.to_owned(), version.to_owned())),
        }
    }

    pub(crate) fn worker<A: Agent>(&self, agent: A) -> WorkerBuilder {
        Worker::builder(agent)
            .url("ws://server")
            .credentials("key", "secret")
            .agent_name("tester")
            .net(NetOptions::default().dialer(self.clone()))
    }

    pub(crate) fn send(&self, message: ToWorker) {
        self.outgoing.send(binary(message)).unwrap();
    }

    pub(crate) fn offer(&self, id: &str, room: &str) {
        self.offer_job(job(id, room));
    }

    pub(crate) fn offer_job(&self, job: wire::Job) {
        self.send(ToWorker::Availability(wire::AvailabilityRequest { job: Some(job), resuming: false }));
    }

    pub(crate) fn close(&self, reason: &str) {
        let frame = CloseFrame { code: 1000.into(), reason: reason.into() };
        self.outgoing.send(Message::Close(Some(frame))).unwrap();
    }

    pub(crate) async fn answered(&self, offers: usize) {
        self.answers.subscribe().wait_for(|answers| *answers >= offers).await.unwrap();
    }
}

pub(crate) fn job(id: &str, room: &str) -> wire::Job {
    let room = Some(wire::Room { name: room.to_owned(), ..Default::default() });
    wire::Job { id: id.to_owned(), room, ..Default::default() }
}

fn binary(message: ToWorker) -> Message {
    Message::Binary(encode(&wire::ServerMessage { message: Some(message) }))
}

impl Dialer for Server {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve(self.clone(), theirs));
        Box::pin(async { Ok(Box::new(ours) as Box<dyn ByteStream>) })
    }
}

async fn serve(server: Server, stream: DuplexStream) {
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut write, mut read) = socket.split();
    let mut queue = server.queue.lock().await;
    let mut registered = false;
    loop {
        let outgoing = tokio::select! {
            message = read.next() => {
                let frame = match message {
                    Some(Ok(Message::Binary(frame))) => frame,
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return,
                };
                let message: wire::WorkerMessage = decode(&frame, 1 << 22).expect("a message");
                match message.message.expect("a message") {
                    wire::worker_message::Message::Register(_) => {
                        registered = true;
                        let (worker_id, version) = (*server.names).clone();
                        let server_info = Some(wire::ServerInfo { version, ..Default::default() });
                        binary(ToWorker::Register(wire::RegisterWorkerResponse { worker_id, server_info }))
                    }
                    wire::worker_message::Message::Ping(ping) => {
                        binary(ToWorker::Pong(wire::WorkerPong { last_timestamp: ping.timestamp, ..Default::default() }))
                    }
                    wire::worker_message::Message::Availability(_) => {
                        server.answers.send_modify(|answers| *answers += 1);
                        continue;
                    }
                    _ => continue,
                }
            }
            Some(outgoing) = queue.recv(), if registered => outgoing,
        };
        let closes = matches!(outgoing, Message::Close(_));
        if write.send(outgoing).await.is_err() || closes {
            return;
        }
    }
}
