//! One subject's connection, and the loads on it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use agent_proto::livekit::WorkerMessage;
use agent_proto::livekit::worker_message::Message as FromWorker;
use agent_proto::{MAX_FRAME_LEN, decode};

use super::frames;
use super::jobs::Jobs;

/// A load that takes this much longer than planned has stalled.
const STALLED: Duration = Duration::from_secs(60);
/// Maximum number of unanswered offers of held jobs: a worker has a second for each.
const OFFERS_AT_ONCE: usize = 256;

/// The end of a closed loop, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// No job is offered after this time.
    pub(crate) time: Duration,
    /// Maximum number of jobs.
    pub(crate) jobs: usize,
}

/// Waits for one subject.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) async fn bind() -> Result<Self> {
        Ok(Self(TcpListener::bind("127.0.0.1:0").await.context("no port on loopback")?))
    }

    /// The URL for the subject.
    pub(crate) fn url(&self) -> Result<String> {
        Ok(format!("ws://{}", self.0.local_addr()?))
    }

    /// Waits for the registered subject.
    pub(crate) async fn accept(&self) -> Result<Session> {
        within(Duration::ZERO, "its registration", async {
            let (tcp, _) = self.0.accept().await?;
            tcp.set_nodelay(true)?;
            let socket = tokio_tungstenite::accept_async(tcp).await?;
            let mut session = Session { socket, jobs: Jobs::new(), out: Vec::new() };
            match session.next().await? {
                Some(FromWorker::Register(_)) => session.out.push(frames::registered()),
                other => bail!("the subject sent {other:?} instead of its registration"),
            }
            session.write().await?;
            Ok(session)
        })
        .await
    }
}

/// A registered subject.
pub(crate) struct Session {
    socket: WebSocketStream<TcpStream>,
    jobs: Jobs,
    out: Vec<Bytes>,
}

impl Session {
    /// Keeps `at_once` jobs running and offers the next when one ends; returns the number of jobs, all of
    /// which ended successfully.
    pub(crate) async fn closed_loop(&mut self, at_once: usize, bound: Bound) -> Result<usize> {
        within(bound.time, "the closed loop", async {
            let (start, before) = (Instant::now(), self.jobs.offered());
            loop {
                while self.jobs.offered() - self.jobs.ended() < at_once
                    && self.jobs.offered() - before < bound.jobs
                    && start.elapsed() < bound.time
                {
                    self.out.push(self.jobs.offer());
                }
                if self.jobs.ended() == self.jobs.offered() {
                    return Ok(self.jobs.ended() - before);
                }
                self.turn().await?;
            }
        })
        .await
    }

    /// Starts this many jobs; completes when all of them run.
    pub(crate) async fn hold(&mut self, jobs: usize) -> Result<()> {
        within(Duration::ZERO, "the start of the held jobs", async {
            while self.jobs.running() < jobs {
                while self.jobs.offered() < jobs && self.jobs.offered() - self.jobs.running() < OFFERS_AT_ONCE
                {
                    self.out.push(self.jobs.offer());
                }
                self.turn().await?;
            }
            Ok(())
        })
        .await
    }

    /// Stops all jobs; completes when all of them have ended successfully.
    pub(crate) async fn release(&mut self) -> Result<()> {
        within(Duration::ZERO, "the end of the held jobs", async {
            self.out.extend(self.jobs.terminate_all());
            while self.jobs.running() > 0 {
                self.turn().await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes pending frames, then handles all available messages.
    async fn turn(&mut self) -> Result<()> {
        self.write().await?;
        let mut message = self.next().await?;
        loop {
            if let Some(message) = message {
                self.out.extend(self.jobs.handle(message)?);
            }
            match self.next().now_or_never() {
                Some(next) => message = next?,
                None => return Ok(()),
            }
        }
    }

    async fn write(&mut self) -> Result<()> {
        for frame in self.out.drain(..) {
            self.socket.feed(Message::Binary(frame)).await?;
        }
        Ok(self.socket.flush().await?)
    }

    /// The next message; `None` for a control frame of the WebSocket.
    async fn next(&mut self) -> Result<Option<FromWorker>> {
        match self.socket.next().await.context("the subject closed the connection")?? {
            Message::Binary(frame) => {
                let message: WorkerMessage = decode(&frame, MAX_FRAME_LEN)?;
                Ok(Some(message.message.context("the subject sent a message without content")?))
            }
            Message::Text(_) => bail!("the subject sent text"),
            Message::Close(_) => bail!("the subject closed the connection"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
        }
    }
}

/// Fails if the load stalls.
async fn within<T>(time: Duration, what: &str, load: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(time + STALLED, load)
        .await
        .unwrap_or_else(|_| bail!("{what} stalled: the subject makes no progress"))
        .with_context(|| format!("during {what}"))
}
