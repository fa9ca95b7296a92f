//! The driver of `agent_room`'s machine: one task, one UDP socket and one WebSocket per room, and no policy.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;
use url::Url;

use agent_net::{
    ConnectError, FrameSocket, MediaPath, NetOptions, Secret, SocketEvent, WebSocket, connect_websocket,
};
use agent_proto::text::{line, name};
use agent_proto::{BoxFuture, Time};
use agent_room::{
    CommandId, Config, DisconnectReason, Input, JoinFailure, NetworkPath, OutgoingMedia, Output,
    PathTransport, Protocol, Room as Machine, RoomCommand, RoomEvent, RpcError,
};

use super::backend::RoomBackend;
use super::connector::{JoinRequest, RoomConnector};
use super::data_tracks::DataFrameSender;
use super::frame_sender::FrameSender;
use super::handle::Room;
use super::join_error::JoinError;
use super::join_session::{HeldRequest, JoinCall, JoinSession, JoinStep, Joined, WeakSession, keep_room};
use super::local_tracks::OutgoingFrames;
use super::reconnect_gate::ReconnectGate;
use super::relay::{RelayConnections, RelayEvent};
use super::request::{RoomReply, RoomRequest};
use super::socket::Socket;
use super::tcp::{TcpEvent, TcpPaths};

/// Maximum number of packets that are read, and of frames that are sent, before other work gets its turn.
const MAX_PACKETS: usize = 32;
/// Maximum size of a signalling message: a room with thousands of participants is sent in one.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;
/// A longer timeout has no end that a clock can show.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The id of commands without a caller. Those of handles begin with 1.
const OWN_COMMAND: CommandId = 0;

/// Joins rooms of a LiveKit server over WebRTC.
///
/// ```no_run
/// # async fn example(token: String) -> Result<(), agent_worker::room::JoinError> {
/// use agent_worker::room::{JoinRequest, RoomConnector, WebRtc};
///
/// let room = WebRtc::default().connect(JoinRequest::new("ws://localhost:7880", token)).await?;
/// room.leave().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct WebRtc {
    net: NetOptions,
}

impl WebRtc {
    /// Creates a connector with these network options.
    #[must_use]
    pub fn new(net: NetOptions) -> Self {
        Self { net }
    }
}

impl RoomConnector for WebRtc {
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>> {
        let net = self.net.clone().max_message_size(MAX_MESSAGE).connect_timeout(request.timeout);
        Box::pin(async move {
            let result = match request.session.clone() {
                None => {
                    let (call, joined) = JoinCall::unkept();
                    drive(request, net, None, joined);
                    call.result().await
                }
                Some(session) => loop {
                    match session.begin() {
                        JoinStep::Joined(room) => return Ok(room),
                        JoinStep::Retry(call) => {
                            if let Some(result) = call.retry(request.timeout).await {
                                break Some(result);
                            }
                        }
                        JoinStep::Drive { held, joined, call } => {
                            drive(request, net, Some(held), joined);
                            break call.result().await;
                        }
                    }
                },
            };
            result.unwrap_or(Err(JoinError::Failed(JoinFailure::Cancelled)))
        })
    }
}

/// Joins in a task of its own from the start: if the future of the join is dropped, the task keeps the join
/// for its session, or leaves the server properly.
fn drive(request: JoinRequest, net: NetOptions, held: Option<mpsc::Receiver<HeldRequest>>, joined: Joined) {
    let task = async move {
        let driver = Driver::new(&request, net, held, joined).await;
        // The request holds the session, which belongs to its user.
        drop(request);
        match driver {
            Ok(driver) => driver.run().await,
            Err((error, joined)) => drop(joined.send(Err(error))),
        }
    };
    tokio::spawn(task.in_current_span());
}

