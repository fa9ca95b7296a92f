//! WebRTC: the only module that uses str0m.
//!
//! It creates offers, applies answers and candidates, and converts packets into data and back, without
//! knowing their meaning. str0m's contract is kept inside: after every change its outputs are drained, and
//! its clock is advanced until nothing is left to do at this time.
//!
//! Two things differ from str0m's defaults, because of measurements. Its ICE agent takes 50 ms between two
//! steps: until ICE is connected it is called every [`ICE_PACE`], so that a first candidate that leads
//! nowhere costs less. And a first check that was lost is repeated after [`STUN_RTO`] instead of 250 ms.
//!
//! The first offer has no candidates: our addresses follow from the server's (see [`paths`]), and our checks
//! show it where they come from. `answer` processes an answer before str0m gets it.

mod answer;
mod capture;
mod clock;
mod codecs;
mod media;
mod packets;
mod path_in_use;
mod paths;
mod relay_paths;
mod relayed;
mod sending;
mod silence;

use agent_proto::Time;

use crate::connection::{Answered, MediaConnection, TransportEvent};
use crate::data::{Channel, WriteResult};
use crate::local_tracks::{PlacedFrame, SectionKind};
use crate::turn::IceServer;
use crate::{CommandId, NetworkPath, Protocol};
pub(crate) use clock::RtcClock;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol as WireProtocol, Receive, TcpType};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcError};

use media::Routes;
use path_in_use::{PathInUse, kind_of};
use paths::{Announced, MAX_CANDIDATES, Paths};
use relay_paths::{RelayPaths, SETTLED_AFTER};
use sending::Sending;
use silence::Silence;

/// Interval of connectivity checks while there is no connection; the shortest that ICE permits.
const ICE_PACE: Duration = Duration::from_millis(5);
/// Delay of the first retransmission of a connectivity check; it doubles from there.
const STUN_RTO: Duration = Duration::from_millis(100);
/// Retransmissions until a path counts as dead: a lost connection is noticed after some 18 seconds.
const STUN_RETRANSMITS: usize = 7;
/// Maximum length of a candidate, in bytes.
const MAX_CANDIDATE_LEN: usize = 1024;
/// Maximum rounds of str0m's clock at one time. It needs one or two; more would be an endless loop.
const MAX_ROUNDS: usize = 16;
/// How long ICE is called at that interval: a connection that does not work by then gains nothing from it.
const ICE_PACED: Duration = Duration::from_secs(2);
/// How long UDP is tried alone, before TCP is tried as well.
const TCP_AFTER: Duration = Duration::from_secs(1);
/// Maximum number of server addresses that are tried over TCP.
const MAX_TCP: usize = 4;
/// The delay when str0m asks to be called again immediately.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

pub(crate) struct Transport {
    rtc: Rtc,
    clock: RtcClock,
    reliable: Option<ChannelId>,
    lossy: Option<ChannelId>,
    data_track: Option<ChannelId>,
    /// Offered, and not answered yet. There is at most one.
    pending: Option<SdpPendingOffer>,
    answered: bool,
    /// Sections that the server requested while an offer was pending; `Some` also if it requested no more of
    /// them, but a new offer.
    wanted: Option<(u32, u32)>,
    receiving: Vec<Mid>,
    sending: Sending,
    /// The track of each packet.
    routes: Routes,
    /// Number of media sections in the last offer.
    offered: usize,
    paths: Paths,
    /// The server's candidates, until its answer arrives.
    early: Vec<Candidate>,
    /// The server's candidates, until their routes are known.
    unrouted: Vec<Candidate>,
    /// The server's ufrag in the current ICE generation.
    ufrag: String,
    /// Whether the pending offer begins another ICE generation.
    offers_generation: bool,
    ice_connected: bool,
    /// Since when a path to the server is searched.
    looking_since: Option<Time>,
    restart: Restart,
    /// The server's addresses for TCP.
    tcp: Vec<TcpPath>,
    /// A failed TCP connection is not retried before this time.
    tcp_from: Time,
    relay: RelayPaths,
    silence: Silence,
    /// How media and data are sent.
    used: Option<PathInUse>,
    /// Whether there has been a path to the server.
    was_connected: bool,
    gone: bool,
    /// Whether str0m's next step logs our credentials.
    shows_credentials: bool,
    deadline: Time,
    events: VecDeque<TransportEvent>,
}

