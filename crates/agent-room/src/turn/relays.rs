//! The TURN servers of a room: which of them are tried, and their states.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use agent_proto::text::shorten;
use agent_proto::{Secret, Time, livekit as proto};

use super::client::{Credentials, Settings, TurnClient, TurnOutput};
use super::error::TurnError;
use super::framing::Deframer;
use super::url::{RelayTransport, RelayUrl};

/// Maximum number of URLs that are looked at, and of TURN servers among them.
const MAX_URLS: usize = 64;
const MAX_SERVERS: usize = 8;
/// Maximum length of a user name and of a credential, in bytes (RFC 8489: 508 of the first).
const MAX_CREDENTIAL_LEN: usize = 1024;
/// Maximum number of servers that are tried at a time.
const MAX_AT_A_TIME: usize = 4;
/// Maximum number of connections to servers over the life of a media connection.
const MAX_CONNECTIONS: u32 = 64;
/// Maximum number of peers that a message lists.
const MAX_REFUSED: usize = 4;
/// Maximum length of an error of the system, in characters.
const MAX_ERROR: usize = 300;

/// Servers with one user name and credential, as the LiveKit server names them.
#[derive(Clone, PartialEq)]
pub(crate) struct IceServer {
    urls: Vec<String>,
    credentials: Credentials,
}

/// An action for the driver of [`Relays`].
#[derive(Debug, PartialEq)]
pub(crate) enum RelayEvent {
    /// Connect to a server.
    Open { relay: u32, host: String, port: u16, transport: RelayTransport },
    /// Send bytes to it.
    Send { relay: u32, contents: Vec<u8> },
    /// Close the connection to it, once everything is sent.
    Close { relay: u32 },
    /// A server cannot be used (any more): for the log.
    Failed { server: String, reason: String },
}

/// What came from a relay.
#[derive(Debug, PartialEq)]
pub(crate) enum RelayArrival {
    /// It receives packets for us at `relayed`; we reach it from `local`.
    Allocated { relayed: SocketAddr, local: SocketAddr },
    /// A packet that a peer sent to `relayed`.
    Packet { relayed: SocketAddr, peer: SocketAddr, contents: Bytes },
}

#[derive(Debug, Default)]
pub(crate) struct Relays {
    servers: Vec<Server>,
    /// Only relays are to be used.
    forced: bool,
    /// What is wrong with servers that cannot be tried.
    unusable: Vec<String>,
    seed: u64,
    /// Number of connections so far, which numbers them.
    connections: u32,
    events: VecDeque<RelayEvent>,
    arrivals: VecDeque<RelayArrival>,
}

#[derive(Debug)]
struct Server {
    url: RelayUrl,
    credentials: Credentials,
    state: State,
    /// Peers to which it does not relay, and why.
    refused: Vec<(SocketAddr, u16)>,
}

#[derive(Debug)]
enum State {
    Untried,
    Connecting {
        relay: u32,
    },
    Open(Box<Open>),
    /// In words.
    Failed(String),
    /// Released, as there is a better path.
    GivenBack,
}

#[derive(Debug)]
struct Open {
    relay: u32,
    client: TurnClient,
    /// For connections.
    deframer: Option<Deframer>,
    local: SocketAddr,
    relayed: Option<SocketAddr>,
}

impl Relays {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Whether it has never known a server.
    pub(crate) fn is_new(&self) -> bool {
        self.servers.is_empty() && self.connections == 0
    }

    /// The servers of the room from now on. Allocations at those that were known before stay.
    pub(crate) fn set_servers(&mut self, servers: Vec<IceServer>, forced: bool) {
        self.forced = forced;
        self.unusable.clear();
        let mut old = std::mem::take(&mut self.servers);
        let urls = servers
            .into_iter()
            .flat_map(|server| server.urls.into_iter().map(move |url| (url, server.credentials.clone())));
        for (url, credentials) in urls.take(MAX_URLS) {
            let url = match RelayUrl::parse(&url) {
                Ok(Some(url)) => url,
                Ok(None) => continue,
                Err(wrong) => {
                    self.unusable.push(format!("a TURN server with an unusable URL: {wrong}"));
                    continue;
                }
            };
            let known = old.iter().position(|server| server.url == url && server.state.is_in_use());
            let is_repeated = self.servers.iter().any(|server| server.url == url);
            if is_repeated || self.servers.len() >= MAX_SERVERS {
                continue;
            }
            let long = |text: &Secret| text.expose().len() > MAX_CREDENTIAL_LEN;
            if long(&credentials.username) || long(&credentials.password) {
                self.unusable.push(format!(
                    "{url}: a user name or credential of more than {MAX_CREDENTIAL_LEN} bytes"
                ));
                continue;
            }
            let state = known.map_or(State::Untried, |at| old.swap_remove(at).state);
            self.servers.push(Server { url, credentials, state, refused: Vec::new() });
        }
        self.unusable.truncate(MAX_SERVERS);
        for server in &mut old {
            server.end(&mut self.events);
        }
    }