struct Driver {
    machine: Machine,
    started: Instant,
    net: NetOptions,
    socket: Socket,
    /// The next socket, if one was requested.
    binding: Option<BoxFuture<'static, io::Result<Socket>>>,
    gate: ReconnectGate,
    tcp: TcpPaths,
    relays: RelayConnections,
    signal: FrameSocket,
    /// WebSockets that are being closed.
    closing: JoinSet<()>,
    /// The caller of the join. `None` once joined.
    joined: Option<Joined>,
    /// The session that may retry a join that failed or was given up.
    session: WeakSession,
    /// Receives the requests for such a join, until the room is handed over.
    held: Option<mpsc::Receiver<HeldRequest>>,
    /// The timeout of a connection for signalling.
    connect_timeout: Duration,
    /// The end of the time for the one that is being opened. A retry of the join extends it.
    connect_until: watch::Sender<Instant>,
    /// Set by the join.
    backend: Option<RoomBackend>,
    /// Set together with the backend.
    frames: Option<FrameSender>,
    data_frames: Option<DataFrameSender>,
    outgoing: Option<OutgoingFrames>,
    /// The callers of commands.
    replies: BTreeMap<CommandId, RoomReply<()>>,
    /// The callers of methods.
    calls: BTreeMap<CommandId, RoomReply<String, RpcError>>,
    /// The connection's error if there was none: it has a source, which the machine's error lacks.
    refusal: Option<ConnectError>,
    /// The error of a socket for media, since the join was called, if there was no file descriptor left.
    exhausted: Option<io::Error>,
    leaving: bool,
    /// Dropped at the end, for the session that waits for it.
    left: Option<oneshot::Sender<()>>,
    done: bool,
}

enum Wake {
    Signal(SocketEvent),
    Request(Option<RoomRequest>),
    Readable,
    Frame((CommandId, OutgoingMedia)),
    Bound(io::Result<Socket>),
    Tcp(TcpEvent),
    Relay(RelayEvent),
    Timeout,
    GivenUp,
    Held(Option<HeldRequest>),
}

impl Driver {
    async fn new(
        request: &JoinRequest,
        net: NetOptions,
        held: Option<mpsc::Receiver<HeldRequest>>,
        joined: Joined,
    ) -> Result<Self, (JoinError, Joined)> {
        if Url::parse(&request.url).is_err() {
            return Err((JoinError::Url, joined));
        }
        let socket = match Socket::bind() {
            Ok(socket) => socket,
            Err(error) => return Err((JoinError::of_socket(error), joined)),
        };
        let mut config = Config::new(&request.url, request.token.expose());
        config.auto_subscribe = request.auto_subscribe;
        config.e2ee.clone_from(&request.e2ee);
        config.force_relay = request.force_relay;
        config.join_timeout = request.timeout;
        config.reconnect_timeout = request.reconnect_timeout;
        config.seed = RandomState::new().build_hasher().finish();
        // A clock before 1970 counts as 1970.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        config.created_at_ms = i64::try_from(unix.as_millis()).unwrap_or(i64::MAX);
        let started = Instant::now();
        let mut machine = Machine::new(config, started.into_std());
        machine.handle_input(Input::UdpBound { port: socket.port() }, Time::ZERO);
        Ok(Self {
            machine,
            started,
            net,
            socket,
            binding: None,
            gate: ReconnectGate::new(request.reconnect_when.clone()),
            tcp: TcpPaths::new(),
            relays: RelayConnections::new(),
            signal: FrameSocket::idle(),
            closing: JoinSet::new(),
            joined: Some(joined),
            session: request.session.as_ref().map(JoinSession::downgrade).unwrap_or_default(),
            held,
            connect_timeout: request.timeout,
            connect_until: watch::Sender::new(started),
            backend: None,
            frames: None,
            data_frames: None,
            outgoing: None,
            replies: BTreeMap::new(),
            calls: BTreeMap::new(),
            refusal: None,
            exhausted: None,
            leaving: false,
            left: None,
            done: false,
        })
    }