#[derive(Clone, Copy, PartialEq)]
enum Restart {
    No,
    /// Wanted, once the pending offer is answered.
    Wanted,
    /// Offered, or in progress.
    Begun,
}

struct TcpPath {
    candidate: Candidate,
    state: TcpState,
}

#[derive(Clone, Copy, PartialEq)]
enum TcpState {
    Untried,
    Asked,
    Connected,
}

impl MediaConnection for Transport {
    type Clock = RtcClock;

    fn new(port: u16, clock: RtcClock, now: Time) -> Option<(Self, String)> {
        let mut builder = Rtc::builder().set_rtp_mode(true).set_stats_interval(None);
        codecs::configure(builder.codec_config());
        builder.set_initial_stun_rto(STUN_RTO);
        builder.set_max_stun_retransmits(STUN_RETRANSMITS);
        let mut rtc = builder.build(clock.instant(now));
        let mut changes = rtc.sdp_api();
        let reliable = changes.add_channel_with_config(ChannelConfig {
            label: "_reliable".to_owned(),
            ordered: true,
            reliability: Reliability::Reliable,
            ..Default::default()
        });
        let unreliable = |label: &str| ChannelConfig {
            label: label.to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..Default::default()
        };
        let lossy = changes.add_channel_with_config(unreliable("_lossy"));
        let data_track = changes.add_channel_with_config(unreliable("_data_track"));
        let (offer, pending) = changes.apply()?;
        let offer = offer.to_sdp_string();
        let mut transport = Self {
            rtc,
            clock,
            reliable: Some(reliable),
            lossy: Some(lossy),
            data_track: Some(data_track),
            pending: Some(pending),
            answered: false,
            wanted: None,
            receiving: Vec::new(),
            sending: Sending::default(),
            routes: Routes::default(),
            offered: answer::sections_of(&offer),
            paths: Paths::new(port),
            early: Vec::new(),
            unrouted: Vec::new(),
            ufrag: String::new(),
            offers_generation: true,
            ice_connected: false,
            looking_since: None,
            restart: Restart::No,
            tcp: Vec::new(),
            tcp_from: now,
            relay: RelayPaths::default(),
            silence: Silence::since(now),
            used: None,
            was_connected: false,
            gone: false,
            shows_credentials: true,
            deadline: now,
            events: VecDeque::new(),
        };
        transport.run(now);
        Some((transport, offer))
    }

    fn poll(&mut self) -> Option<TransportEvent> {
        self.events.pop_front().or_else(|| self.relay.servers.poll().map(TransportEvent::Relay))
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.gone {
            return None;
        }
        let own = [self.tcp_at(), self.silent_at(), self.relays_at()].into_iter().flatten().min();
        Some(own.map_or(self.deadline, |own| own.min(self.deadline)))
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.gone {
            return;
        }
        if self.tcp_at().is_some_and(|at| at <= now) {
            for path in self.tcp.iter_mut().filter(|path| path.state == TcpState::Untried) {
                path.state = TcpState::Asked;
                self.events.push_back(TransportEvent::NeedsTcp { remote: path.candidate.addr() });
            }
        }
        self.relays_timeout(now);
        if self.silent_at().is_some_and(|at| at <= now) {
            self.fall_silent("nothing came from the server for too long");
        }
        if self.deadline > now {
            return;
        }
        // str0m's own deadline may be later than ours: without an advance of its clock it would do nothing.
        if let Err(error) = self.tick(now) {
            return self.fail(&error);
        }
        self.run(now);
    }

