//! A server in memory: the signalling of a join, and str0m on the other side of the packets.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::media::{MediaKind, Mid};
use str0m::net::{Protocol as WireProtocol, Receive, TcpType};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Rtc};

use agent_proto::{Time, decode, encode, livekit as proto};
use agent_room::{
    CommandId, Config, DataTrackFrame, DisconnectReason, EncodedFrame, EncodedVideoFrame, Input, JoinFailure,
    MediaFrame, NetworkPath, Output, Protocol, Room, RoomCommand, RoomError, RoomEvent, RpcError, RpcRequest,
    StreamEvent, Track, UnknownMethod,
};

use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

/// The command that leaves after a failed join.
const LEAVES: CommandId = CommandId::MAX;
const DELAY: Duration = Duration::from_millis(2);

/// A room and its server, with two milliseconds between them and a virtual clock.
pub(crate) struct Pair {
    pub(crate) room: Room,
    pub(crate) rtc: Rtc,
    pub(crate) now: Time,
    /// The readings of str0m's clocks at the beginning.
    epoch: Instant,
    /// The interfaces of both: addresses of the client and of the server. They are the same on one machine.
    interfaces: Vec<(SocketAddr, SocketAddr)>,
    rtc_deadline: Time,
    /// Packets under way, with their arrival times.
    wire: VecDeque<(Time, Wire)>,
    /// The events of the room.
    pub(crate) events: Vec<RoomEvent>,
    pub(crate) done: BTreeMap<CommandId, Result<(), RoomError>>,
    /// Joins that failed after the server had admitted us.
    pub(crate) failed_joins: Vec<JoinFailure>,
    /// Whether the room is left after such a failure.
    pub(crate) leaves_failed_join: bool,
    pub(crate) closed: Option<DisconnectReason>,
    /// This machine's routes: from which of its addresses it sends to another.
    pub(crate) routes: fn(SocketAddr) -> Option<IpAddr>,
    /// Addresses whose routes were requested.
    pub(crate) routes_asked: Vec<SocketAddr>,
    /// The paths of the connection.
    pub(crate) paths: Vec<NetworkPath>,
    pub(crate) streams: Vec<StreamEvent>,
    pub(crate) rpc_requests: Vec<RpcRequest>,
    pub(crate) calls: Vec<(CommandId, Result<String, RpcError>)>,
    pub(crate) unknown_methods: Vec<UnknownMethod>,
    /// Source and destination of the sent datagrams.
    pub(crate) sent: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) requests: Vec<Request>,
    pub(crate) url: Option<String>,
    pub(crate) channels: BTreeMap<String, ChannelId>,
    /// Data packets that reached the server: label, packet.
    pub(crate) received: Vec<(String, proto::DataPacket)>,
    pub(crate) signal_closed: bool,
    /// Whether a new socket is requested.
    pub(crate) bind_asked: bool,
    /// Addresses to which a TCP connection is requested.
    pub(crate) tcp_asked: Vec<SocketAddr>,
    /// The TURN servers to which a connection is requested, with its number and when.
    pub(crate) relays_asked: Vec<(u32, String, Time)>,
    pub(crate) relay_messages: Vec<(u32, Vec<u8>)>,
    pub(crate) relays_closed: Vec<u32>,
    /// TURN servers that cannot be used, and the reasons.
    pub(crate) relays_failed: Vec<(String, String)>,
    /// The URLs of TURN servers in the server's answer to the join.
    pub(crate) turn_urls: Vec<String>,
    pub(crate) server_forces_relay: bool,
    /// Whether packets over TCP get through; those over UDP then do not.
    pub(crate) tcp: bool,
    /// Whether the packet with this number is lost.
    pub(crate) lose: fn(u64) -> bool,
    /// Whether only our own packets are lost.
    pub(crate) lose_ours: bool,
    /// The server's address on an interface over which nothing gets through.
    pub(crate) dead: Option<SocketAddr>,
    packets: u64,
    /// Whether the server answers offers.
    pub(crate) answers: bool,
    /// The track of each section: section, track sid.
    pub(crate) tracks: BTreeMap<String, String>,
    /// The audio sections that we have offered.
    pub(crate) audio: Vec<Mid>,
    /// The received frames: track sid, frame.
    pub(crate) frames: Vec<(String, EncodedFrame)>,
    /// Of video.
    pub(crate) pictures: Vec<(String, EncodedVideoFrame)>,
    pub(crate) key_frames_requested: Vec<CommandId>,
    pub(crate) data_frames: Vec<(String, DataTrackFrame)>,
    /// The states of our tracks, as they are reported.
    pub(crate) local_tracks: Vec<(CommandId, Option<Track>)>,
    /// The audio packets that the server has received.
    pub(crate) received_audio: Vec<RtpPacket>,
    /// The packets of data tracks that the server has received.
    pub(crate) received_frames: Vec<Vec<u8>>,
    /// Changes an answer on its way.
    pub(crate) tamper: fn(String) -> String,
    /// Descriptions of both sides.
    pub(crate) descriptions: Vec<String>,
}