    async fn run(mut self) {
        while self.carry_out() {
            let wake = self.wait().await;
            self.handle(wake);
        }
        let violations = self.machine.violations();
        let unrouted_frames = self.machine.unrouted_frames();
        let unsent_frames = self.machine.unsent_frames();
        if unsent_frames > 0 {
            tracing::debug!(unsent_frames, "dropped frames of published tracks, which could not be sent");
        }
        if violations > 0 || unrouted_frames > 0 {
            tracing::debug!(
                violations,
                unrouted_frames,
                "received invalid messages, or frames of unknown tracks"
            );
        }
        self.relays.finish().await;
        // Each has a timeout.
        while self.closing.join_next().await.is_some() {}
    }

    async fn wait(&mut self) -> Wake {
        // Without a timeout the machine is closed, and this is not reached.
        let due = self.machine.poll_timeout().map(|(at, _)| self.started + (at - Time::ZERO));
        let has_caller = self.joined.is_some();
        let Self { signal, socket, binding, tcp, relays, backend, outgoing, joined, held, leaving, .. } =
            self;
        tokio::select! {
            event = signal.next() => Wake::Signal(event),
            () = socket.readable() => Wake::Readable,
            bound = next_socket(binding) => Wake::Bound(bound),
            event = tcp.next() => Wake::Tcp(event),
            event = relays.next() => Wake::Relay(event),
            frame = next_frame(outgoing.as_mut()) => Wake::Frame(frame),
            request = next_request(backend.as_mut()), if !*leaving => Wake::Request(request),
            () = given_up(joined.as_mut()), if !*leaving => Wake::GivenUp,
            // A later call waits while an earlier one does.
            request = next_held(held.as_mut()), if !*leaving && !has_caller => Wake::Held(request),
            () = sleep_until(due.unwrap_or_else(Instant::now)) => Wake::Timeout,
        }
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Signal(SocketEvent::Opened) => self.input(Input::SignalOpened),
            Wake::Signal(SocketEvent::NotOpened(error)) => {
                let input = match &error {
                    ConnectError::Refused { status, body, retry_after, .. } => Input::SignalRefused {
                        status: *status,
                        body: body.clone(),
                        retry_after: *retry_after,
                    },
                    other => Input::SignalFailed { error: other.to_string() },
                };
                self.refusal = Some(error);
                self.input(input);
            }
            Wake::Signal(SocketEvent::Received(frame)) => self.input(Input::SignalReceived(frame)),
            Wake::Signal(SocketEvent::ReceivedText | SocketEvent::KeepAlive) => {}
            Wake::Signal(SocketEvent::Closed(reason)) => self.input(Input::SignalClosed { reason }),
            Wake::Request(Some(RoomRequest::Command { id, command, reply })) => {
                self.replies.insert(id, reply);
                self.input(Input::Commanded { id, command });
            }
            Wake::Request(Some(RoomRequest::Call { id, call, reply })) => {
                self.calls.insert(id, reply);
                self.input(Input::Called { id, call });
            }
            // All handles were dropped, or the session of a join that is kept is gone.
            Wake::Request(None) | Wake::Held(None) => self.leave(),
            Wake::Held(Some(HeldRequest::Leave { left })) => {
                self.left = Some(left);
                self.leave();
            }
            Wake::GivenUp => {
                self.joined = None;
                self.hold();
            }
            Wake::Held(Some(HeldRequest::Retry { joined, timeout })) => {
                self.joined = Some(joined);
                self.exhausted = None;
                self.connect_until.send_replace(self.end_of(timeout));
                self.input(Input::JoinRetried { timeout });
            }
            Wake::Readable => self.receive(),
            Wake::Frame(frame) => self.send_frames(frame),
            Wake::Bound(Ok(socket)) => {
                self.socket = socket;
                self.input(Input::UdpBound { port: self.socket.port() });
            }
            Wake::Bound(Err(error)) => self.input(Input::UdpNotBound { error: error.to_string() }),
            Wake::Tcp(TcpEvent::Connected { local, remote }) => {
                self.input(Input::TcpConnected { local, remote });
            }
            Wake::Tcp(TcpEvent::Received { local, remote, contents }) => {
                if self.net.lets_pass(MediaPath::Tcp) {
                    let protocol = Protocol::Tcp;
                    self.input(Input::PacketReceived {
                        protocol,
                        source: remote,
                        destination: local,
                        contents,
                    });
                }
            }
            Wake::Tcp(TcpEvent::Closed { remote, exhausted }) => {
                self.exhausted = exhausted.or(self.exhausted.take());
                self.input(Input::TcpClosed { remote });
            }
            Wake::Relay(RelayEvent::Opened { relay, local }) => {
                self.input(Input::RelayOpened { relay, local });
            }
            Wake::Relay(RelayEvent::Received { relay, contents }) => {
                if self.net.lets_pass(MediaPath::Relay) {
                    self.input(Input::RelayReceived { relay, contents });
                }
            }
            Wake::Relay(RelayEvent::Closed { relay, error, exhausted }) => {
                self.exhausted = exhausted.or(self.exhausted.take());
                self.input(Input::RelayClosed { relay, error });
            }
            Wake::Timeout => self.machine.handle_timeout(self.now()),
        }
    }

    /// Keeps the join until its session requests a retry or the leave. Without a session it leaves.
    fn hold(&mut self) {
        if self.held.is_none() {
            self.leave();
        }
    }

    /// Gives the room to the caller of the join, or to the session if the caller is gone.
    fn hand_over(&mut self, room: Room) {
        let held = self.held.take();
        let back = match self.joined.take() {
            Some(joined) => joined.send(Ok(room)).err().and_then(Result::ok),
            None => Some(room),
        };
        if let Some(room) = back {
            keep_room(&self.session, room);
        }
        // Closed now: a retry that was not read finds the room in the session, and who leaves waits for us.
        if let Some(mut held) = held
            && let Ok(HeldRequest::Leave { left }) = held.try_recv()
        {
            self.left = Some(left);
        }
    }

    fn leave(&mut self) {
        self.leaving = true;
        self.input(Input::Commanded { id: OWN_COMMAND, command: RoomCommand::Leave });
    }

    fn receive(&mut self) {
        for _ in 0..MAX_PACKETS {
            // No packet, or a network error that may not affect the next packet.
            let Ok((source, destination, contents)) = self.socket.receive() else { return };
            if !self.net.lets_pass(MediaPath::Udp) {
                continue;
            }
            self.input(Input::PacketReceived { protocol: Protocol::Udp, source, destination, contents });
            if !self.carry_out() {
                return;
            }
        }
    }

    /// Sends a frame, and those that wait behind it.
    fn send_frames(&mut self, first: (CommandId, OutgoingMedia)) {
        let (mut next, mut sent) = (Some(first), 0);
        while let Some((track, frame)) = next {
            self.input(Input::SendFrame { track, frame });
            sent += 1;
            if !self.carry_out() || sent == MAX_PACKETS {
                return;
            }
            next = self.outgoing.as_mut().and_then(OutgoingFrames::try_next);
        }
    }

    fn send(&mut self, protocol: Protocol, destination: SocketAddr, contents: Vec<u8>) {
        match protocol {
            Protocol::Udp if self.net.lets_pass(MediaPath::Udp) => self.socket.send(destination, &contents),
            Protocol::Tcp if self.net.lets_pass(MediaPath::Tcp) => self.tcp.send(destination, contents),
            // Dropped, as the filter requires.
            Protocol::Udp | Protocol::Tcp => {}
        }
    }

    fn input(&mut self, input: Input) {
        self.machine.handle_input(input, self.now());
    }

    /// The end of this timeout, which may be of any length.
    fn end_of(&self, timeout: Duration) -> Instant {
        let now = Instant::now();
        now.checked_add(timeout).unwrap_or(now + LONGEST_TIMEOUT)
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    /// Carries out the machine's outputs. `false`: the machine is closed.
    fn carry_out(&mut self) -> bool {
        // Removes closed sockets.
        while self.closing.try_join_next().is_some() {}
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::ConnectSignal { url, token, may_be_new_server } => {
                    let (net, token) = (self.net.clone(), Secret::from(token.expose()));
                    let worker = may_be_new_server.then(|| self.gate.wait());
                    self.connect_until.send_replace(self.end_of(self.connect_timeout));
                    let until = self.connect_until.subscribe();
                    self.signal = FrameSocket::connect(async move {
                        if let Some(worker) = worker {
                            worker.await;
                        }
                        let url = Url::parse(&url).map_err(|_| ConnectError::Address)?;
                        connect_within(&url, &token, net, until).await
                    });
                }
                Output::SendSignal(frame) => self.signal.send(frame),
                Output::SendPacket { protocol, destination, contents, .. } => {
                    self.send(protocol, destination, contents);
                }
                Output::FindRoute { remote } => {
                    let local = self.socket.route(remote).unwrap_or_else(|error| {
                        self.exhausted = Some(error);
                        None
                    });
                    self.input(Input::RouteFound { remote, local });
                }
                Output::MediaPath(path) => log_path(&path),
                Output::OpenRelay { relay, host, port, transport } => {
                    self.relays.open(relay, host, port, transport, &self.net);
                }
                Output::SendRelay { relay, contents } => {
                    if self.net.lets_pass(MediaPath::Relay) {
                        self.relays.send(relay, contents);
                    }
                }
                Output::CloseRelay { relay } => self.relays.close(relay),
                Output::RelayFailed { server, reason } => {
                    tracing::warn!(server = %name(&server), "a TURN server cannot be used: {}", line(&reason));
                }
                Output::UnknownMethod(unknown) => tracing::warn!(
                    method = %name(&unknown.method),
                    sender = %name(&unknown.caller),
                    "an RPC request was refused with error 1400, method not supported: `Room::register_rpc_method` offers a method"
                ),
                Output::Stream(event) => {
                    if let Some(backend) = &mut self.backend {
                        backend.stream(event);
                    }
                }
                Output::Requested(request) => {
                    if let Some(backend) = &mut self.backend {
                        backend.request(request);
                    }
                }
                Output::CallDone { id, result } => {
                    if let Some(reply) = self.calls.remove(&id) {
                        reply.send(result);
                    }
                }
                Output::ConnectTcp { remote } => self.tcp.connect(remote),
                Output::BindUdp => {
                    let worker = self.gate.wait();
                    self.tcp = TcpPaths::new();
                    let relays = std::mem::replace(&mut self.relays, RelayConnections::new());
                    self.closing.spawn(relays.finish());
                    self.binding = Some(Box::pin(async move {
                        worker.await;
                        Socket::bind()
                    }));
                }
                Output::Event(RoomEvent::Connected(connected)) if self.backend.is_none() => {
                    let (room, backend) = RoomBackend::new(*connected);
                    self.frames = Some(backend.frames());
                    self.data_frames = Some(backend.data_frames());
                    self.outgoing = Some(backend.outgoing_frames());
                    self.backend = Some(backend);
                    self.hand_over(room);
                }
                Output::Event(event) => {
                    if let RoomEvent::Reconnected(_) = event {
                        self.gate.reconnected();
                    }
                    if let Some(backend) = &mut self.backend {
                        backend.emit(event);
                    }
                }
                Output::DataFrame { track, frame } => {
                    if let Some(frames) = &mut self.data_frames {
                        frames.send(&track, frame);
                    }
                }
                Output::KeyFrameRequested { track } => {
                    if let Some(backend) = &mut self.backend {
                        backend.key_frame_requested(track);
                    }
                }
                Output::LocalTrack { id, track } => {
                    if let Some(backend) = &mut self.backend {
                        backend.local_track(id, track);
                    }
                }
                Output::Frame { track, frame } => {
                    if let Some(frames) = &mut self.frames {
                        frames.send(&track, frame);
                    }
                }
                Output::CommandDone { id, result } => {
                    if let Some(reply) = self.replies.remove(&id) {
                        reply.send(result);
                    }
                }
                Output::JoinFailed { failure } => {
                    let error = JoinError::of_failure(failure, self.exhausted.take());
                    if let Some(joined) = self.joined.take() {
                        drop(joined.send(Err(error)));
                    }
                    self.hold();
                }
                Output::Closed { reason } => self.closed(reason),
                Output::CloseSignal => {
                    let signal = std::mem::replace(&mut self.signal, FrameSocket::idle());
                    self.closing.spawn(signal.close());
                }
            }
        }
        !self.done
    }

    fn closed(&mut self, reason: DisconnectReason) {
        self.done = true;
        // Its requests are not read any more: a retry joins again.
        self.held = None;
        let Some(joined) = self.joined.take() else { return };
        let error = match (self.refusal.take(), reason) {
            // The machine's reason describes the server; the connection's error has the address and the
            // cause.
            (
                _,
                DisconnectReason::JoinFailed(
                    failure @ (JoinFailure::ServerTooOld | JoinFailure::Unauthorized { .. }),
                ),
            ) => JoinError::Failed(failure),
            (Some(error), _) => JoinError::Connect(error),
            (None, DisconnectReason::JoinFailed(failure)) => {
                JoinError::of_failure(failure, self.exhausted.take())
            }
            (None, reason) => JoinError::Failed(JoinFailure::Ended(Box::new(reason))),
        };
        drop(joined.send(Err(error)));
    }
}