    /// Whether only relays are to be used.
    pub(crate) fn are_forced(&self) -> bool {
        self.forced
    }

    /// Whether there is a server that was not tried.
    pub(crate) fn can_open(&self) -> bool {
        self.connections < MAX_CONNECTIONS
            && self.servers.iter().any(|server| matches!(server.state, State::Untried))
            && self.servers.iter().filter(|server| server.state.is_in_use()).count() < MAX_AT_A_TIME
    }

    /// Whether only relays are to be used, and each has failed.
    pub(crate) fn are_hopeless(&self) -> bool {
        self.forced && self.servers.iter().all(|server| matches!(server.state, State::Failed(_)))
    }

    /// Connects to servers, as many as are tried at a time.
    pub(crate) fn open(&mut self) {
        while self.can_open() {
            let Some(server) = self.servers.iter_mut().find(|server| matches!(server.state, State::Untried))
            else {
                return;
            };
            self.connections += 1;
            let relay = self.connections;
            server.state = State::Connecting { relay };
            let RelayUrl { ref host, port, transport } = server.url;
            self.events.push_back(RelayEvent::Open { relay, host: host.clone(), port, transport });
        }
    }

    /// Tries all servers again, from the beginning.
    pub(crate) fn start_over(&mut self) {
        for server in &mut self.servers {
            server.end(&mut self.events);
            server.state = State::Untried;
        }
    }

    /// Releases all allocations but this one.
    pub(crate) fn keep_only(&mut self, used: Option<SocketAddr>) {
        for server in &mut self.servers {
            let is_used = used.is_some() && server.state.relayed() == used;
            if server.state.is_in_use() && !is_used {
                server.end(&mut self.events);
            }
        }
    }

    /// The connection to a server is there. `ipv6`: the peers have such addresses.
    pub(crate) fn opened(&mut self, relay: u32, local: SocketAddr, ipv6: bool, now: Time) {
        let seed = self.seed.wrapping_add(u64::from(relay));
        let Some(server) = self.servers.iter_mut().find(|server| server.state.relay() == Some(relay)) else {
            return;
        };
        if let State::Connecting { .. } = server.state {
            let stream = server.url.transport != RelayTransport::Udp;
            let client = TurnClient::new(server.credentials.clone(), Settings { stream, ipv6 }, seed, now);
            let deframer = stream.then(Deframer::default);
            server.state = State::Open(Box::new(Open { relay, client, deframer, local, relayed: None }));
            self.settle(relay);
        }
    }

    /// The connection could not be made, or ended.
    pub(crate) fn closed(&mut self, relay: u32, error: &str) {
        self.fail(relay, &shorten(error, MAX_ERROR));
    }

    /// Bytes of a server: a message, or a part of a connection's stream. `false`: they are not TURN.
    pub(crate) fn received(&mut self, relay: u32, contents: &Bytes, now: Time) -> bool {
        let Some(open) = self.open_of(relay) else { return true };
        let mut good = true;
        let mut lost = false;
        match &mut open.deframer {
            None => good = open.client.handle_message(contents, now),
            Some(deframer) => {
                deframer.push(contents);
                loop {
                    match deframer.next() {
                        Ok(Some(message)) => good &= open.client.handle_message(&message, now),
                        Ok(None) => break,
                        Err(_) => {
                            lost = true;
                            break;
                        }
                    }
                }
            }
        }
        self.settle(relay);
        if lost {
            self.fail(relay, "it sends what is no TURN: check host, port and transport");
        }
        good && !lost
    }

