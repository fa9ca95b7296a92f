//! A media connection without WebRTC: the packets determine its events. The same packets give the same
//! events, so that a machine over it does the same twice.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use crate::connection::{Answered, MediaConnection, TransportEvent};
use crate::data::{Channel, WriteResult};
use crate::local_tracks::{PlacedFrame, SectionKind};
use crate::turn::{IceServer, RelayEvent};
use crate::{CommandId, EncodedFrame, NetworkPath, PathTransport, Protocol, RelayTransport};

/// How often it sends something by itself.
const KEEPALIVE: Duration = Duration::from_secs(7);

/// The meaning of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum MediaMessage {
    Ready,
    Restarted,
    NeedsRoute,
    Candidate,
    NeedsTcp,
    NeedsRelay,
    Silent,
    Reliable,
    Lossy,
    /// A frame of the track in the last answer's section of this number.
    Frame,
    Gone,
    /// The server has received everything, and the channels accept more.
    Acknowledged,
    /// The channels accept no more.
    Full,
    /// A packet that is not for us.
    Damaged,
}

impl MediaMessage {
    pub(super) const ALL: [Self; 14] = [
        Self::Ready,
        Self::Restarted,
        Self::NeedsRoute,
        Self::Candidate,
        Self::NeedsTcp,
        Self::NeedsRelay,
        Self::Silent,
        Self::Reliable,
        Self::Lossy,
        Self::Frame,
        Self::Gone,
        Self::Acknowledged,
        Self::Full,
        Self::Damaged,
    ];

    pub(super) fn packet(self, rest: &[u8]) -> Bytes {
        [&[self as u8], rest].concat().into()
    }
}

pub(super) struct Scripted {
    port: u16,
    offers: u32,
    tracks: BTreeMap<String, String>,
    /// Our tracks, and whether their sections were answered.
    sections: BTreeMap<CommandId, bool>,
    unrouted: u64,
    full: bool,
    unacknowledged: usize,
    path: Option<(Protocol, SocketAddr)>,
    next: Option<Time>,
    events: VecDeque<TransportEvent>,
}

impl Scripted {
    fn offer(&mut self) -> String {
        self.offers += 1;
        format!("v=0 port {} offer {}", self.port, self.offers)
    }

    fn send(&mut self, contents: &[u8]) {
        let (protocol, destination) = self.path.unwrap_or((Protocol::Udp, address(0)));
        let source = SocketAddr::from(([127, 0, 0, 1], self.port));
        self.events.push_back(TransportEvent::Packet {
            protocol,
            source,
            destination,
            contents: contents.to_vec(),
        });
    }
}

/// An address of the server.
fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 2000))
}

impl MediaConnection for Scripted {
    type Clock = ();

    fn new(port: u16, (): (), now: Time) -> Option<(Self, String)> {
        let mut media = Self {
            port,
            offers: 0,
            tracks: BTreeMap::new(),
            sections: BTreeMap::new(),
            unrouted: 0,
            full: false,
            unacknowledged: 0,
            path: None,
            next: Some(now + KEEPALIVE),
            events: VecDeque::new(),
        };
        let offer = media.offer();
        Some((media, offer))
    }

