//! TCP connections of a room, for its packets where UDP is blocked (ICE-TCP).
//!
//! Each packet is preceded by its length, two bytes in network order (RFC 4571). A connection is a task of
//! its own, which ends with the [`TcpPaths`].

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tracing::Instrument;

use agent_net::exhaustion;
use agent_proto::text::line;

/// Timeout of a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Maximum number of packets queued for writing, and for reading; more are dropped, as UDP would.
const MAX_WAITING: usize = 256;
/// Maximum size of a packet; those of WebRTC are below 1,500 bytes.
const MAX_PACKET: usize = 8192;

/// An event of a connection.
pub(super) enum TcpEvent {
    Connected {
        local: SocketAddr,
        remote: SocketAddr,
    },
    Received {
        local: SocketAddr,
        remote: SocketAddr,
        contents: Bytes,
    },
    /// `exhausted`: there was no file descriptor left for it.
    Closed {
        remote: SocketAddr,
        exhausted: Option<io::Error>,
    },
}

pub(super) struct TcpPaths {
    tasks: JoinSet<()>,
    /// Keyed by the server's address.
    paths: BTreeMap<SocketAddr, Path>,
    /// Counts connections: events of one that was replaced are ignored.
    last: u64,
    events: mpsc::Receiver<(u64, TcpEvent)>,
    sender: mpsc::Sender<(u64, TcpEvent)>,
}

struct Path {
    number: u64,
    packets: mpsc::Sender<Vec<u8>>,
    task: AbortHandle,
}

impl TcpPaths {
    pub(super) fn new() -> Self {
        let (sender, events) = mpsc::channel(MAX_WAITING);
        Self { tasks: JoinSet::new(), paths: BTreeMap::new(), last: 0, events, sender }
    }

    /// Connects to the server's address, instead of an existing connection.
    pub(super) fn connect(&mut self, remote: SocketAddr) {
        let (sender, packets) = mpsc::channel(MAX_WAITING);
        self.last += 1;
        let events = EventSender { number: self.last, events: self.sender.clone() };
        let carrying = async move {
            let error = carry(remote, packets, &events).await.err();
            if let Some(error) = &error {
                tracing::debug!(%remote, error = %line(error), "no TCP connection for media and data");
            }
            let exhausted = error.as_ref().and_then(exhaustion);
            events.event(TcpEvent::Closed { remote, exhausted }).await;
        };
        let task = self.tasks.spawn(carrying.in_current_span());
        let path = Path { number: self.last, packets: sender, task };
        if let Some(old) = self.paths.insert(remote, path) {
            old.task.abort();
        }
    }

    /// Sends immediately or drops the packet, as a network would.
    pub(super) fn send(&self, remote: SocketAddr, contents: Vec<u8>) {
        if let Some(path) = self.paths.get(&remote) {
            let _ = path.packets.try_send(contents);
        }
    }

    /// Waits for the next event; pending forever without a connection. Cancel-safe.
    pub(super) async fn next(&mut self) -> TcpEvent {
        // Removes ended tasks.
        while self.tasks.try_join_next().is_some() {}
        loop {
            match self.events.recv().await {
                Some((number, event)) => {
                    if self.paths.get(&event.remote()).is_some_and(|path| path.number == number) {
                        return event;
                    }
                }
                // One sender is ours.
                None => std::future::pending().await,
            }
        }
    }
}

impl TcpEvent {
    fn remote(&self) -> SocketAddr {
        match self {
            Self::Connected { remote, .. } | Self::Received { remote, .. } | Self::Closed { remote, .. } => {
                *remote
            }
        }
    }
}

/// The sender of a connection's events.
struct EventSender {
    number: u64,
    events: mpsc::Sender<(u64, TcpEvent)>,
}

impl EventSender {
    /// Whether the receiver still exists.
    async fn event(&self, event: TcpEvent) -> bool {
        self.events.send((self.number, event)).await.is_ok()
    }
}