    fn handle_packet(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        contents: &[u8],
        now: Time,
    ) -> bool {
        let proto = match protocol {
            Protocol::Udp => WireProtocol::Udp,
            Protocol::Tcp => WireProtocol::Tcp,
        };
        // Before we have an address no peer can send to us.
        let destination = match destination.ip().is_unspecified() {
            true => self.paths.local_for(source),
            false => Some(destination),
        };
        let Some(destination) = destination.filter(|_| self.answered) else { return false };
        let Ok(receive) = Receive::new(proto, source, destination, contents) else { return false };
        let input = Input::Receive(self.clock.instant(now), receive);
        if !self.rtc.accepts(&input) {
            return false;
        }
        self.silence.received(protocol, source, now);
        let taken = self.rtc.handle_input(input).is_ok();
        self.run(now);
        taken
    }

    fn restart(&mut self, now: Time) -> Option<String> {
        if self.pending.is_some() {
            self.restart = Restart::Wanted;
            return None;
        }
        self.relays_restart();
        let mut changes = self.rtc.sdp_api();
        changes.ice_restart(true);
        // A restart is a change, so there is an offer.
        let (offer, pending) = changes.apply()?;
        self.restart = Restart::Begun;
        self.offers_generation = true;
        self.silence.search();
        Some(self.offer(&offer, pending, now))
    }

    fn tcp_connected(&mut self, local: SocketAddr, remote: SocketAddr, now: Time) {
        let Some(path) = self.tcp.iter_mut().find(|path| path.candidate.addr() == remote) else { return };
        path.state = TcpState::Connected;
        let remote = path.candidate.clone();
        if let Ok(local) = Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build() {
            self.rtc.add_local_candidate(local);
            self.rtc.add_remote_candidate(remote);
            self.run(now);
        }
    }

    fn tcp_closed(&mut self, remote: SocketAddr, now: Time) {
        let looking = !self.ice_connected || self.restart == Restart::Begun;
        let Some(path) = self.tcp.iter_mut().find(|path| path.candidate.addr() == remote) else { return };
        let was_connected = path.state == TcpState::Connected;
        path.state = TcpState::Asked;
        if looking {
            path.state = TcpState::Untried;
            self.tcp_from = now + TCP_AFTER;
        } else if was_connected && self.used.is_some_and(|used| used.leads_to(Protocol::Tcp, remote)) {
            self.fall_silent("the TCP connection for media and data was closed");
        }
    }

    fn ice_servers(&mut self, servers: Vec<IceServer>, forced: bool, seed: u64, now: Time) {
        self.set_relays(servers, forced, seed, now);
    }

    fn relay_opened(&mut self, relay: u32, local: SocketAddr, now: Time) {
        let (ipv4, ipv6) = self.paths.udp_families();
        self.relay.servers.opened(relay, local, ipv6 && !ipv4, now);
    }

    fn relay_received(&mut self, relay: u32, contents: &Bytes, now: Time) -> bool {
        self.relay_contents(relay, contents, now)
    }

    fn relay_closed(&mut self, relay: u32, error: &str, now: Time) {
        self.relay.servers.closed(relay, error);
        self.check_relay();
        self.run(now);
    }

    fn channels(&mut self) -> Vec<(String, u16)> {
        let api = self.rtc.direct_api();
        let known = [("_reliable", self.reliable), ("_lossy", self.lossy), ("_data_track", self.data_track)];
        let stream = |(label, channel): (&str, Option<ChannelId>)| {
            Some((label.to_owned(), api.sctp_stream_id_by_channel_id(channel?)?))
        };
        known.into_iter().filter_map(stream).collect()
    }

