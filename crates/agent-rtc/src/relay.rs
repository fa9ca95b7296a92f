//! Connections to TURN servers, over UDP, TCP or TLS. What goes over them is agent-room's.
//!
//! A connection is a task of its own, which ends with its sender, once everything is sent, or with the
//! [`RelayConnections`].

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument;

use agent_net::{ConnectError, NetOptions, Stream, connect_datagrams, connect_relay, exhaustion};
use agent_room::RelayTransport;

/// Timeout of a connection, with everything that precedes it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long the last messages may take to be sent.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Maximum number of messages queued for writing, and of pieces queued for reading.
const MAX_WAITING: usize = 256;
/// Maximum size of a datagram, and of a piece of a stream.
const MAX_PIECE: usize = 4096;

/// An event of a connection.
pub(super) enum RelayEvent {
    Opened {
        relay: u32,
        local: SocketAddr,
    },
    Received {
        relay: u32,
        contents: Bytes,
    },
    /// `exhausted`: there was no file descriptor left for it.
    Closed {
        relay: u32,
        error: String,
        exhausted: Option<io::Error>,
    },
}

pub(super) struct RelayConnections {
    tasks: JoinSet<()>,
    /// Keyed by the numbers of the relays.
    senders: BTreeMap<u32, mpsc::Sender<Vec<u8>>>,
    events: mpsc::Receiver<RelayEvent>,
    event_sender: mpsc::Sender<RelayEvent>,
}

impl RelayConnections {
    pub(super) fn new() -> Self {
        let (event_sender, events) = mpsc::channel(MAX_WAITING);
        Self { tasks: JoinSet::new(), senders: BTreeMap::new(), events, event_sender }
    }

    /// Connects to a TURN server.
    pub(super) fn open(
        &mut self,
        relay: u32,
        host: String,
        port: u16,
        transport: RelayTransport,
        net: &NetOptions,
    ) {
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        self.senders.insert(relay, sender);
        let net = net.clone().connect_timeout(CONNECT_LIMIT);
        let event_sender = self.event_sender.clone();
        let task = async move {
            let error = match transport {
                RelayTransport::Udp => datagrams(relay, &host, port, messages, &net, &event_sender).await,
                RelayTransport::Tcp => stream(relay, &host, port, false, messages, &net, &event_sender).await,
                RelayTransport::Tls => stream(relay, &host, port, true, messages, &net, &event_sender).await,
            };
            if let Err(Failure { text: error, exhausted }) = error {
                // Without a receiver it is of no use.
                let _ = event_sender.send(RelayEvent::Closed { relay, error, exhausted }).await;
            }
        };
        self.tasks.spawn(task.in_current_span());
    }

    /// Sends immediately or drops the message, as a network would.
    pub(super) fn send(&self, relay: u32, message: Vec<u8>) {
        if let Some(sender) = self.senders.get(&relay) {
            let _ = sender.try_send(message);
        }
    }

    /// Closes a connection, once everything is sent.
    pub(super) fn close(&mut self, relay: u32) {
        self.senders.remove(&relay);
    }

    /// Closes all connections, and waits until everything is sent, for a limited time.
    pub(super) async fn finish(mut self) {
        self.senders.clear();
        self.events.close();
        let _ = tokio::time::timeout(CLOSE_LIMIT, async { while self.tasks.join_next().await.is_some() {} })
            .await;
    }

    /// Waits for the next event; pending forever without a connection. Cancel-safe.
    pub(super) async fn next(&mut self) -> RelayEvent {
        // Removes ended tasks.
        while self.tasks.try_join_next().is_some() {}
        loop {
            match self.events.recv().await {
                // What a connection reports that is being closed is of no use.
                Some(event) if self.senders.contains_key(&event.relay()) => return event,
                Some(_) => {}
                // One sender is ours.
                None => std::future::pending().await,
            }
        }
    }
}

impl RelayEvent {
    fn relay(&self) -> u32 {
        match self {
            Self::Opened { relay, .. } | Self::Received { relay, .. } | Self::Closed { relay, .. } => *relay,
        }
    }
}

/// Exchanges datagrams until the sender is gone, or an error occurs.
async fn datagrams(
    relay: u32,
    host: &str,
    port: u16,
    mut messages: mpsc::Receiver<Vec<u8>>,
    net: &NetOptions,
    event_sender: &mpsc::Sender<RelayEvent>,
) -> Result<(), Failure> {
    let socket = connect_datagrams(host, port, net).await.map_err(Failure::of)?;
    let local = socket.local_addr().map_err(Failure::of_io)?;
    let _ = event_sender.send(RelayEvent::Opened { relay, local }).await;
    let mut buffer = [0; MAX_PIECE];
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                // An error here may not affect the next message; one that lasts is received, too.
                Some(message) => drop(socket.send(&message).await),
                None => return Ok(()),
            },
            received = socket.recv(&mut buffer) => {
                let len = received.map_err(Failure::of_io)?;
                let contents = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
                let _ = event_sender.send(RelayEvent::Received { relay, contents }).await;
            }
        }
    }
}

/// Exchanges messages over a connection until the sender is gone, or an error occurs.
async fn stream(
    relay: u32,
    host: &str,
    port: u16,
    secure: bool,
    mut messages: mpsc::Receiver<Vec<u8>>,
    net: &NetOptions,
    event_sender: &mpsc::Sender<RelayEvent>,
) -> Result<(), Failure> {
    let stream: Stream = connect_relay(host, port, secure, net).await.map_err(Failure::of)?;
    // Only shown in a candidate; nothing connects to it.
    let local = SocketAddr::from(([0, 0, 0, 0], 0));
    let _ = event_sender.send(RelayEvent::Opened { relay, local }).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let read = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(MAX_PIECE);
            if reader.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let _ =
                event_sender.send(RelayEvent::Received { relay, contents: buffer.split().freeze() }).await;
        }
    };
    let write = async {
        while let Some(message) = messages.recv().await {
            writer.write_all(&message).await?;
            writer.flush().await?;
        }
        let _ = writer.shutdown().await;
        Ok(())
    };
    let ended: io::Result<()> = tokio::select! {
        ended = read => ended,
        ended = write => ended,
    };
    ended.map_err(Failure::of_io)
}

/// Why there is no connection.
struct Failure {
    text: String,
    /// There was no file descriptor left for it.
    exhausted: Option<io::Error>,
}

impl Failure {
    fn of(error: ConnectError) -> Self {
        let text = describe(&error);
        let exhausted = match error {
            ConnectError::TooManyOpenFiles { source, .. } => Some(source),
            _ => None,
        };
        Self { text, exhausted }
    }

    fn of_io(error: io::Error) -> Self {
        Self { text: describe_io(&error), exhausted: exhaustion(&error) }
    }
}

/// Why there is no connection, behind the URL of a TURN server: the error's own text is about a LiveKit
/// server.
fn describe(error: &ConnectError) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    match error {
        ConnectError::Resolve { .. } => format!("its name was not found{source}"),
        ConnectError::Unreachable { .. } => format!("nothing answers there{source}"),
        ConnectError::Tls { .. } => format!(
            "no TLS connection{source}; its certificate must be for this host and of an authority that is trusted here (`ca_file(…)` or \
             SSL_CERT_FILE)"
        ),
        ConnectError::Timeout { step, limit, .. } => format!("no answer within {limit:?} ({step})"),
        other => format!("{other}{source}"),
    }
}

fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => format!("nothing answers there: {error}"),
    }
}
