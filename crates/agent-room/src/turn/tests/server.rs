//! A TURN server in memory: what it is asked becomes a line, what it answers is up to the test.

use std::net::SocketAddr;

use bytes::Bytes;

use agent_proto::Time;

use crate::turn::client::{Credentials, Settings, TurnClient, TurnOutput};
use crate::turn::message::{Attribute, Class, Key, Message, Method, TransactionId, Writer, key};

pub(super) const REALM: &str = "relay.test";
pub(super) const RELAYED: &str = "192.0.2.1:50000";
pub(super) const PEER: &str = "192.0.2.99:7882";

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn credentials(password: &str) -> Credentials {
    Credentials { username: "ada".into(), password: password.into() }
}

/// A client of a server whose user `ada` has the password `sesame`.
pub(super) struct Pair {
    pub(super) client: TurnClient,
    pub(super) now: Time,
    /// The nonce that requests must have.
    pub(super) nonce: String,
    /// In seconds.
    pub(super) lifetime: u32,
    /// Everything that happened, a line each.
    pub(super) log: Vec<String>,
    /// The requests that wait for an answer.
    pub(super) requests: Vec<Bytes>,
    key: Key,
}

impl Pair {
    pub(super) fn new(password: &str) -> Self {
        Self::over(password, Settings { stream: false, ipv6: false })
    }

    pub(super) fn over(password: &str, settings: Settings) -> Self {
        let mut pair = Self {
            client: TurnClient::new(credentials(password), settings, 7, Time::ZERO),
            now: Time::ZERO,
            nonce: "first".to_owned(),
            lifetime: 600,
            log: Vec::new(),
            requests: Vec::new(),
            key: key("ada", REALM, "sesame"),
        };
        pair.drain();
        pair
    }

    /// One that has its allocation.
    pub(super) fn allocated() -> Self {
        let mut pair = Self::new("sesame");
        pair.answer_all();
        assert_eq!(pair.log.last().unwrap(), "allocated 192.0.2.1:50000");
        pair.log.clear();
        pair
    }

    /// Logs the outputs of the client.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.client.poll() {
            match output {
                TurnOutput::Send(bytes) => self.sent(bytes.into()),
                TurnOutput::Allocated { relayed } => self.log.push(format!("allocated {relayed}")),
                TurnOutput::Received { peer, contents } => {
                    self.log.push(format!("from {peer}: {}", String::from_utf8_lossy(&contents)));
                }
                TurnOutput::PeerRefused { peer, code, reason } => {
                    self.log.push(format!("{peer} refused: {code} {reason}"));
                }
                TurnOutput::Failed(error) => self.log.push(format!("failed: {error}")),
            }
        }
        assert!(self.client.poll_timeout().is_none_or(|at| at > self.now), "a timer is due after a drain");
    }

    fn sent(&mut self, bytes: Bytes) {
        if bytes[0] >> 6 == 1 {
            let number = u16::from_be_bytes([bytes[0], bytes[1]]);
            return self.log.push(format!("channel {number:#x}: {}", String::from_utf8_lossy(&bytes[4..])));
        }
        let message = Message::read(&bytes).expect("a message");
        let mut line = methods()
            .into_iter()
            .find(|method| message.is(*method, Class::Request))
            .map_or_else(|| panic!("no request: {message:?}"), |method| format!("{method:?}"));
        if let Some(lifetime) = message.get(Attribute::Lifetime) {
            line += &format!(" for {} s", u32::from_be_bytes(lifetime.try_into().unwrap()));
        }
        if let Some(peer) = message.address(Attribute::XorPeerAddress) {
            line += &format!(" to {peer}");
        }
        if let Some(nonce) = message.get(Attribute::Nonce) {
            line += &format!(" with {}", String::from_utf8_lossy(nonce));
            assert_eq!(message.get(Attribute::Username), Some(&b"ada"[..]));
        }
        self.log.push(line);
        self.requests.push(bytes);
    }

    /// Answers requests as a server does, until there are none.
    pub(super) fn answer_all(&mut self) {
        while !self.requests.is_empty() {
            let request = self.requests.remove(0);
            self.answer(&request);
        }
    }

    fn answer(&mut self, request: &Bytes) {
        let bytes = answer(request, &self.key, &self.nonce, self.lifetime, address(RELAYED));
        assert!(self.receive(bytes));
    }

    /// Answers the oldest request with an error.
    pub(super) fn refuse_next(&mut self, code: u16, reason: &str) {
        let request = self.requests.remove(0);
        let message = Message::read(&request).unwrap();
        let method = methods().into_iter().find(|method| message.is(*method, Class::Request)).unwrap();
        self.refuse(method, message.transaction, code, reason);
    }

    fn refuse(&mut self, method: Method, id: TransactionId, code: u16, reason: &str) {
        let bytes = refusal(method, id, &self.nonce, code, reason);
        assert!(self.receive(bytes));
    }

    pub(super) fn receive(&mut self, bytes: impl Into<Bytes>) -> bool {
        let good = self.client.handle_message(&bytes.into(), self.now);
        self.drain();
        good
    }

    pub(super) fn send(&mut self, contents: &str) {
        self.client.send(address(PEER), contents.as_bytes(), self.now);
        self.drain();
    }

    /// As many seconds with a server that answers.
    pub(super) fn live(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.pass(1);
            self.answer_all();
        }
    }

    /// Runs the timers until this many seconds later.
    pub(super) fn pass(&mut self, seconds: u64) {
        let until = self.now + std::time::Duration::from_secs(seconds);
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.client.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }
}

/// What a server answers to a request that must be signed with this key, and have this nonce.
pub(super) fn answer(request: &Bytes, key: &Key, nonce: &str, lifetime: u32, relayed: SocketAddr) -> Vec<u8> {
    let message = Message::read(request).unwrap();
    let id = message.transaction;
    let method = methods().into_iter().find(|method| message.is(*method, Class::Request)).unwrap();
    if !message.is_signed(key) {
        return refusal(method, id, nonce, 401, "Unauthorized");
    }
    if message.get(Attribute::Nonce) != Some(nonce.as_bytes()) {
        return refusal(method, id, nonce, 438, "Stale Nonce");
    }
    let writer = Writer::new(method, Class::Success, id);
    let writer = match method {
        Method::Allocate => writer.add_address(Attribute::XorRelayedAddress, relayed),
        Method::Refresh | Method::ChannelBind | Method::Data => writer,
    };
    writer.add(Attribute::Lifetime, &lifetime.to_be_bytes()).sign(key).finish()
}

fn refusal(method: Method, id: TransactionId, nonce: &str, code: u16, reason: &str) -> Vec<u8> {
    let error = [&[0, 0, (code / 100) as u8, (code % 100) as u8], reason.as_bytes()].concat();
    Writer::new(method, Class::Error, id)
        .add(Attribute::ErrorCode, &error)
        .add(Attribute::Realm, REALM.as_bytes())
        .add(Attribute::Nonce, nonce.as_bytes())
        .finish()
}

fn methods() -> [Method; 3] {
    [Method::Allocate, Method::Refresh, Method::ChannelBind]
}