    fn answer(
        &mut self,
        sdp: &str,
        tracks: &BTreeMap<String, String>,
        now: Time,
    ) -> Result<Answered, String> {
        let pending = self.pending.take().ok_or("an answer without an offer")?;
        let offered_generation = std::mem::take(&mut self.offers_generation);
        let read = answer::read(sdp, self.offered)?;
        let accepted = SdpAnswer::from_sdp_string(&read.sdp).map_err(|_| answer::diagnose(&read.sdp))?;
        self.shows_credentials = true;
        let accepted = quietly(|| self.rtc.sdp_api().accept_answer(pending, accepted));
        accepted.map_err(|error| describe(&error).to_owned())?;
        self.answered = true;
        let sections = self.sending.answered(&self.rtc);
        for gone in self.routes.replace(&read.sections, tracks) {
            self.rtc.direct_api().remove_stream_rx(gone.into());
        }
        if !self.ice_connected || self.restart == Restart::Begun {
            self.looking_since = Some(now);
        }
        // Only an ICE restart of ours resets the count of addresses; otherwise each answer could.
        if offered_generation && self.ufrag != read.ufrag {
            read.ufrag.clone_into(&mut self.ufrag);
            self.unrouted.clear();
            self.relay.unreachable.clear();
            self.paths.begin();
        }
        let mut refused = 0;
        for candidate in std::mem::take(&mut self.early) {
            refused += u64::from(!self.add_candidate(candidate, now));
        }
        for text in read.candidates {
            refused += u64::from(!self.candidate(text, now));
        }
        self.run(now);
        let offer = match self.restart {
            Restart::Wanted => self.restart(now),
            Restart::No | Restart::Begun => self.offer_wanted(now),
        };
        Ok(Answered { offer, refused, sections })
    }

    fn candidate(&mut self, text: &str, now: Time) -> bool {
        if text.len() > MAX_CANDIDATE_LEN {
            return false;
        }
        let Ok(candidate) = Candidate::from_sdp_string(text) else {
            let name = names_a_host(text);
            if name {
                self.paths.announce_name();
            }
            return name;
        };
        let ip = candidate.addr().ip();
        if candidate.addr().port() == 0 || ip.is_unspecified() || ip.is_multicast() || is_broadcast(ip) {
            return false;
        }
        if self.answered && (self.restart != Restart::Begun || self.pending.is_none()) {
            return self.add_candidate(candidate, now);
        }
        // A candidate before the answer belongs to the answer's ICE generation.
        let room = self.early.len() < MAX_CANDIDATES;
        if room {
            self.early.push(candidate);
        }
        room
    }

    fn routed(&mut self, remote: SocketAddr, local: Option<IpAddr>, now: Time) {
        self.paths.distant_routed(remote, local);
        let Some(at) = self.unrouted.iter().position(|candidate| candidate.addr() == remote) else { return };
        let candidate = self.unrouted.swap_remove(at);
        let Some((local, new)) = self.paths.routed(remote, local) else {
            self.reach_by_relay(candidate, now);
            for distant in self.paths.ask_distant() {
                self.events.push_back(TransportEvent::NeedsRoute { remote: *distant });
            }
            return;
        };
        if new && let Ok(ours) = Candidate::builder().udp().host(local).build() {
            let text = ours.to_sdp_string();
            if self.rtc.add_local_candidate(ours).is_some() {
                self.events.push_back(TransportEvent::Candidate { text });
            }
        }
        self.rtc.add_remote_candidate(candidate);
        self.run(now);
    }

    fn explain(&self) -> String {
        if self.answered { self.explain_paths() } else { "the server did not answer our offer".to_owned() }
    }

    fn path(&self) -> Option<NetworkPath> {
        self.current_path()
    }

    fn sections(&mut self, audio: u32, video: u32, now: Time) -> Option<String> {
        let (a, v) = self.wanted.unwrap_or_default();
        self.wanted = Some((a.saturating_add(audio), v.saturating_add(video)));
        self.offer_wanted(now)
    }

    fn open_section(&mut self, track: CommandId, cid: &str, kind: SectionKind, now: Time) -> Option<String> {
        self.sending.open(track, cid, kind);
        self.offer_wanted(now)
    }

    fn close_section(&mut self, track: CommandId, now: Time) -> Option<String> {
        if self.sending.close(track) { self.offer_wanted(now) } else { None }
    }

    fn send_frame(&mut self, track: CommandId, frame: &PlacedFrame, now: Time) -> bool {
        if self.gone
            || self.silence.is_noticed()
            || !self.sending.write(&mut self.rtc, self.clock, track, frame, now)
        {
            return false;
        }
        match self.tick(now) {
            Ok(()) => self.run(now),
            Err(error) => self.fail(&error),
        }
        true
    }

