//! One allocation at one TURN server.
//!
//! ```text
//!  Allocating ──success──▶ Allocated ──refused, no answer──▶ Ended
//!      │  ▲ challenge          │  ▲ refresh; a channel for each peer, renewed
//!      └──┘ (401, 438)         └──┘
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use agent_proto::{Secret, Time};

use super::error::TurnError;
use super::message::{Attribute, Class, Key, Message, Method, TransactionId, Writer, key};

/// Delay of the first retransmission of a request over UDP; it doubles from there.
const FIRST_RETRANSMIT: Duration = Duration::from_millis(250);
/// How often a request is sent over UDP before the server counts as dead, 7.75 s after the first.
const MAX_SENDS: u32 = 5;
/// Timeout of a request over a connection, where nothing is sent again.
const STREAM_TIMEOUT: Duration = Duration::from_secs(8);
/// How long an allocation is requested for.
const LIFETIME: Duration = Duration::from_secs(600);
/// Maximum lifetime of an allocation that is accepted from the server.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// A channel lasts 10 minutes and its permission 5: both are renewed after this time.
const RENEW_AFTER: Duration = Duration::from_secs(240);
/// Maximum number of answers to one request that demand another one: credentials, then another nonce.
const MAX_CHALLENGES: u32 = 3;
/// Maximum length of a realm and of a nonce, in bytes (RFC 8489: 763).
const MAX_CHALLENGE_LEN: usize = 763;
/// Maximum number of peers. The LiveKit server has a few addresses.
const MAX_PEERS: u16 = 64;
/// Maximum number of packets to a peer that wait for its channel.
const MAX_WAITING: usize = 4;
const FIRST_CHANNEL: u16 = 0x4000;

/// User name and password; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: Secret,
    pub(super) password: Secret,
}

/// The outputs of a client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TurnOutput {
    /// Send a message to the server.
    Send(Vec<u8>),
    /// The server receives packets for us at this address.
    Allocated { relayed: SocketAddr },
    /// A packet of a peer.
    Received { peer: SocketAddr, contents: Bytes },
    /// The server does not relay to this peer.
    PeerRefused { peer: SocketAddr, code: u16, reason: String },
    /// There is no allocation (any more). The last output.
    Failed(TurnError),
}

pub(super) struct TurnClient {
    credentials: Credentials,
    settings: Settings,
    rng: fastrand::Rng,
    challenge: Option<Challenge>,
    state: State,
    requests: BTreeMap<TransactionId, Request>,
    channels: BTreeMap<SocketAddr, Channel>,
    /// The peer of each channel, in the order of their numbers.
    peers: Vec<SocketAddr>,
    outputs: VecDeque<TurnOutput>,
}

/// The kind of allocation, and how the server is reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// The server is reached over TCP or TLS: messages arrive, and are padded.
    pub(super) stream: bool,
    /// For peers with IPv6 addresses instead of IPv4.
    pub(super) ipv6: bool,
}

/// The realm and nonce with which the server requires requests to be signed.
struct Challenge {
    realm: String,
    nonce: Vec<u8>,
    key: Key,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Allocating,
    Allocated { relayed: SocketAddr, refresh_at: Time },
    Ended,
}

struct Request {
    action: Action,
    bytes: Vec<u8>,
    signed: bool,
    sends: u32,
    challenges: u32,
    next_at: Time,
}

#[derive(Clone, Copy, PartialEq)]
enum Action {
    Allocate,
    Refresh,
    Bind(SocketAddr),
}

struct Channel {
    number: u16,
    state: ChannelState,
}

enum ChannelState {
    /// Requested; these packets wait.
    Binding(Vec<Vec<u8>>),
    Bound {
        renew_at: Time,
    },
    Refused,
}

impl TurnClient {
    /// Requests an allocation. The seed makes the numbers of transactions.
    pub(super) fn new(credentials: Credentials, settings: Settings, seed: u64, now: Time) -> Self {
        let mut client = Self {
            credentials,
            settings,
            rng: fastrand::Rng::with_seed(seed),
            challenge: None,
            state: State::Allocating,
            requests: BTreeMap::new(),
            channels: BTreeMap::new(),
            peers: Vec::new(),
            outputs: VecDeque::new(),
        };
        client.request(Action::Allocate, 0, now);
        client
    }

