//! A proxy in front of the UDP port of a real server, which loses and delays packets.
//!
//! The server listens at 127.0.0.1 and announces 127.0.0.2, where the proxy has the same port. With ICE lite
//! it never sends to a client first, so that all packets go through the proxy. Each client has a socket of
//! its own towards the server, which takes it for the client.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::link::{Link, LinkConditions};

/// Where clients send to.
pub(super) const PROXY_IP: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Lines of the section `rtc` of a server behind a proxy.
pub(super) const RTC_YAML: &str = concat!(
    "  node_ip: 127.0.0.2\n",
    "  use_ice_lite: true\n",
    "  ips:\n",
    "    includes: [\"127.0.0.1/32\"]\n",
);
/// Packets of more clients than this are dropped.
const MAX_CLIENTS: usize = 1024;
/// Packets that wait beyond this are dropped.
const MAX_WAITING: usize = 64 * 1024;
const MAX_PACKET: usize = 2048;

/// A proxy for the media and data of all clients of a [`RealServer`](crate::RealServer), from
/// [`RealServerBuilder::udp_proxy`](crate::RealServerBuilder::udp_proxy).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use agent_testkit::{LinkConditions, OfficialClient, RealServer};
///
/// let server = RealServer::builder().udp_proxy().start().await?;
/// let token = server.token().identity("ada").join_room("lobby").sign()?;
/// let ada = OfficialClient::join(&server.url(), &token).await?;
/// let proxy = server.udp_proxy().ok_or("no proxy")?;
/// // Ada's packets are not affected, those of an agent that joins now are.
/// proxy.set_for_new_clients(LinkConditions::new().loss(2.0).jitter(Duration::from_millis(30)));
/// # Ok(()) }
/// ```
pub struct UdpProxy {
    shared: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// The packets that a [`UdpProxy`] has taken, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxiedPackets {
    /// Number of packets that were forwarded, or will be.
    pub forwarded: u64,
    /// Number of packets that were lost.
    pub lost: u64,
}

#[derive(Default)]
struct State {
    /// Of clients that send their first packet from now on.
    new: LinkConditions,
    /// To the server, and from it.
    links: BTreeMap<SocketAddr, [Link; 2]>,
    packets: ProxiedPackets,
}

/// Where a packet goes.
#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

/// A packet under way.
struct Packet {
    client: SocketAddr,
    direction: Direction,
    contents: Vec<u8>,
}

impl UdpProxy {
    /// Listens at the port of the server, at [`PROXY_IP`].
    pub(super) fn start(port: u16) -> io::Result<Self> {
        let front = std::net::UdpSocket::bind((PROXY_IP, port))?;
        front.set_nonblocking(true)?;
        let front = UdpSocket::from_std(front)?;
        let shared = Arc::new(Mutex::new(State::default()));
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let task = tokio::spawn(run(front, server, shared.clone()));
        Ok(Self { shared, task })
    }

    /// Sets the conditions for all clients, in both directions.
    pub fn set(&self, conditions: LinkConditions) {
        let mut state = lock(&self.shared);
        state.new = conditions;
        for (number, links) in (0..).zip(state.links.values_mut()) {
            *links = new_links(conditions, number);
        }
    }

    /// Sets the conditions for clients that send their first packet from now on, in both directions. A room
    /// that connects again is a new client.
    pub fn set_for_new_clients(&self, conditions: LinkConditions) {
        lock(&self.shared).new = conditions;
    }

    /// The packets so far.
    #[must_use]
    pub fn packets(&self) -> ProxiedPackets {
        lock(&self.shared).packets
    }
}

impl State {
    /// Decides on a packet: when it is sent, or `None`.
    fn decide(&mut self, client: SocketAddr, direction: Direction, now: Instant) -> Option<Instant> {
        let number = self.links.len() as u64;
        let links = self.links.entry(client).or_insert_with(|| new_links(self.new, number));
        let [to_server, to_client] = links;
        let link = match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        };
        let time = link.next_packet();
        match time {
            Some(_) => self.packets.forwarded += 1,
            None => self.packets.lost += 1,
        }
        Some(now + time?)
    }
}

fn new_links(conditions: LinkConditions, client: u64) -> [Link; 2] {
    [1, 2].map(|direction| Link::new(conditions, 2 * client + direction))
}

/// The packets that wait for their time.
#[derive(Default)]
struct Waiting {
    /// In the order of their times, and for equal times of their arrival.
    times: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, Packet>,
    count: u64,
}

impl Waiting {
    fn push(&mut self, at: Instant, packet: Packet) {
        if self.packets.len() < MAX_WAITING {
            self.count += 1;
            self.times.push(Reverse((at, self.count)));
            self.packets.insert(self.count, packet);
        }
    }

    fn next(&self) -> Option<Instant> {
        self.times.peek().map(|Reverse((at, _))| *at)
    }

    /// The next packet whose time has come.
    fn pop(&mut self, now: Instant) -> Option<Packet> {
        let number = self.times.peek().filter(|Reverse((at, _))| *at <= now).map(|Reverse((_, n))| *n)?;
        self.times.pop();
        self.packets.remove(&number)
    }
}

async fn run(front: UdpSocket, server: SocketAddr, shared: Arc<Mutex<State>>) {
    let (to_front, mut from_server) = mpsc::channel(1024);
    let mut sockets: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut readers = JoinSet::new();
    let mut waiting = Waiting::default();
    let mut buffer = [0; MAX_PACKET];
    loop {
        let next = waiting.next();
        let packet = tokio::select! {
            received = front.recv_from(&mut buffer) => {
                // An error of one packet.
                let Ok((len, client)) = received else { continue };
                if !sockets.contains_key(&client) {
                    let socket = match connect(server).await {
                        Ok(socket) if sockets.len() < MAX_CLIENTS => Arc::new(socket),
                        Ok(_) | Err(_) => continue,
                    };
                    readers.spawn(read(client, socket.clone(), to_front.clone()));
                    sockets.insert(client, socket);
                }
                let contents = buffer.get(..len).unwrap_or_default().to_vec();
                Some(Packet { client, direction: Direction::ToServer, contents })
            }
            packet = from_server.recv() => packet,
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => None,
        };
        let now = Instant::now();
        if let Some(packet) = packet {
            let decided = lock(&shared).decide(packet.client, packet.direction, now);
            if let Some(at) = decided {
                waiting.push(at, packet);
            }
        }
        while let Some(Packet { client, direction, contents }) = waiting.pop(now) {
            // A packet that cannot be sent is lost.
            let _ = match (direction, sockets.get(&client)) {
                (Direction::ToClient, _) => front.send_to(&contents, client).await,
                (Direction::ToServer, Some(socket)) => socket.send(&contents).await,
                (Direction::ToServer, None) => continue,
            };
        }
    }
}

async fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// Takes what the server sends to a client.
async fn read(client: SocketAddr, socket: Arc<UdpSocket>, to_front: mpsc::Sender<Packet>) {
    let mut buffer = [0; MAX_PACKET];
    loop {
        let contents = match socket.recv(&mut buffer).await {
            Ok(len) => buffer.get(..len).unwrap_or_default().to_vec(),
            // A server that is stopped for a while refuses packets.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(_) => return,
        };
        if to_front.send(Packet { client, direction: Direction::ToClient, contents }).await.is_err() {
            return;
        }
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for UdpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpProxy").field("packets", &self.packets()).finish_non_exhaustive()
    }
}