    fn request_key_frame(&mut self, source: u32, now: Time) {
        if let Some(stream) = self.rtc.direct_api().stream_rx(&source.into()) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            // Without an advance of its clock str0m would send it with the next packet of ours.
            match self.tick(now) {
                Ok(()) => self.run(now),
                Err(error) => self.fail(&error),
            }
        }
    }

    fn write(&mut self, channel: Channel, bytes: &[u8]) -> WriteResult {
        let id = match channel {
            Channel::Reliable => self.reliable,
            Channel::Lossy => self.lossy,
            Channel::DataTrack => self.data_track,
        };
        // A message that cannot get through is not under way: it can still be sent in another session.
        let Some(id) = id.filter(|_| !self.gone && !self.silence.is_noticed()) else {
            return WriteResult::NotNow;
        };
        let Some(mut channel) = self.rtc.channel(id) else { return WriteResult::NotNow };
        match channel.write(true, bytes) {
            Ok(true) => WriteResult::Accepted,
            Ok(false) => WriteResult::NotNow,
            Err(_) => WriteResult::Never,
        }
    }

    fn unacknowledged(&mut self) -> Option<usize> {
        Some(self.rtc.channel(self.reliable?)?.buffered_amount())
    }

    fn close(&mut self, now: Time) {
        if !self.gone {
            // If it cannot be closed it is gone anyway.
            let _ = self.rtc.close();
            self.run(now);
            self.relay.servers.close();
            self.gone = true;
        }
    }

    /// Drains str0m, and advances its clock until nothing is left to do at this time.
    fn run(&mut self, now: Time) {
        for _ in 0..MAX_ROUNDS {
            match self.drain(now) {
                Some(deadline) => self.deadline = deadline,
                None => return,
            }
            if self.deadline > now {
                // Its clock was advanced, and all resulting outputs were drained.
                self.shows_credentials = false;
                break;
            }
            if let Err(error) = self.tick(now) {
                return self.fail(&error);
            }
        }
        self.deadline = self.deadline.max(now + SHORTEST_WAIT);
        self.open_relays(now);
        let paced = self.looking_since.is_some_and(|since| now < since + ICE_PACED);
        if paced && !self.ice_connected {
            self.deadline = self.deadline.min(now + ICE_PACE);
        }
    }

    fn unrouted(&self) -> u64 {
        self.routes.unrouted()
    }
}

impl Transport {
    /// Offers the sections that are wanted, unless an offer is pending.
    fn offer_wanted(&mut self, now: Time) -> Option<String> {
        if self.pending.is_some() || (self.wanted.is_none() && !self.sending.needs_offer()) {
            return None;
        }
        let (audio, video) = self.wanted.unwrap_or_default();
        // The server answers a section without a track as inactive, and it stays so unless it is offered
        // again.
        let inactive: Vec<Mid> = self
            .receiving
            .iter()
            .copied()
            .filter(|mid| self.rtc.media(*mid).is_some_and(|media| media.direction() == Direction::Inactive))
            .collect();
        self.sending.rename_streams(&mut self.rtc);
        let mut changes = self.rtc.sdp_api();
        for mid in &inactive {
            changes.set_direction(*mid, Direction::RecvOnly);
        }
        let mut add = |kind, receiving: &mut Vec<Mid>| {
            receiving.push(changes.add_media(kind, Direction::RecvOnly, None, None, None));
        };
        for _ in 0..audio {
            add(MediaKind::Audio, &mut self.receiving);
        }
        for _ in 0..video {
            add(MediaKind::Video, &mut self.receiving);
        }
        self.sending.change(&mut changes);
        if self.wanted.take().is_some() && !changes.has_changes() {
            // Without a change str0m makes no offer, and the server waits for one: turn one section off and
            // on again.
            match self.receiving.first() {
                Some(mid) => {
                    changes.set_direction(*mid, Direction::Inactive);
                    changes.set_direction(*mid, Direction::RecvOnly);
                }
                None => {
                    let mid = changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
                    self.receiving.push(mid);
                }
            }
        }
        let (offer, pending) = changes.apply()?;
        Some(self.offer(&offer, pending, now))
    }