    pub(super) fn poll(&mut self) -> Option<TurnOutput> {
        self.outputs.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let refresh = match self.state {
            State::Allocated { refresh_at, .. } => Some(refresh_at),
            State::Allocating => None,
            State::Ended => return None,
        };
        let renew = self.channels.values().filter_map(Channel::renew_at);
        self.requests.values().map(|request| request.next_at).chain(renew).chain(refresh).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        let mut dead = false;
        for request in self.requests.values_mut().filter(|request| request.next_at <= now) {
            if self.settings.stream || request.sends >= MAX_SENDS {
                dead = true;
                continue;
            }
            request.next_at = now + FIRST_RETRANSMIT * (1 << request.sends.min(16));
            request.sends += 1;
            self.outputs.push_back(TurnOutput::Send(request.bytes.clone()));
        }
        if dead {
            let error = if self.state == State::Allocating { TurnError::NoAnswer } else { TurnError::Silent };
            return self.fail(error);
        }
        if let State::Allocated { relayed, refresh_at } = self.state
            && refresh_at <= now
        {
            // Until it is answered: its own timeout is earlier.
            self.state = State::Allocated { relayed, refresh_at: now + MAX_LIFETIME };
            self.request(Action::Refresh, 0, now);
        }
        let due = |channel: &Channel| channel.renew_at().is_some_and(|at| at <= now);
        let renew: Vec<SocketAddr> =
            self.channels.iter().filter(|(_, channel)| due(channel)).map(|(peer, _)| *peer).collect();
        for peer in renew {
            if let Some(channel) = self.channels.get_mut(&peer) {
                // Until it is answered, as above.
                channel.state = ChannelState::Bound { renew_at: now + MAX_LIFETIME };
            }
            self.request(Action::Bind(peer), 0, now);
        }
    }

    /// Sends a packet to a peer, now or once there is a channel to it, or drops it, as a network would.
    pub(super) fn send(&mut self, peer: SocketAddr, contents: &[u8], now: Time) {
        if !matches!(self.state, State::Allocated { .. }) || peer.is_ipv6() != self.settings.ipv6 {
            return;
        }
        match self.channels.get_mut(&peer) {
            Some(Channel { number, state: ChannelState::Bound { .. } }) => {
                let number = *number;
                self.outputs.extend(self.framed(number, contents).map(TurnOutput::Send));
            }
            Some(Channel { state: ChannelState::Binding(waiting), .. }) => {
                if waiting.len() < MAX_WAITING {
                    waiting.push(contents.to_vec());
                }
            }
            Some(Channel { state: ChannelState::Refused, .. }) => {}
            None => {
                let Some(number) = u16::try_from(self.peers.len()).ok().filter(|count| *count < MAX_PEERS)
                else {
                    return;
                };
                let state = ChannelState::Binding(vec![contents.to_vec()]);
                self.channels.insert(peer, Channel { number: FIRST_CHANNEL + number, state });
                self.peers.push(peer);
                self.request(Action::Bind(peer), 0, now);
            }
        }
    }

    /// Handles a message of the server. `false`: it is no message, or an unexpected one.
    pub(super) fn handle_message(&mut self, bytes: &Bytes, now: Time) -> bool {
        if self.state == State::Ended {
            return true;
        }
        if bytes.first().is_some_and(|first| first >> 6 == 1) {
            return self.channel_data(bytes);
        }
        let Some(message) = Message::read(bytes) else { return false };
        if message.is(Method::Data, Class::Indication) {
            return self.data(bytes, &message);
        }
        let Some(request) = self.requests.get(&message.transaction) else {
            // The answer to one that was sent twice.
            return true;
        };
        let method = request.action.method();
        if message.is(method, Class::Success) {
            // Without a signature it may be anybody's.
            if !request.signed
                || !self.challenge.as_ref().is_some_and(|challenge| message.is_signed(&challenge.key))
            {
                return false;
            }
            let action = request.action;
            self.requests.remove(&message.transaction);
            self.succeeded(action, &message, now);
        } else if message.is(method, Class::Error) {
            let Some((code, reason)) = message.error() else { return false };
            if let Some(request) = self.requests.remove(&message.transaction) {
                self.refused(&request, code, reason, &message, now);
            }
        } else {
            return false;
        }
        true
    }