/// Connects, and forwards packets until one side closes.
async fn carry(
    remote: SocketAddr,
    mut packets: mpsc::Receiver<Vec<u8>>,
    sender: &EventSender,
) -> io::Result<()> {
    let connecting = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(remote));
    let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    sender.event(TcpEvent::Connected { local, remote }).await;
    let (reader, mut writer) = stream.into_split();
    let read = async {
        let mut reader = BufReader::new(reader);
        loop {
            let len = usize::from(reader.read_u16().await?);
            if len > MAX_PACKET {
                return Err(io::Error::other("a frame is longer than any packet"));
            }
            let mut contents = vec![0; len];
            reader.read_exact(&mut contents).await?;
            let event = TcpEvent::Received { local, remote, contents: contents.into() };
            if !sender.event(event).await {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some(packet) = packets.recv().await {
            // WebRTC's packets are far shorter.
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn packets_go_both_ways_behind_their_length() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        let mut paths = TcpPaths::new();
        paths.connect(remote);
        let (mut peer, address) = listener.accept().await.unwrap();
        let TcpEvent::Connected { local, .. } = paths.next().await else { panic!("not connected") };
        assert_eq!(local, address);
        paths.send(remote, vec![7; 300]);
        assert_eq!(peer.read_u16().await.unwrap(), 300);
        let mut read = vec![0; 300];
        peer.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [7; 300]);
        // In pieces, and an empty packet.
        for piece in [&[0][..], &[2, 1], &[2, 0, 0, 0], &[1, 9]] {
            peer.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        for expected in [&[1, 2][..], &[], &[9]] {
            let TcpEvent::Received { contents, .. } = paths.next().await else { panic!("no packet") };
            assert_eq!(contents, expected);
        }
        drop(peer);
        assert!(matches!(paths.next().await, TcpEvent::Closed { .. }));
    }

    #[tokio::test]
    async fn a_connection_that_was_replaced_reports_nothing_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        let mut paths = TcpPaths::new();
        paths.connect(remote);
        let (first, first_address) = listener.accept().await.unwrap();
        paths.connect(remote);
        let (_second, second_address) = listener.accept().await.unwrap();
        drop(first);
        let TcpEvent::Connected { local, .. } = paths.next().await else { panic!("not connected") };
        assert_eq!(local, second_address);
        assert_ne!(local, first_address);
        let more = tokio::time::timeout(Duration::from_millis(100), paths.next()).await;
        assert!(more.is_err(), "the end of the first one is not reported");
    }

    #[tokio::test]
    async fn a_port_without_a_listener_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        drop(listener);
        let mut paths = TcpPaths::new();
        paths.connect(remote);
        assert!(matches!(paths.next().await, TcpEvent::Closed { .. }));
    }

    /// A path to a peer, and the peer's end.
    async fn path() -> (TcpPaths, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        let mut paths = TcpPaths::new();
        paths.connect(remote);
        let (peer, _) = listener.accept().await.unwrap();
        assert!(matches!(next(&mut paths).await, TcpEvent::Connected { remote: at, .. } if at == remote));
        (paths, peer, remote)
    }

    async fn next(paths: &mut TcpPaths) -> TcpEvent {
        tokio::time::timeout(Duration::from_secs(10), paths.next()).await.expect("something happens")
    }

    fn framed(len: u16, contents: &[u8]) -> Vec<u8> {
        [&len.to_be_bytes(), contents].concat()
    }

    async fn received(paths: &mut TcpPaths) -> Bytes {
        match next(paths).await {
            TcpEvent::Received { contents, .. } => contents,
            TcpEvent::Connected { .. } | TcpEvent::Closed { .. } => panic!("no packet"),
        }
    }

    /// A peer that sends such lengths is out of step in its stream, and would not recover.
    #[tokio::test]
    async fn a_frame_that_is_longer_than_any_packet_ends_the_connection() {
        let (mut paths, mut peer, remote) = path().await;
        peer.write_all(&framed(8192, &[1; 8192])).await.unwrap();
        assert_eq!(received(&mut paths).await, vec![1; 8192]);
        peer.write_all(&framed(8193, &[0; 8193])).await.unwrap();
        assert!(matches!(next(&mut paths).await, TcpEvent::Closed { remote: at, .. } if at == remote));
    }

    #[tokio::test]
    async fn any_bytes_end_in_packets_or_an_end() {
        for seed in 0..30 {
            let (mut paths, mut peer, remote) = path().await;
            let mut rng = fastrand::Rng::with_seed(seed);
            let garbage: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(100_000).collect();
            let writing = tokio::spawn(async move {
                // The connection may be closed meanwhile.
                let _ = peer.write_all(&garbage).await;
            });
            loop {
                match next(&mut paths).await {
                    TcpEvent::Received { contents, .. } => assert!(contents.len() <= MAX_PACKET),
                    TcpEvent::Closed { remote: at, .. } => break assert_eq!(at, remote),
                    TcpEvent::Connected { .. } => panic!("once is enough"),
                }
            }
            writing.await.unwrap();
        }
    }

    /// Unread data stay with the peer.
    #[tokio::test]
    async fn a_flood_is_held_back() {
        let (mut paths, mut peer, _) = path().await;
        let flood = framed(8192, &[2; 8192]).repeat(8192);
        let flooding = async {
            let all = tokio::time::timeout(Duration::from_secs(1), peer.write_all(&flood)).await;
            assert!(all.is_err(), "64 MiB were taken without a reader");
        };
        flooding.await;
        for _ in 0..MAX_WAITING {
            assert_eq!(received(&mut paths).await.len(), 8192);
        }
    }
}