    /// When TCP is tried.
    fn tcp_at(&self) -> Option<Time> {
        let since = self.looking_since.filter(|_| !self.ice_connected)?;
        self.tcp
            .iter()
            .any(|path| path.state == TcpState::Untried)
            .then(|| self.tcp_from.max(since + TCP_AFTER))
    }

    /// When an existing path counts as gone.
    fn silent_at(&self) -> Option<Time> {
        self.silence.due().filter(|_| self.was_connected)
    }

    fn fall_silent(&mut self, detail: &str) {
        if self.silence.notice() {
            self.events.push_back(TransportEvent::Silent { detail: detail.to_owned() });
        }
    }

    fn offer(&mut self, offer: &SdpOffer, pending: SdpPendingOffer, now: Time) -> String {
        let offer = self.sending.name_tracks(offer.to_sdp_string());
        self.offered = answer::sections_of(&offer);
        self.pending = Some(pending);
        self.run(now);
        offer
    }

    /// Requests the route of a UDP candidate, and keeps one for TCP.
    fn add_candidate(&mut self, candidate: Candidate, now: Time) -> bool {
        match candidate.proto() {
            WireProtocol::Udp => {}
            WireProtocol::Tcp => return self.tcp_candidate(candidate, now),
            WireProtocol::SslTcp | WireProtocol::Tls => return true,
        }
        let remote = candidate.addr();
        let announced = self.paths.announce(Protocol::Udp, remote, kind_of(&candidate));
        self.open_relays(now);
        match announced {
            Announced::New if self.relay.servers.are_forced() => {
                self.reach_by_relay(candidate, now);
                true
            }
            Announced::New => {
                self.unrouted.push(candidate);
                self.events.push_back(TransportEvent::NeedsRoute { remote });
                true
            }
            Announced::Known => true,
            Announced::TooMany => false,
        }
    }

    /// Keeps an address that can be reached over TCP, for when nothing else works.
    fn tcp_candidate(&mut self, candidate: Candidate, now: Time) -> bool {
        // The others would have to connect to us.
        if candidate.tcptype() != Some(TcpType::Passive) {
            return true;
        }
        let announced = self.paths.announce(Protocol::Tcp, candidate.addr(), kind_of(&candidate));
        if announced == Announced::TooMany {
            return false;
        }
        let Some(path) = self.tcp.iter_mut().find(|path| path.candidate.addr() == candidate.addr()) else {
            if self.tcp.len() < MAX_TCP && !self.relay.servers.are_forced() {
                self.tcp.push(TcpPath { candidate, state: TcpState::Untried });
            }
            return true;
        };
        // Announced again after a restart, with new credentials.
        path.candidate = candidate.clone();
        match path.state {
            TcpState::Untried => {}
            TcpState::Asked => path.state = TcpState::Untried,
            TcpState::Connected => {
                self.rtc.add_remote_candidate(candidate);
                self.run(now);
            }
        }
        true
    }

    /// Advances str0m's clock.
    fn tick(&mut self, now: Time) -> Result<(), RtcError> {
        let input = Input::Timeout(self.clock.instant(now));
        match self.shows_credentials {
            true => quietly(|| self.rtc.handle_input(input)),
            false => self.rtc.handle_input(input),
        }
    }

    /// When str0m has to be called; `None`: the connection is gone.
    fn drain(&mut self, now: Time) -> Option<Time> {
        match self.shows_credentials {
            true => quietly(|| self.drain_all(now)),
            false => self.drain_all(now),
        }
    }

