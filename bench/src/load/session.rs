//! One subject's connection, and the loads that are put on it.

use super::book::Book;
use super::frames;
use agent_proto::livekit::WorkerMessage;
use agent_proto::livekit::worker_message::Message as FromWorker;
use agent_proto::{MAX_FRAME_LEN, decode};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A load that takes this much longer than it should hangs.
const STALLED: Duration = Duration::from_secs(60);
/// Offers of jobs to be held that wait for their answer at a time: a worker has a second for each.
const OFFERS_AT_ONCE: usize = 256;

/// What ends a closed loop, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// No job is offered after this time.
    pub(crate) time: Duration,
    /// No more jobs than this.
    pub(crate) jobs: usize,
}

/// Waits for one subject.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) async fn bind() -> Result<Self> {
        Ok(Self(TcpListener::bind("127.0.0.1:0").await.context("no port on loopback")?))
    }

    /// For the subject.
    pub(crate) fn url(&self) -> Result<String> {
        Ok(format!("ws://{}", self.0.local_addr()?))
    }

    /// The subject, registered.
    pub(crate) async fn accept(&self) -> Result<Session> {
        within(Duration::ZERO, "its registration", async {
            let (tcp, _) = self.0.accept().await?;
            tcp.set_nodelay(true)?;
            let socket = tokio_tungstenite::accept_async(tcp).await?;
            let mut session = Session { socket, book: Book::new(), out: Vec::new() };
            match session.next().await? {
                Some(FromWorker::Register(_)) => session.out.push(frames::registered()),
                other => bail!("the subject begins with {other:?}, not with its registration"),
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
    book: Book,
    out: Vec<Bytes>,
}

impl Session {
    /// Keeps so many jobs going, the next one offered as one ends; the number of jobs, all of which have ended with success.
    pub(crate) async fn closed_loop(&mut self, at_once: usize, bound: Bound) -> Result<usize> {
        within(bound.time, "the closed loop", async {
            let (start, before) = (Instant::now(), self.book.offered());
            loop {
                while self.book.offered() - self.book.ended() < at_once
                    && self.book.offered() - before < bound.jobs
                    && start.elapsed() < bound.time
                {
                    self.out.push(self.book.offer());
                }
                if self.book.ended() == self.book.offered() {
                    return Ok(self.book.ended() - before);
                }
                self.turn().await?;
            }
        })
        .await
    }

    /// Starts so many jobs; done when all of them run.
    pub(crate) async fn hold(&mut self, jobs: usize) -> Result<()> {
        within(Duration::ZERO, "the start of the held jobs", async {
            while self.book.running() < jobs {
                while self.book.offered() < jobs && self.book.offered() - self.book.running() < OFFERS_AT_ONCE
                {
                    self.out.push(self.book.offer());
                }
                self.turn().await?;
            }
            Ok(())
        })
        .await
    }

    /// Stops all jobs; done when all of them have ended with success.
    pub(crate) async fn release(&mut self) -> Result<()> {
        within(Duration::ZERO, "the end of the held jobs", async {
            self.out.extend(self.book.terminate_all());
            while self.book.running() > 0 {
                self.turn().await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes what waits, then hears everything that is there.
    async fn turn(&mut self) -> Result<()> {
        self.write().await?;
        let mut message = self.next().await?;
        loop {
            if let Some(message) = message {
                self.out.extend(self.book.hear(message)?);
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

    /// The next message; none for a frame of the WebSocket itself.
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

/// Fails when something hangs, rather than to hang with it.
async fn within<T>(time: Duration, what: &str, load: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(time + STALLED, load)
        .await
        .unwrap_or_else(|_| bail!("{what} hangs: the subject does not go on"))
        .with_context(|| format!("during {what}"))
}