    fn poll(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.next
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + KEEPALIVE);
            self.send(b"keepalive");
        }
    }

    fn handle_packet(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        _: SocketAddr,
        contents: &[u8],
        _: Time,
    ) -> bool {
        let Some((first, rest)) = contents.split_first() else { return false };
        let n = rest.first().copied().unwrap_or_default();
        let detail = || format!("packet {n}");
        let event = match MediaMessage::ALL.get(usize::from(*first)) {
            Some(MediaMessage::Ready) => TransportEvent::Ready,
            Some(MediaMessage::Restarted) => TransportEvent::Restarted,
            Some(MediaMessage::NeedsRoute) => TransportEvent::NeedsRoute { remote: address(n) },
            Some(MediaMessage::Candidate) => TransportEvent::Candidate { text: format!("candidate:{n}") },
            Some(MediaMessage::NeedsTcp) => TransportEvent::NeedsTcp { remote: address(n) },
            Some(MediaMessage::NeedsRelay) => TransportEvent::Relay(RelayEvent::Open {
                relay: n.into(),
                host: "relay.test".to_owned(),
                port: 3478,
                transport: RelayTransport::Udp,
            }),
            Some(MediaMessage::Silent) => TransportEvent::Silent { detail: detail() },
            Some(MediaMessage::Reliable) => {
                TransportEvent::Data { channel: Channel::Reliable, bytes: Bytes::copy_from_slice(rest) }
            }
            Some(MediaMessage::Lossy) => {
                TransportEvent::Data { channel: Channel::Lossy, bytes: Bytes::copy_from_slice(rest) }
            }
            Some(MediaMessage::Frame) => {
                let Some(track) = self.tracks.get(&(n % 4).to_string()) else {
                    self.unrouted += 1;
                    return true;
                };
                let frame = EncodedFrame::new(rest.to_vec(), n.into(), u32::from(n) * 960);
                TransportEvent::Frame { track: track.as_str().into(), frame }
            }
            Some(MediaMessage::Gone) => {
                self.next = None;
                TransportEvent::Gone { detail: detail() }
            }
            Some(MediaMessage::Acknowledged) => {
                (self.full, self.unacknowledged) = (false, 0);
                return true;
            }
            Some(MediaMessage::Full) => {
                self.full = true;
                return true;
            }
            Some(MediaMessage::Damaged) | None => return false,
        };
        self.path = Some((protocol, source));
        self.events.push_back(event);
        true
    }

    fn restart(&mut self, _: Time) -> Option<String> {
        Some(self.offer())
    }

    fn tcp_connected(&mut self, _: SocketAddr, remote: SocketAddr, _: Time) {
        self.path = Some((Protocol::Tcp, remote));
        self.send(b"over TCP");
    }

    fn tcp_closed(&mut self, remote: SocketAddr, _: Time) {
        self.events.push_back(TransportEvent::NeedsTcp { remote });
    }

    fn ice_servers(&mut self, servers: Vec<IceServer>, forced: bool, _: u64, _: Time) {
        self.send(format!("{} servers, {forced}", servers.len()).as_bytes());
    }

    fn relay_opened(&mut self, relay: u32, local: SocketAddr, _: Time) {
        let contents = format!("from {local}").into_bytes();
        self.events.push_back(TransportEvent::Relay(RelayEvent::Send { relay, contents }));
    }

    fn relay_received(&mut self, relay: u32, _: &Bytes, _: Time) -> bool {
        self.events.push_back(TransportEvent::Relay(RelayEvent::Close { relay }));
        relay > 0
    }

    fn relay_closed(&mut self, relay: u32, error: &str, _: Time) {
        let server = format!("relay {relay}");
        let reason = error.to_owned();
        self.events.push_back(TransportEvent::Relay(RelayEvent::Failed { server, reason }));
    }

    fn channels(&mut self) -> Vec<(String, u16)> {
        vec![("_reliable".to_owned(), 0), ("_lossy".to_owned(), 2)]
    }

    /// An answer with `more` requires another offer, one with `bad` is unusable. One with `no` takes no
    /// tracks.
    fn answer(&mut self, sdp: &str, tracks: &BTreeMap<String, String>, _: Time) -> Result<Answered, String> {
        tracks.clone_into(&mut self.tracks);
        if sdp.contains("bad") {
            return Err("an answer that is bad".to_owned());
        }
        let offer = sdp.contains("more").then(|| self.offer());
        let open = self.sections.iter_mut().filter(|(_, answered)| !**answered);
        let sections = open.map(|(track, answered)| {
            *answered = true;
            (*track, !sdp.contains("no"))
        });
        Ok(Answered { offer, refused: u64::from(sdp.is_empty()), sections: sections.collect() })
    }

    fn candidate(&mut self, text: &str, _: Time) -> bool {
        let usable = text.starts_with("candidate:");
        if usable {
            self.events.push_back(TransportEvent::NeedsRoute { remote: address(1) });
        }
        usable
    }

    fn routed(&mut self, remote: SocketAddr, local: Option<IpAddr>, _: Time) {
        if local.is_some() {
            self.events.push_back(TransportEvent::Candidate { text: format!("candidate:to {remote}") });
        }
    }

    fn explain(&self) -> String {
        format!("no way from port {}", self.port)
    }

    fn path(&self) -> Option<NetworkPath> {
        let (protocol, remote) = self.path?;
        let mut path = NetworkPath::udp(([127, 0, 0, 1], self.port).into(), remote);
        if protocol == Protocol::Tcp {
            (path.transport, path.reason) = (PathTransport::Tcp, "as scripted".to_owned());
        }
        Some(path)
    }

    fn sections(&mut self, audio: u32, video: u32, _: Time) -> Option<String> {
        (audio + video > 0).then(|| self.offer())
    }

    fn open_section(&mut self, track: CommandId, _: &str, _: SectionKind, _: Time) -> Option<String> {
        self.sections.insert(track, false);
        Some(self.offer())
    }

    fn close_section(&mut self, track: CommandId, _: Time) -> Option<String> {
        self.sections.remove(&track).map(|_| self.offer())
    }

    fn send_frame(&mut self, track: CommandId, frame: &PlacedFrame, _: Time) -> bool {
        let open = self.sections.get(&track).is_some_and(|answered| *answered);
        if open {
            self.send(&frame.payload);
        }
        open
    }

    fn request_key_frame(&mut self, source: u32, _: Time) {
        self.send(format!("key frame of {source}").as_bytes());
    }

    fn write(&mut self, channel: Channel, bytes: &[u8]) -> WriteResult {
        if self.full {
            return WriteResult::NotNow;
        }
        if bytes.ends_with(b"unsendable") {
            return WriteResult::Never;
        }
        if channel == Channel::Reliable {
            self.unacknowledged += bytes.len();
        }
        self.send(bytes);
        WriteResult::Accepted
    }

    fn unacknowledged(&mut self) -> Option<usize> {
        Some(self.unacknowledged)
    }

    fn close(&mut self, _: Time) {
        self.next = None;
        self.send(b"bye");
    }

    fn run(&mut self, _: Time) {}

    fn unrouted(&self) -> u64 {
        self.unrouted
    }
}