    fn drain_all(&mut self, now: Time) -> Option<Time> {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(deadline)) => return (!self.gone).then(|| self.clock.time(deadline)),
                Ok(Output::Transmit(packet)) => {
                    let protocol = match packet.proto {
                        WireProtocol::Udp => Protocol::Udp,
                        WireProtocol::Tcp => Protocol::Tcp,
                        WireProtocol::SslTcp | WireProtocol::Tls => continue,
                    };
                    let path = PathInUse::new(protocol, packet.source, packet.destination);
                    if self.send_by_relay(path, &packet.contents, now) {
                        continue;
                    }
                    // str0m pairs each of our addresses with each of the server's, but the system may send
                    // from another one.
                    if protocol == Protocol::Udp && !self.paths.fits(packet.source, packet.destination) {
                        continue;
                    }
                    self.events.push_back(TransportEvent::Packet {
                        protocol,
                        source: packet.source,
                        destination: packet.destination,
                        contents: packet.contents.into(),
                    });
                }
                Ok(Output::Event(event)) => self.event(event),
                Err(error) => {
                    self.fail(&error);
                    return None;
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ChannelOpen(id, _) if self.reliable == Some(id) => {
                self.events.push_back(TransportEvent::Ready);
            }
            Event::ChannelData(data) => {
                let channel = match Some(data.id) {
                    id if id == self.reliable => Channel::Reliable,
                    id if id == self.lossy => Channel::Lossy,
                    id if id == self.data_track => Channel::DataTrack,
                    _ => return,
                };
                self.events.push_back(TransportEvent::Data { channel, bytes: data.data.into() });
            }
            Event::RtpPacket(packet) => self.packet(&packet),
            Event::KeyframeRequest(request) => {
                if let Some(track) = self.sending.track(request.mid) {
                    self.events.push_back(TransportEvent::KeyFrameRequested { track });
                }
            }
            Event::IceConnectionStateChange(state) => {
                let connected = state.is_connected();
                if self.ice_connected && state == IceConnectionState::Disconnected {
                    self.fall_silent("the server does not answer any more");
                }
                if connected {
                    self.relay.settle_at = Some(self.silence.last_packet_at() + SETTLED_AFTER);
                }
                self.ice_connected = connected;
                self.was_connected |= connected;
                // Before the answer it is still the old path that was found again.
                if connected && self.restart == Restart::Begun && self.pending.is_none() {
                    self.restart = Restart::No;
                    self.events.push_back(TransportEvent::Restarted);
                }
            }
            Event::Closed => {
                self.events.push_back(TransportEvent::Gone { detail: "closed by the server".to_owned() });
            }
            _ => {}
        }
    }

    fn fail(&mut self, error: &RtcError) {
        if !self.gone {
            self.gone = true;
            self.events.push_back(TransportEvent::Gone { detail: describe(error).to_owned() });
        }
    }
}

/// Calls str0m without its log. Its feature `pii` redacts ICE credentials except in its events: at TRACE the
/// ICE agent logs ours, when it begins and when it is restarted.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), act)
}

/// An error in our own words: str0m's may contain data of the server, several lines, and memory addresses.
fn describe(error: &RtcError) -> &'static str {
    match error {
        RtcError::RemoteSdp(_) | RtcError::Sdp(_) | RtcError::ChangesOutOfOrder => {
            "the server's answer does not fit our offer"
        }
        RtcError::Dtls(_) => "the encryption of the connection (DTLS) failed",
        RtcError::Sctp(_) => "the data channels (SCTP) failed",
        RtcError::Ice(_) => "the search for a path to the server (ICE) failed",
        RtcError::Net(_) | RtcError::Io(_) => "a packet could not be read",
        RtcError::Rtp(_) | RtcError::Packet(..) => "a media packet could not be read",
        _ => "an internal error of the WebRTC library",
    }
}

/// Whether this is a candidate with a name (as browsers use with mDNS) instead of an address.
fn names_a_host(candidate: &str) -> bool {
    let host = candidate.split_whitespace().nth(4).filter(|_| candidate.starts_with("candidate:"));
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    host.is_some_and(|host| host.contains(|c: char| c.is_ascii_alphabetic()) && host.chars().all(in_name))
}

fn is_broadcast(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}
