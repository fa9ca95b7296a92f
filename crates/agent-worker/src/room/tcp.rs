//! TCP connections of a room: the way for its packets where datagrams do not get through (ICE-TCP).
//!
//! Each packet goes behind its length, two bytes in network order (RFC 4571). A connection is a task of its own, which ends with
//! the [`TcpPaths`].

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
};

/// Until a connection stands.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Packets that wait to be written, and packets that wait to be read; more are lost, as datagrams would be.
const MAX_WAITING: usize = 256;

/// What happened on one of them.
pub(super) enum TcpEvent {
    Connected { local: SocketAddr, remote: SocketAddr },
    Received { local: SocketAddr, remote: SocketAddr, contents: Bytes },
    Closed { remote: SocketAddr },
}

pub(super) struct TcpPaths {
    tasks: JoinSet<()>,
    /// By the server's address.
    paths: BTreeMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
    events: mpsc::Receiver<TcpEvent>,
    tell: mpsc::Sender<TcpEvent>,
}

impl TcpPaths {
    pub(super) fn new() -> Self {
        let (tell, events) = mpsc::channel(MAX_WAITING);
        Self { tasks: JoinSet::new(), paths: BTreeMap::new(), events, tell }
    }

    /// Connects to the server's address, in the place of what was there before.
    pub(super) fn connect(&mut self, remote: SocketAddr) {
        let (sender, packets) = mpsc::channel(MAX_WAITING);
        self.paths.insert(remote, sender);
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            if let Err(error) = carry(remote, packets, &tell).await {
                tracing::debug!(%remote, %error, "no TCP connection for media and data");
            }
            let _ = tell.send(TcpEvent::Closed { remote }).await;
        });
    }

    /// Sends at once or not at all, as a network would.
    pub(super) fn send(&self, remote: SocketAddr, contents: Vec<u8>) {
        if let Some(path) = self.paths.get(&remote) {
            let _ = path.try_send(contents);
        }
    }

    /// What happens next; never ready without a connection. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> TcpEvent {
        // Ended tasks are not kept.
        while self.tasks.try_join_next().is_some() {}
        match self.events.recv().await {
            Some(event) => event,
            // One sender is ours.
            None => std::future::pending().await,
        }
    }
}

/// Connects, and carries packets until one side is done.
async fn carry(
    remote: SocketAddr,
    mut packets: mpsc::Receiver<Vec<u8>>,
    tell: &mpsc::Sender<TcpEvent>,
) -> io::Result<()> {
    let connecting = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(remote));
    let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let _ = tell.send(TcpEvent::Connected { local, remote }).await;
    let (reader, mut writer) = stream.into_split();
    let read = async {
        let mut reader = BufReader::new(reader);
        loop {
            let len = reader.read_u16().await?;
            let mut contents = vec![0; len.into()];
            reader.read_exact(&mut contents).await?;
            let event = TcpEvent::Received { local, remote, contents: contents.into() };
            if tell.send(event).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some(packet) = packets.recv().await {
            // Packets of WebRTC are far shorter.
            let Ok(len) = u16::try_from(packet.len()) else { continue };
            let mut framed = Vec::with_capacity(packet.len() + 2);
            framed.extend_from_slice(&len.to_be_bytes());
            framed.extend_from_slice(&packet);
            writer.write_all(&framed).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = read => done,
        done = write => done,
    }
}