    /// Releases the allocation. The messages for that are the last outputs.
    pub(super) fn close(&mut self) {
        if let State::Allocated { .. } = self.state {
            let transaction = self.transaction();
            let lifetime =
                Writer::new(Method::Refresh, Class::Request, transaction).add(Attribute::Lifetime, &[0; 4]);
            let bytes = self.signed(lifetime);
            self.outputs.push_back(TurnOutput::Send(bytes));
        }
        self.end();
    }

    fn succeeded(&mut self, action: Action, message: &Message<'_>, now: Time) {
        match action {
            Action::Allocate => {
                let relayed = message.address(Attribute::XorRelayedAddress).filter(|address| {
                    address.port() > 0
                        && !address.ip().is_unspecified()
                        && is_of(address.ip(), self.settings.ipv6)
                });
                match (relayed, lifetime(message)) {
                    (Some(relayed), Some(lifetime)) => {
                        self.state = State::Allocated { relayed, refresh_at: now + lifetime / 2 };
                        self.outputs.push_back(TurnOutput::Allocated { relayed });
                    }
                    _ => self.fail(TurnError::Incomplete),
                }
            }
            Action::Refresh => match (self.state, lifetime(message)) {
                (State::Allocated { relayed, .. }, Some(lifetime)) => {
                    self.state = State::Allocated { relayed, refresh_at: now + lifetime / 2 };
                }
                _ => self.fail(TurnError::Incomplete),
            },
            Action::Bind(peer) => {
                let Some(channel) = self.channels.get_mut(&peer) else { return };
                let bound = ChannelState::Bound { renew_at: now + RENEW_AFTER };
                let number = channel.number;
                if let ChannelState::Binding(waiting) = std::mem::replace(&mut channel.state, bound) {
                    for contents in waiting {
                        self.outputs.extend(self.framed(number, &contents).map(TurnOutput::Send));
                    }
                }
            }
        }
    }

    fn refused(&mut self, request: &Request, code: u16, reason: String, message: &Message<'_>, now: Time) {
        // 401: sign it; 438: with another nonce.
        if (code == 401 && !request.signed) || (code == 438 && request.signed) {
            if self.credentials.username.is_empty() {
                return self.fail(TurnError::NoCredentials);
            }
            if request.challenges < MAX_CHALLENGES && self.challenged(message) {
                return self.request(request.action, request.challenges + 1, now);
            }
        }
        match request.action {
            Action::Allocate if matches!(code, 401 | 441) => {
                self.fail(TurnError::WrongCredentials { reason })
            }
            Action::Allocate => self.fail(TurnError::Refused { code, reason }),
            Action::Refresh => self.fail(TurnError::Lost { code, reason }),
            // There is no allocation.
            Action::Bind(_) if code == 437 => self.fail(TurnError::Lost { code, reason }),
            Action::Bind(peer) => {
                if let Some(channel) = self.channels.get_mut(&peer) {
                    channel.state = ChannelState::Refused;
                }
                self.outputs.push_back(TurnOutput::PeerRefused { peer, code, reason });
            }
        }
    }

    /// Remembers what requests are signed with from now on. `false`: it is incomplete.
    fn challenged(&mut self, message: &Message<'_>) -> bool {
        let fits = |value: &&[u8]| value.len() <= MAX_CHALLENGE_LEN;
        let Some(nonce) = message.get(Attribute::Nonce).filter(fits) else { return false };
        let realm = match message.get(Attribute::Realm).filter(fits).map(std::str::from_utf8) {
            Some(Ok(realm)) => realm.to_owned(),
            Some(Err(_)) => return false,
            None => match &self.challenge {
                Some(challenge) => challenge.realm.clone(),
                None => return false,
            },
        };
        let Credentials { username, password } = &self.credentials;
        let key = key(username.expose(), &realm, password.expose());
        self.challenge = Some(Challenge { realm, nonce: nonce.to_vec(), key });
        true
    }