/// With the interface of a packet, by its place in the list.
enum Wire {
    ToServer(usize, Vec<u8>),
    ToClient(usize, Vec<u8>),
    Signal(Vec<u8>),
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "some instant to begin at; nothing depends on which")]
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("ws://server", "sesame");
        change(&mut config);
        Self::between("127.0.0.1:1000", "127.0.0.1:2000", config, Instant::now())
    }

    /// The same over IPv6.
    #[expect(clippy::disallowed_methods, reason = "some instant to begin at; nothing depends on which")]
    pub(crate) fn over_ipv6() -> Self {
        Self::between("[::1]:1000", "[::1]:2000", Config::new("ws://server", "sesame"), Instant::now())
    }

    fn between(client: &str, server: &str, config: Config, epoch: Instant) -> Self {
        let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
        Self {
            room: Room::new(config, epoch),
            rtc: server_rtc(server, epoch),
            now: Time::ZERO,
            epoch,
            interfaces: vec![(client, server)],
            rtc_deadline: Time::ZERO,
            wire: VecDeque::new(),
            events: Vec::new(),
            done: BTreeMap::new(),
            failed_joins: Vec::new(),
            leaves_failed_join: true,
            closed: None,
            routes: |remote| {
                Some(if remote.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() })
            },
            routes_asked: Vec::new(),
            paths: Vec::new(),
            streams: Vec::new(),
            rpc_requests: Vec::new(),
            calls: Vec::new(),
            unknown_methods: Vec::new(),
            sent: Vec::new(),
            requests: Vec::new(),
            url: None,
            channels: BTreeMap::new(),
            received: Vec::new(),
            signal_closed: false,
            bind_asked: false,
            tcp_asked: Vec::new(),
            relays_asked: Vec::new(),
            relay_messages: Vec::new(),
            relays_closed: Vec::new(),
            relays_failed: Vec::new(),
            turn_urls: Vec::new(),
            server_forces_relay: false,
            tcp: false,
            lose: |_| false,
            lose_ours: false,
            dead: None,
            packets: 0,
            answers: true,
            tracks: BTreeMap::new(),
            audio: Vec::new(),
            frames: Vec::new(),
            pictures: Vec::new(),
            key_frames_requested: Vec::new(),
            data_frames: Vec::new(),
            local_tracks: Vec::new(),
            received_audio: Vec::new(),
            received_frames: Vec::new(),
            tamper: |sdp| sdp,
            descriptions: Vec::new(),
        }
    }

    /// A room that is connected, with no request left over of the join.
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new(|_| {});
        pair.connect();
        pair.requests.clear();
        pair
    }

    /// Binds, opens, joins, and runs until the room is connected.
    pub(crate) fn connect(&mut self) {
        self.join();
        self.run_until("connected", |pair| {
            pair.events.iter().any(|event| matches!(event, RoomEvent::Connected(_)))
        });
    }

    /// Binds, opens, and sends the server's first answers.
    pub(crate) fn join(&mut self) {
        self.join_as("PA_me");
    }

    /// A new session: the server's side restarts, and our side has a new address.
    pub(crate) fn rejoin(&mut self) {
        assert!(std::mem::take(&mut self.bind_asked), "it asks for a socket");
        self.wire.clear();
        self.channels.clear();
        for (client, _) in &mut self.interfaces {
            client.set_port(client.port() + 1);
        }
        self.rtc = server_rtc(self.interfaces[0].1, self.instant());
        self.rtc_deadline = self.now;
        self.join_as("PA_me2");
    }

    fn join_as(&mut self, sid: &str) {
        self.input(Input::UdpBound { port: self.interfaces[0].0.port() });
        let url = self.url.clone().expect("it connects");
        self.input(Input::SignalOpened);
        self.server_sends(Response::Join(proto::JoinResponse {
            participant: Some(proto::ParticipantInfo {
                sid: sid.to_owned(),
                identity: "me".to_owned(),
                ..Default::default()
            }),
            ping_interval: 5,
            ping_timeout: 15,
            ice_servers: vec![proto::IceServer {
                urls: self.turn_urls.clone(),
                username: "sesame".to_owned(),
                credential: "sesame".to_owned(),
            }],
            client_configuration: Some(proto::ClientConfiguration {
                force_relay: i32::from(self.server_forces_relay) * 2,
            }),
            ..Default::default()
        }));
        let offer = join_request(&url).publisher_offer.expect("an offer in the join");
        self.answer(&offer.sdp);
    }

    fn answer(&mut self, offer: &str) {
        if !self.answers {
            return;
        }
        let offered = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = quietly(|| self.rtc.sdp_api().accept_offer(offered).unwrap());
        let sdp = (self.tamper)(answer.to_sdp_string());
        self.descriptions.extend([offer.to_owned(), sdp.clone()]);
        let mid_to_track_id = self.tracks.clone();
        self.server_sends(Response::Answer(proto::SessionDescription {
            sdp,
            mid_to_track_id,
            ..Default::default()
        }));
        // Without an advance of its clock it does not begin its checks.
        self.advance_rtc();
    }

    pub(crate) fn server_sends(&mut self, message: Response) {
        let frame = encode(&proto::SignalResponse { message: Some(message) });
        self.put(DELAY, Wire::Signal(frame.to_vec()));
    }

    /// Both have another interface, before they connect. The client's ports are the same.
    pub(crate) fn add_interface(&mut self, client: &str, server: &str) {
        let server: SocketAddr = server.parse().unwrap();
        self.interfaces.push((client.parse().unwrap(), server));
        self.rtc.add_local_candidate(Candidate::host(server, "udp").unwrap());
    }

    /// The server announces an address.
    pub(crate) fn trickle(&mut self, candidate: &str) {
        let candidate_init = serde_json::json!({ "candidate": candidate }).to_string();
        self.server_sends(Response::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() }));
    }

    /// The server can be reached over TCP at this address, and announces it.
    pub(crate) fn listen_on_tcp(&mut self) -> SocketAddr {
        let (_, server) = self.interfaces[0];
        let candidate = Candidate::builder().tcp().host(server).tcptype(TcpType::Passive).build().unwrap();
        let text = candidate.to_sdp_string();
        self.rtc.add_local_candidate(candidate);
        self.trickle(&text);
        server
    }

    /// The requested connection is established.
    pub(crate) fn connect_tcp(&mut self, remote: SocketAddr) {
        let (client, _) = &mut self.interfaces[0];
        client.set_port(client.port() + 500);
        let local = *client;
        self.input(Input::TcpConnected { local, remote });
    }

    /// The WebSocket is lost, and the server knows the session on a new one.
    pub(crate) fn resume(&mut self, last_message_seq: u32) {
        self.url = None;
        self.input(Input::SignalClosed { reason: "reset".to_owned() });
        self.run_until("another try", |pair| pair.url.is_some());
        self.input(Input::SignalOpened);
        self.server_sends(Response::Reconnect(proto::ReconnectResponse {
            last_message_seq,
            ..Default::default()
        }));
    }

    pub(crate) fn command(&mut self, id: CommandId, command: RoomCommand) {
        self.input(Input::Commanded { id, command });
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.room.handle_input(input, self.now);
        self.drain();
    }

    /// Sends a packet as the server does.
    pub(crate) fn send(&mut self, label: &str, packet: &proto::DataPacket) {
        self.send_bytes(label, &encode(packet));
    }

    pub(crate) fn send_bytes(&mut self, label: &str, bytes: &[u8]) {
        let id = self.channels[label];
        assert!(self.rtc.channel(id).unwrap().write(true, bytes).unwrap());
        self.drain_rtc();
    }

    /// The server requests this many more audio sections, and answers the offer.
    pub(crate) fn ask_for_audio(&mut self, sections: u32) {
        let requirement = proto::MediaSectionsRequirement { num_audios: sections, num_videos: 0 };
        self.server_sends(Response::MediaSectionsRequirement(requirement));
        let answers = self.descriptions.len();
        self.run_until("another offer", |pair| pair.descriptions.len() > answers);
        self.run_for(2 * DELAY);
    }

    /// From now on these sections carry these tracks.
    pub(crate) fn carry(&mut self, tracks: &[(Mid, &str)]) {
        self.tracks = tracks.iter().map(|(mid, sid)| (mid.to_string(), (*sid).to_owned())).collect();
        self.ask_for_audio(0);
    }

    /// Sends an audio packet as the server does: its sequence number, timestamp and payload.
    pub(crate) fn send_audio(&mut self, mid: Mid, number: u64, timestamp: u32, payload: &[u8]) {
        let instant = self.instant();
        let pt = self.rtc.media(mid).unwrap().remote_pts()[0];
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("a stream");
        let mut levels = ExtensionValues::default();
        (levels.audio_level, levels.voice_activity) = (Some(-30), Some(true));
        let packet = RtpWrite::new(pt, number.into(), timestamp, instant, payload);
        stream.write_rtp(packet.marker(number == 0).ext_vals(levels));
        self.advance_rtc();
    }

    pub(crate) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            assert!(self.now < Time::ZERO + Duration::from_secs(300), "{what} does not come");
            self.step();
        }
        panic!("{what} does not come within the number of steps");
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.next().is_some_and(|at| at <= until) {
            self.step();
        }
        self.now = self.now.max(until);
    }

    fn next(&self) -> Option<Time> {
        let room = self.room.poll_timeout().map(|(at, _)| at);
        let wire = self.wire.front().map(|(at, _)| *at);
        [room, wire, Some(self.rtc_deadline)].into_iter().flatten().min()
    }

    /// The current time for str0m.
    fn instant(&self) -> Instant {
        self.epoch + (self.now - Time::ZERO)
    }

    /// Advances the clock to the next event and handles it.
    fn step(&mut self) {
        self.now = self.now.max(self.next().expect("something is to be done"));
        while let Some((at, _)) = self.wire.front()
            && *at <= self.now
        {
            let (_, wire) = self.wire.pop_front().unwrap();
            match wire {
                Wire::Signal(frame) => self.room.handle_input(Input::SignalReceived(frame.into()), self.now),
                Wire::ToClient(interface, contents) => {
                    let (client, server) = self.interfaces[interface];
                    let packet = Input::PacketReceived {
                        protocol: if self.tcp { Protocol::Tcp } else { Protocol::Udp },
                        source: server,
                        // A UDP socket does not know the receiving address of a packet.
                        destination: match self.tcp {
                            true => client,
                            false => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), client.port()),
                        },
                        contents: contents.into(),
                    };
                    self.room.handle_input(packet, self.now);
                }
                Wire::ToServer(interface, contents) => {
                    let protocol = if self.tcp { WireProtocol::Tcp } else { WireProtocol::Udp };
                    let (client, server) = self.interfaces[interface];
                    let receive = Receive::new(protocol, client, server, &contents).unwrap();
                    let input = str0m::Input::Receive(self.instant(), receive);
                    quietly(|| self.rtc.handle_input(input)).unwrap();
                    self.drain_rtc();
                }
            }
            self.drain();
        }
        if self.rtc_deadline <= self.now {
            self.advance_rtc();
        }
        self.room.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.room.poll_output() {
            assert!(self.closed.is_none(), "{output:?} after the end");
            match output {
                Output::ConnectSignal { url, .. } => self.url = Some(url),
                Output::SendSignal(frame) => {
                    let request: proto::SignalRequest = decode(&frame, 8 << 20).unwrap();
                    let request = request.message.unwrap();
                    if let Request::Offer(offer) = &request {
                        self.answer(&offer.sdp.clone());
                    }
                    self.requests.push(request);
                }
                Output::CloseSignal => self.signal_closed = true,
                Output::SendPacket { protocol, source, destination, contents } => {
                    if protocol == Protocol::Udp {
                        self.sent.push((source, destination));
                    }
                    if let Some(interface) = self.interface_of(destination)
                        && self.tcp == (protocol == Protocol::Tcp)
                    {
                        self.transmit(Wire::ToServer(interface, contents));
                    }
                }
                Output::BindUdp => self.bind_asked = true,
                Output::ConnectTcp { remote } => self.tcp_asked.push(remote),
                Output::OpenRelay { relay, host, port, .. } => {
                    self.relays_asked.push((relay, format!("{host}:{port}"), self.now));
                }
                Output::SendRelay { relay, contents } => self.relay_messages.push((relay, contents)),
                Output::CloseRelay { relay } => self.relays_closed.push(relay),
                Output::RelayFailed { server, reason } => self.relays_failed.push((server, reason)),
                Output::FindRoute { remote } => {
                    self.routes_asked.push(remote);
                    let local = (self.routes)(remote);
                    self.room.handle_input(Input::RouteFound { remote, local }, self.now);
                }
                Output::MediaPath(path) => self.paths.push(path),
                Output::Stream(event) => self.streams.push(event),
                Output::Requested(request) => self.rpc_requests.push(request),
                Output::CallDone { id, result } => self.calls.push((id, result)),
                Output::UnknownMethod(method) => self.unknown_methods.push(method),
                Output::Event(event) => self.events.push(event),
                Output::DataFrame { track, frame } => self.data_frames.push((track.to_string(), frame)),
                Output::LocalTrack { id, track } => self.local_tracks.push((id, track)),
                Output::Frame { track, frame: MediaFrame::Audio(frame) } => {
                    self.frames.push((track.to_string(), frame));
                }
                Output::Frame { track, frame: MediaFrame::Video(frame) } => {
                    self.pictures.push((track.to_string(), frame));
                }
                Output::KeyFrameRequested { track } => self.key_frames_requested.push(track),
                Output::JoinFailed { failure } => {
                    self.failed_joins.push(failure);
                    if self.leaves_failed_join {
                        let leave = Input::Commanded { id: LEAVES, command: RoomCommand::Leave };
                        self.room.handle_input(leave, self.now);
                    }
                }
                Output::CommandDone { id: LEAVES, .. } => {}
                Output::CommandDone { id, result } => {
                    assert!(self.done.insert(id, result).is_none(), "command {id} is done twice");
                }
                Output::Closed { reason } => self.closed = Some(reason),
            }
        }
        match self.room.poll_timeout() {
            Some((due, timer)) => assert!(due > self.now, "{timer:?} is due after a drain"),
            None => assert!(self.closed.is_some()),
        }
    }

    fn advance_rtc(&mut self) {
        let input = str0m::Input::Timeout(self.instant());
        quietly(|| self.rtc.handle_input(input)).unwrap();
        self.drain_rtc();
    }

    fn drain_rtc(&mut self) {
        loop {
            match quietly(|| self.rtc.poll_output()).unwrap() {
                str0m::Output::Timeout(at) => {
                    let at = Time::ZERO + at.saturating_duration_since(self.epoch);
                    self.rtc_deadline = at.max(self.now + Duration::from_millis(1));
                    return;
                }
                str0m::Output::Transmit(packet) => {
                    if self.tcp != (packet.proto == WireProtocol::Tcp) {
                        continue;
                    }
                    let interface = self.interface_of(packet.source).expect("one of the server's");
                    self.transmit(Wire::ToClient(interface, packet.contents.into()));
                }
                str0m::Output::Event(Event::ChannelOpen(id, label)) => {
                    self.channels.insert(label, id);
                }
                str0m::Output::Event(Event::ChannelData(data)) => {
                    let label = self.channels.iter().find(|(_, id)| **id == data.id).unwrap().0.clone();
                    match label.as_str() {
                        "_data_track" => self.received_frames.push(data.data),
                        _ => self.received.push((label, decode(&data.data.into(), 1 << 20).unwrap())),
                    }
                }
                str0m::Output::Event(Event::MediaAdded(media)) if media.kind == MediaKind::Audio => {
                    self.audio.push(media.mid);
                }
                str0m::Output::Event(Event::RtpPacket(packet)) => self.received_audio.push(packet),
                str0m::Output::Event(_) => {}
            }
        }
    }

    fn transmit(&mut self, wire: Wire) {
        self.packets += 1;
        let ours = self.lose_ours && matches!(wire, Wire::ToServer(..));
        let dead = match wire {
            Wire::ToServer(interface, _) | Wire::ToClient(interface, _) => {
                self.dead == Some(self.interfaces[interface].1)
            }
            Wire::Signal(_) => false,
        };
        if !ours && !dead && !(self.lose)(self.packets) {
            self.put(DELAY, wire);
        }
    }

    /// The interface with this address of the server.
    fn interface_of(&self, server: SocketAddr) -> Option<usize> {
        self.interfaces.iter().position(|(_, address)| *address == server)
    }

    /// Queued behind everything that arrives no later.
    fn put(&mut self, delay: Duration, wire: Wire) {
        let at = self.now + delay;
        let place = self.wire.partition_point(|(other, _)| *other <= at);
        self.wire.insert(place, (at, wire));
    }
}

/// The log of the server's side is not the room's.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), act)
}

fn server_rtc(address: SocketAddr, now: Instant) -> Rtc {
    let mut rtc = Rtc::builder().set_rtp_mode(true).set_ice_lite(false).build(now);
    rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
    rtc
}

/// The join request in the URL.
pub(crate) fn join_request(url: &str) -> proto::JoinRequest {
    let (_, request) = url.split_once("?join_request=").unwrap();
    let wrapped: proto::WrappedJoinRequest =
        decode(&URL_SAFE.decode(request).unwrap().into(), 1 << 20).unwrap();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&wrapped.join_request[..]).read_to_end(&mut plain).unwrap();
    decode(&plain.into(), 1 << 20).unwrap()
}
