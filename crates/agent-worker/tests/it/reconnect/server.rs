//! A server without a socket that treats connections as a test decides, and records their times.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use agent_proto::{decode, encode, livekit as wire};
use agent_worker::net::{ByteStream, Dialer, NetOptions};
use agent_worker::stats::DrainReport;
use agent_worker::{BoxFuture, JobContext, JobResult, Worker, WorkerBuilder, WorkerError, WorkerHandle};

use wire::server_message::Message as Say;

/// How the server handles a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// No connection is established.
    Refused,
    /// It ends before the handshake.
    Closed,
    /// It ends after the handshake.
    ClosedOpen,
    /// It ends after the registration.
    ClosedRegistered,
    /// The handshake is answered with this status.
    Status(u16),
    /// The handshake is answered with this status, and with this header.
    Asking(u16, &'static str),
    /// The handshake is never answered.
    Silent,
    /// The registration is never answered.
    Unanswered,
    /// How long every answer takes.
    Slow(Duration),
    /// It stays open, until [`Server::cut`].
    StaysOpen,
}

#[derive(Clone)]
pub(crate) struct Server(Arc<State>);

struct State {
    manner: Mutex<Manner>,
    dials: Mutex<Vec<Instant>>,
    cuts: watch::Sender<u64>,
}

impl Server {
    pub(crate) fn new(manner: Manner) -> Self {
        Self(Arc::new(State {
            manner: Mutex::new(manner),
            dials: Mutex::default(),
            cuts: watch::Sender::new(0),
        }))
    }

    pub(crate) fn treats(&self, manner: Manner) {
        *self.0.manner.lock().unwrap() = manner;
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// When connections were requested.
    pub(crate) fn dials(&self) -> Vec<Instant> {
        self.0.dials.lock().unwrap().clone()
    }

    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder(done)
            .url("ws://server")
            .credentials("key", "secret")
            .agent_name("tester")
            .net(NetOptions::default().dialer(self.clone()))
    }
}

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

impl Dialer for Server {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async {
            self.0.dials.lock().unwrap().push(Instant::now());
            let manner = *self.0.manner.lock().unwrap();
            if manner == Manner::Refused {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let mut cuts = self.0.cuts.subscribe();
            tokio::spawn(async move {
                tokio::select! {
                    () = treat(manner, theirs) => {}
                    _ = cuts.changed() => {}
                }
            });
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

/// The connection ends with this.
async fn treat(manner: Manner, mut stream: DuplexStream) {
    match manner {
        Manner::Refused | Manner::Closed => return,
        Manner::Silent => std::future::pending().await,
        Manner::Status(status) => {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        }
        Manner::Asking(status, header) => {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!("HTTP/1.1 {status} No\r\n{header}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        }
        Manner::Slow(time) => tokio::time::sleep(time).await,
        Manner::ClosedOpen | Manner::ClosedRegistered | Manner::Unanswered | Manner::StaysOpen => {}
    }
    let mut socket = tokio_tungstenite::accept_async(stream).await.expect("a WebSocket");
    if manner == Manner::ClosedOpen {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(frame) = message else { continue };
        let message: wire::WorkerMessage = decode(&frame, 1 << 20).expect("a message");
        let answer = match message.message.expect("a message") {
            wire::worker_message::Message::Register(_) if manner != Manner::Unanswered => {
                Say::Register(wire::RegisterWorkerResponse::default())
            }
            wire::worker_message::Message::Ping(ping) => {
                Say::Pong(wire::WorkerPong { last_timestamp: ping.timestamp, ..Default::default() })
            }
            _ => continue,
        };
        if let Manner::Slow(time) = manner {
            tokio::time::sleep(time).await;
        }
        let registered = matches!(answer, Say::Register(_));
        let frame = encode(&wire::ServerMessage { message: Some(answer) });
        if socket.send(Message::Binary(frame)).await.is_err()
            || (registered && manner == Manner::ClosedRegistered)
        {
            return;
        }
    }
}

/// A worker that runs.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    pub(crate) task: JoinHandle<Result<DrainReport, WorkerError>>,
}

impl Running {
    pub(crate) fn start(builder: WorkerBuilder) -> Self {
        let worker = builder.build().expect("the settings are complete");
        Self { handle: worker.handle(), task: tokio::spawn(worker.run()) }
    }

    pub(crate) async fn is_registered(&self) -> bool {
        self.handle.status().await.expect("it runs").registered
    }

    /// How long it takes until it is registered, or is not.
    pub(crate) async fn until(&self, registered: bool) -> Duration {
        let begin = Instant::now();
        while self.is_registered().await != registered {
            assert!(begin.elapsed() < Duration::from_secs(3600), "it never is");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        begin.elapsed()
    }

    pub(crate) async fn stop(self) {
        self.handle.drain(Duration::ZERO).await;
        self.task.await.expect("no panic").expect("drained");
    }
}