    /// Sends a request. `challenges`: how often it was sent for other credentials or another nonce.
    fn request(&mut self, action: Action, challenges: u32, now: Time) {
        let transaction = self.transaction();
        let writer = Writer::new(action.method(), Class::Request, transaction);
        let seconds = u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX).to_be_bytes();
        let writer = match action {
            Action::Allocate => {
                // UDP between relay and peers.
                let writer = writer
                    .add(Attribute::RequestedTransport, &[17, 0, 0, 0])
                    .add(Attribute::Lifetime, &seconds);
                let family = if self.settings.ipv6 { 2 } else { 1 };
                writer.add(Attribute::RequestedAddressFamily, &[family, 0, 0, 0])
            }
            Action::Refresh => writer.add(Attribute::Lifetime, &seconds),
            Action::Bind(peer) => {
                let Some(channel) = self.channels.get(&peer) else { return };
                let [high, low] = channel.number.to_be_bytes();
                writer
                    .add(Attribute::ChannelNumber, &[high, low, 0, 0])
                    .add_address(Attribute::XorPeerAddress, peer)
            }
        };
        let signed = self.challenge.is_some();
        let bytes = self.signed(writer);
        self.outputs.push_back(TurnOutput::Send(bytes.clone()));
        let next_at = now + if self.settings.stream { STREAM_TIMEOUT } else { FIRST_RETRANSMIT };
        self.requests.insert(transaction, Request { action, bytes, signed, sends: 1, challenges, next_at });
    }

    fn signed(&self, writer: Writer) -> Vec<u8> {
        let Some(challenge) = &self.challenge else { return writer.finish() };
        writer
            .add(Attribute::Username, self.credentials.username.expose().as_bytes())
            .add(Attribute::Realm, challenge.realm.as_bytes())
            .add(Attribute::Nonce, &challenge.nonce)
            .sign(&challenge.key)
            .finish()
    }

    fn transaction(&mut self) -> TransactionId {
        std::array::from_fn(|_| self.rng.u8(..))
    }

    /// A packet for a channel; `None`: it is too long for one.
    fn framed(&self, number: u16, contents: &[u8]) -> Option<Vec<u8>> {
        let len = u16::try_from(contents.len()).ok()?;
        let mut bytes = Vec::with_capacity(contents.len() + 7);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(contents);
        if self.settings.stream {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        Some(bytes)
    }

    /// A packet of a peer over its channel.
    fn channel_data(&mut self, bytes: &Bytes) -> bool {
        let Some([a, b, c, d]) = bytes.first_chunk::<4>() else { return false };
        let number = u16::from_be_bytes([*a, *b]).checked_sub(FIRST_CHANNEL);
        let end = 4 + usize::from(u16::from_be_bytes([*c, *d]));
        let peer = number.and_then(|number| self.peers.get(usize::from(number)));
        // Datagrams may be padded.
        let Some(peer) = peer.filter(|_| end <= bytes.len()) else { return false };
        self.outputs.push_back(TurnOutput::Received { peer: *peer, contents: bytes.slice(4..end) });
        true
    }

    /// A packet of a peer to which there is no channel.
    fn data(&mut self, bytes: &Bytes, message: &Message<'_>) -> bool {
        let (Some(peer), Some(contents)) =
            (message.address(Attribute::XorPeerAddress), message.get(Attribute::Data))
        else {
            return false;
        };
        self.outputs.push_back(TurnOutput::Received { peer, contents: bytes.slice_ref(contents) });
        true
    }

    fn fail(&mut self, error: TurnError) {
        self.end();
        self.outputs.push_back(TurnOutput::Failed(error));
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.requests.clear();
        self.channels.clear();
    }
}

impl Action {
    fn method(self) -> Method {
        match self {
            Self::Allocate => Method::Allocate,
            Self::Refresh => Method::Refresh,
            Self::Bind(_) => Method::ChannelBind,
        }
    }
}

impl Channel {
    fn renew_at(&self) -> Option<Time> {
        match self.state {
            ChannelState::Bound { renew_at } => Some(renew_at),
            ChannelState::Binding(_) | ChannelState::Refused => None,
        }
    }
}

/// How long the allocation lasts; `None`: not at all.
fn lifetime(message: &Message<'_>) -> Option<Duration> {
    let seconds = match message.get(Attribute::Lifetime) {
        Some(value) => u32::from_be_bytes(value.try_into().ok()?),
        None => return Some(LIFETIME),
    };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(MAX_LIFETIME))
}

fn is_of(ip: IpAddr, ipv6: bool) -> bool {
    ip.is_ipv6() == ipv6
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for TurnClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnClient").field("state", &self.state).finish_non_exhaustive()
    }
}