/// Opens the WebSocket; if it times out after the join was retried, in the time of the retry.
async fn connect_within(
    url: &Url,
    token: &Secret,
    mut net: NetOptions,
    until: watch::Receiver<Instant>,
) -> Result<WebSocket, ConnectError> {
    let mut end = *until.borrow();
    loop {
        let opened = connect_websocket(url, Some(token), &net).await;
        let later = *until.borrow();
        if !matches!(opened, Err(ConnectError::Timeout { .. })) || later <= end {
            return opened;
        }
        end = later;
        net = net.connect_timeout(later.saturating_duration_since(Instant::now()));
    }
}

fn log_path(path: &NetworkPath) {
    let NetworkPath { transport, relay, local, remote, reason, .. } = path;
    match (relay, transport) {
        (Some(relay), _) => {
            tracing::warn!(%relay, %local, %remote, "media and data of the room go through a relay, which is slower: {reason}");
        }
        (None, PathTransport::Udp) => tracing::debug!(%local, %remote, "media and data go over UDP"),
        (None, _) => {
            tracing::warn!(%local, %remote, "media and data of the room go over {path}, which is slower: {reason}");
        }
    }
}

async fn next_request(backend: Option<&mut RoomBackend>) -> Option<RoomRequest> {
    match backend {
        Some(backend) => backend.next_request().await,
        None => std::future::pending().await,
    }
}

async fn next_frame(frames: Option<&mut OutgoingFrames>) -> (CommandId, OutgoingMedia) {
    match frames {
        Some(frames) => frames.next().await,
        None => std::future::pending().await,
    }
}

async fn next_socket(binding: &mut Option<BoxFuture<'static, io::Result<Socket>>>) -> io::Result<Socket> {
    match binding {
        Some(socket) => {
            let socket = socket.await;
            *binding = None;
            socket
        }
        None => std::future::pending().await,
    }
}

async fn given_up(joined: Option<&mut Joined>) {
    match joined {
        Some(joined) => joined.closed().await,
        None => std::future::pending().await,
    }
}

async fn next_held(held: Option<&mut mpsc::Receiver<HeldRequest>>) -> Option<HeldRequest> {
    match held {
        Some(held) => held.recv().await,
        None => std::future::pending().await,
    }
}