    /// Sends a packet from a relayed address. `false`: it is none.
    pub(crate) fn send(&mut self, relayed: SocketAddr, peer: SocketAddr, contents: &[u8], now: Time) -> bool {
        let Some(open) = self.servers.iter_mut().find_map(|server| match &mut server.state {
            State::Open(open) if open.relayed == Some(relayed) => Some(open),
            _ => None,
        }) else {
            return false;
        };
        let relay = open.relay;
        open.client.send(peer, contents, now);
        self.settle(relay);
        true
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    /// The next thing that came, after each call of [`received`](Self::received).
    pub(crate) fn poll_arrival(&mut self) -> Option<RelayArrival> {
        self.arrivals.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.clients().filter_map(|open| open.client.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        let due = |open: &&Open| open.client.poll_timeout().is_some_and(|at| at <= now);
        let relays: Vec<u32> = self.clients().filter(due).map(|open| open.relay).collect();
        for relay in relays {
            if let Some(open) = self.open_of(relay) {
                open.client.handle_timeout(now);
            }
            self.settle(relay);
        }
    }

    /// Releases all allocations.
    pub(crate) fn close(&mut self) {
        self.keep_only(None);
    }

    /// Whether there is a relayed address.
    pub(crate) fn are_allocated(&self) -> bool {
        self.clients().any(|open| open.relayed.is_some())
    }

    /// Whether there is a relay with this address.
    pub(crate) fn has(&self, relayed: SocketAddr) -> bool {
        self.clients().any(|open| open.relayed == Some(relayed))
    }

    /// The URL of the server with this relayed address, and how it is reached.
    pub(crate) fn server_at(&self, relayed: SocketAddr) -> Option<(String, RelayTransport)> {
        let server = self.servers.iter().find(|server| server.state.relayed() == Some(relayed))?;
        Some((server.url.to_string(), server.url.transport))
    }

    /// What became of the servers, in one line; empty if nothing is known of any.
    pub(crate) fn explain(&self) -> String {
        if self.servers.is_empty() && self.unusable.is_empty() {
            return match self.forced {
                true => "only relays are to be used (`force_relay`), and the LiveKit server named no TURN server: name one in its \
                         configuration (`rtc.turn_servers`, or `turn`), or do not force it"
                    .to_owned(),
                false => String::new(),
            };
        }
        self.servers
            .iter()
            .map(Server::explain)
            .chain(self.unusable.iter().cloned())
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn clients(&self) -> impl Iterator<Item = &Open> {
        self.servers.iter().filter_map(|server| match &server.state {
            State::Open(open) => Some(&**open),
            _ => None,
        })
    }

    fn open_of(&mut self, relay: u32) -> Option<&mut Open> {
        self.servers.iter_mut().find_map(|server| match &mut server.state {
            State::Open(open) if open.relay == relay => Some(&mut **open),
            _ => None,
        })
    }

    /// Carries out the outputs of a client.
    fn settle(&mut self, relay: u32) {
        let Some(server) = self.servers.iter_mut().find(|server| server.state.relay() == Some(relay)) else {
            return;
        };
        let State::Open(open) = &mut server.state else { return };
        let mut failed: Option<TurnError> = None;
        while let Some(output) = open.client.poll() {
            match output {
                TurnOutput::Send(contents) => self.events.push_back(RelayEvent::Send { relay, contents }),
                TurnOutput::Allocated { relayed } => {
                    open.relayed = Some(relayed);
                    self.arrivals.push_back(RelayArrival::Allocated { relayed, local: open.local });
                }
                TurnOutput::Received { peer, contents } => {
                    if let Some(relayed) = open.relayed {
                        self.arrivals.push_back(RelayArrival::Packet { relayed, peer, contents });
                    }
                }
                TurnOutput::PeerRefused { peer, code, reason: _ } => {
                    if server.refused.len() < MAX_REFUSED {
                        server.refused.push((peer, code));
                    }
                }
                TurnOutput::Failed(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.fail(relay, &error.to_string());
        }
    }

    fn fail(&mut self, relay: u32, reason: &str) {
        let Some(server) = self.servers.iter_mut().find(|server| server.state.relay() == Some(relay)) else {
            return;
        };
        server.state = State::Failed(reason.to_owned());
        let (server, reason) = (server.url.to_string(), reason.to_owned());
        self.events.push_back(RelayEvent::Close { relay });
        self.events.push_back(RelayEvent::Failed { server, reason });
    }
}

impl Server {
    /// Releases the allocation, and closes the connection.
    fn end(&mut self, events: &mut VecDeque<RelayEvent>) {
        let Some(relay) = self.state.relay() else { return };
        if let State::Open(open) = &mut self.state {
            open.client.close();
            while let Some(output) = open.client.poll() {
                if let TurnOutput::Send(contents) = output {
                    events.push_back(RelayEvent::Send { relay, contents });
                }
            }
        }
        events.push_back(RelayEvent::Close { relay });
        self.state = State::GivenBack;
        self.refused.clear();
    }

    fn explain(&self) -> String {
        let what = match &self.state {
            State::Untried => "it was not tried".to_owned(),
            State::Connecting { .. } => "no connection yet".to_owned(),
            State::Open(open) => match (open.relayed, &self.refused[..]) {
                (None, _) => "it has not answered yet".to_owned(),
                (Some(_), []) => "no packet came back over it from the LiveKit server's addresses".to_owned(),
                (Some(_), refused) => {
                    let list: Vec<String> =
                        refused.iter().map(|(peer, code)| format!("{peer} (error {code})")).collect();
                    format!("it does not relay to {}: its configuration must allow that", list.join(", "))
                }
            },
            State::Failed(reason) => reason.clone(),
            State::GivenBack => "it was not needed".to_owned(),
        };
        format!("{}: {what}", self.url)
    }
}

impl State {
    fn relay(&self) -> Option<u32> {
        match self {
            Self::Connecting { relay } => Some(*relay),
            Self::Open(open) => Some(open.relay),
            Self::Untried | Self::Failed(_) | Self::GivenBack => None,
        }
    }

    fn relayed(&self) -> Option<SocketAddr> {
        match self {
            Self::Open(open) => open.relayed,
            _ => None,
        }
    }

    /// Whether there is a connection, or will be.
    fn is_in_use(&self) -> bool {
        self.relay().is_some()
    }
}

impl From<proto::IceServer> for IceServer {
    fn from(server: proto::IceServer) -> Self {
        let proto::IceServer { urls, username, credential } = server;
        let credentials = Credentials { username: username.into(), password: credential.into() };
        Self { urls, credentials }
    }
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls.len()).finish_non_exhaustive()
    }
}
