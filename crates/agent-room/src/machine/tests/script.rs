//! Random scripts for a room: a driver and a server that mostly do what is expected, and sometimes anything
//! else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use agent_proto::recording::Recorder;
use agent_proto::{MAX_FRAME_LEN, Time, decode, encode, livekit as proto};

use super::scripted::{MediaMessage, Scripted};
use crate::machine::Machine;
use crate::{
    AudioTrackOptions, CommandId, Config, Input, OutgoingFrame, Output, Protocol, Publish, RoomCommand,
    RpcCall, RpcRequestId, StreamKind, StreamOptions,
};
use proto::participant_info::State;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The driver or the server does the next expected step, or fails to.
    Follow { fails: bool },
    /// The server sends a message.
    ServerSends(Box<Response>),
    /// A packet for the media connection.
    Packet(MediaMessage, Vec<u8>),
    /// Any other input.
    Input(Input),
    /// Time passes, in milliseconds.
    Pass(u32),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => prop::bool::weighted(0.1).prop_map(|fails| Op::Follow { fails }),
        6 => response().prop_map(|message| Op::ServerSends(message.into())),
        6 => packet(),
        2 => input().prop_map(Op::Input),
        3 => command().prop_map(|command| Op::Input(Input::Commanded { id: 0, command })),
        3 => prop_oneof![3 => 0u32..3_000, 1 => 0u32..70_000].prop_map(Op::Pass),
    ]
}

fn packet() -> impl Strategy<Value = Op> {
    let data = (any::<bool>(), data()).prop_map(|(reliable, packet)| {
        Op::Packet(
            if reliable { MediaMessage::Reliable } else { MediaMessage::Lossy },
            encode(&packet).to_vec(),
        )
    });
    let any = (prop::sample::select(&MediaMessage::ALL[..]), vec(any::<u8>(), 0..4))
        .prop_map(|(message, rest)| Op::Packet(message, rest));
    prop_oneof![2 => data, 1 => any]
}

fn data() -> impl Strategy<Value = proto::DataPacket> {
    use proto::data_packet::Value;
    let value = prop_oneof![
        4 => "[a-z]{0,8}".prop_map(|payload| Value::User(proto::UserPacket {
            payload: payload.into(),
            topic: Some("topic".to_owned()),
            ..Default::default()
        })),
        4 => stream_packet(),
        3 => rpc_packet(),
        1 => Just(Value::ChatMessage(proto::ChatMessage::default())),
    ];
    (value, sid(), 0u32..20).prop_map(|(value, participant_sid, sequence)| proto::DataPacket {
        participant_identity: participant_sid.to_lowercase(),
        participant_sid,
        sequence,
        value: Some(value),
        ..Default::default()
    })
}

fn stream_packet() -> impl Strategy<Value = proto::data_packet::Value> {
    use proto::data_packet::Value;
    use proto::data_stream::header::ContentHeader;
    use proto::data_stream::{ByteHeader, Chunk, Header, Trailer};
    let header = ("[a-b]", any::<bool>()).prop_map(|(stream_id, inline)| {
        Value::StreamHeader(Header {
            stream_id,
            inline_content: inline.then(|| "inline".into()),
            content_header: Some(ContentHeader::ByteHeader(ByteHeader::default())),
            ..Header::default()
        })
    });
    let chunk = ("[a-b]", 0..3u64).prop_map(|(stream_id, chunk_index)| {
        Value::StreamChunk(Chunk { stream_id, chunk_index, content: "chunk".into(), ..Chunk::default() })
    });
    let trailer =
        "[a-b]".prop_map(|stream_id| Value::StreamTrailer(Trailer { stream_id, ..Trailer::default() }));
    prop_oneof![3 => header, 3 => chunk, 1 => trailer]
}

fn rpc_packet() -> impl Strategy<Value = proto::data_packet::Value> {
    use proto::data_packet::Value;
    let id = || "[a-c]";
    prop_oneof![
        2 => (id(), "(m|x)").prop_map(|(id, method)| {
            Value::RpcRequest(proto::RpcRequest { id, method, version: 1, ..Default::default() })
        }),
        1 => id().prop_map(|request_id| Value::RpcAck(proto::RpcAck { request_id })),
        1 => id().prop_map(|request_id| Value::RpcResponse(proto::RpcResponse { request_id, value: None })),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let address = || any::<u8>().prop_map(|n| std::net::SocketAddr::from(([10, 0, 0, n], 2000)));
    prop_oneof![
        1 => any::<u16>().prop_map(|port| Input::UdpBound { port }),
        1 => Just(Input::SignalOpened),
        1 => Just(Input::SignalFailed { error: "unreachable".to_owned() }),
        2 => Just(Input::SignalClosed { reason: "closed".to_owned() }),
        1 => address().prop_map(|remote| Input::TcpClosed { remote }),
        1 => vec(any::<u8>(), 0..20).prop_map(|frame| Input::SignalReceived(frame.into())),
        3 => ("[a-c]", sid()).prop_map(|(id, sid)| {
            let call = RpcCall::new(id, sid.to_lowercase(), "m", "payload");
            Input::Called { id: 0, call }
        }),
        2 => (0u64..20, any::<u32>()).prop_map(|(track, timestamp)| Input::SendFrame {
            track,
            frame: OutgoingFrame::new("frame", timestamp).into(),
        }),
        1 => (0u64..20).prop_map(|seconds| Input::JoinRetried { timeout: Duration::from_secs(seconds) }),
    ]
}

fn command() -> impl Strategy<Value = RoomCommand> {
    let publish = ("[a-z]{0,4}|unsendable", any::<bool>()).prop_map(|(payload, reliable)| {
        let mut message = Publish::new("", payload);
        message.reliable = reliable;
        message.destinations = vec!["ada".to_owned()];
        RoomCommand::Publish(message)
    });
    prop_oneof![
        6 => publish,
        3 => stream_command(),
        2 => method_command(),
        2 => track_command(),
        1 => "[a-z]{0,4}".prop_map(RoomCommand::SetMetadata),
        1 => "[a-z]{0,4}".prop_map(RoomCommand::SetName),
        1 => prop::collection::btree_map("[a-c]", "[a-z]{0,4}", 0..3).prop_map(RoomCommand::SetAttributes),
        1 => Just(RoomCommand::Leave),
    ]
}

fn track_command() -> impl Strategy<Value = RoomCommand> {
    prop_oneof![
        4 => "[a-b]".prop_map(|name| RoomCommand::PublishTrack { options: AudioTrackOptions::new(name).into() }),
        1 => (0..20u64).prop_map(|track| RoomCommand::UnpublishTrack { track }),
        2 => (0..20u64, any::<bool>()).prop_map(|(track, muted)| RoomCommand::MuteTrack { track, muted }),
    ]
}

fn method_command() -> impl Strategy<Value = RoomCommand> {
    prop_oneof![
        3 => Just(RoomCommand::RegisterMethod("m".to_owned())),
        1 => Just(RoomCommand::UnregisterMethod("m".to_owned())),
        2 => (0..4u64).prop_map(|request| RoomCommand::Respond {
            request: RpcRequestId(request),
            result: Ok("response".to_owned()),
        }),
    ]
}

/// Whole streams, and parts of streams that an earlier command may have opened.
fn stream_command() -> impl Strategy<Value = RoomCommand> {
    let options = || {
        any::<bool>().prop_map(|text| {
            let kind = if text { StreamKind::text() } else { StreamKind::bytes() };
            Box::new(StreamOptions::new("id", "topic", kind))
        })
    };
    let content = || (0..40_000usize).prop_map(|len| Bytes::from(vec![b'x'; len]));
    prop_oneof![
        (options(), content()).prop_map(|(options, content)| RoomCommand::SendStream { options, content }),
        options().prop_map(RoomCommand::OpenStream),
        (0..20u64, content()).prop_map(|(stream, content)| RoomCommand::WriteStream { stream, content }),
        (0..20u64, "(gone)?").prop_map(|(stream, reason)| RoomCommand::CloseStream {
            stream,
            reason,
            attributes: BTreeMap::new(),
        }),
    ]
}

fn sid() -> impl Strategy<Value = String> {
    "PA_(me|a|b|c)"
}

fn participant() -> impl Strategy<Value = proto::ParticipantInfo> {
    let track = (0..2i32, any::<bool>()).prop_map(|(kind, muted)| proto::TrackInfo {
        sid: format!("TR_{kind}"),
        r#type: kind,
        muted,
        ..Default::default()
    });
    let what = (0..4i32, 0..19i32, any::<bool>(), "[xy]?", vec(track, 0..3));
    (sid(), 0..32u32, what).prop_map(|(sid, version, (state, reason, may, text, tracks))| {
        proto::ParticipantInfo {
            identity: sid.to_lowercase(),
            sid,
            state,
            version,
            disconnect_reason: reason,
            permission: Some(proto::ParticipantPermission {
                can_publish: true,
                can_publish_data: may,
                ..Default::default()
            }),
            attributes: BTreeMap::from([("k".to_owned(), text.clone())]),
            name: text.clone(),
            metadata: text,
            tracks,
            ..Default::default()
        }
    })
}

fn room(sid: u8) -> proto::Room {
    // Not every server sends the room's sid at once.
    let sid = if sid == 0 { String::new() } else { format!("RM_{sid}") };
    proto::Room { sid, name: "lobby".to_owned(), ..Default::default() }
}

fn response() -> impl Strategy<Value = Response> {
    let text = |choices: &'static [&'static str]| prop::sample::select(choices).prop_map(str::to_owned);
    prop_oneof![
        7 => vec(participant(), 0..4)
            .prop_map(|participants| Response::Update(proto::ParticipantUpdate { participants, ..Default::default() })),
        2 => (text(&["v=0", "v=0 more", "bad", ""]), prop::collection::btree_map("[0-3]", "TR_[0-3]", 0..3))
            .prop_map(|(sdp, mid_to_track_id)| {
                Response::Answer(proto::SessionDescription { sdp, mid_to_track_id, ..Default::default() })
            }),
        1 => text(&["candidate:1", "other", ""]).prop_map(|candidate| {
            let candidate_init = serde_json::json!({ "candidate": candidate }).to_string();
            Response::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() })
        }),
        1 => (0..16i32, 0..3i32).prop_map(|(reason, action)| {
            Response::Leave(proto::LeaveRequest { reason, action, ..Default::default() })
        }),
        1 => (0..3u32, 0..3u32).prop_map(|(num_audios, num_videos)| {
            Response::MediaSectionsRequirement(proto::MediaSectionsRequirement { num_audios, num_videos })
        }),
        2 => (0u32..8, -1..7i32).prop_map(|(request_id, reason)| {
            Response::RequestResponse(proto::RequestResponse { request_id, reason, ..Default::default() })
        }),
        1 => (sid(), any::<f32>(), any::<bool>()).prop_map(|(sid, level, active)| {
            let speakers = vec![proto::SpeakerInfo { sid, level, active }];
            Response::SpeakersChanged(proto::SpeakersChanged { speakers })
        }),
        1 => (sid(), 0..5i32).prop_map(|(participant_sid, quality)| {
            let updates = vec![proto::ConnectionQualityInfo { participant_sid, quality, ..Default::default() }];
            Response::ConnectionQuality(proto::ConnectionQualityUpdate { updates })
        }),
        3 => (0u8..3, "[xy]?", 0u32..3).prop_map(|(sid, metadata, num_participants)| {
            let room = Some(proto::Room { metadata, num_participants, ..room(sid) });
            Response::RoomUpdate(proto::RoomUpdate { room })
        }),
        1 => (0u8..3, participant()).prop_map(|(sid, participant)| {
            let (room, participant) = (Some(room(sid)), Some(participant));
            Response::RoomMoved(proto::RoomMovedResponse { room, participant, ..Default::default() })
        }),
        1 => any::<bool>().prop_map(|muted| {
            Response::Mute(proto::MuteTrackRequest { sid: "TR_1".to_owned(), muted })
        }),
        1 => any::<bool>().prop_map(|unpublished| match unpublished {
            true => Response::TrackUnpublished(proto::TrackUnpublishedResponse { track_sid: "TR_own1".to_owned() }),
            false => Response::TrackSubscribed(proto::TrackSubscribed { track_sid: "TR_own1".to_owned() }),
        }),
        1 => Just(Response::RefreshToken("sesame 2".to_owned())),
        1 => Just(Response::PongResp(proto::Pong::default())),
    ]
}

/// A step that the machine waits for.
#[derive(Clone, Debug)]
enum PendingStep {
    Bind,
    Open {
        resume: bool,
    },
    FirstMessage {
        resume: bool,
    },
    Media(MediaMessage),
    Route(std::net::SocketAddr),
    Tcp(std::net::SocketAddr),
    Relay(u32),
    /// The server publishes the track with this client id, and answers the offer.
    Track(String),
    Retry,
}

pub(super) struct World {
    pub(super) room: Recorder<Config, Machine<Scripted>>,
    now: Time,
    pending: VecDeque<PendingStep>,
    /// Whether the next connection is that of a new session.
    joins: bool,
    sessions: u8,
    /// Number of our tracks that were published.
    tracks: u32,
    /// How often each command was answered.
    answered: BTreeMap<CommandId, u32>,
    closed: bool,
}

impl World {
    pub(super) fn new(room: Recorder<Config, Machine<Scripted>>) -> Self {
        Self {
            room,
            now: Time::ZERO,
            pending: VecDeque::from([PendingStep::Bind]),
            joins: true,
            sessions: 0,
            tracks: 0,
            answered: BTreeMap::new(),
            closed: false,
        }
    }

    /// Runs until the room is joined and its media connection is ready.
    pub(super) fn connect(&mut self) {
        for _ in 0..4 {
            self.apply(Op::Follow { fails: false });
        }
    }

    pub(super) fn packet(&mut self, message: MediaMessage, rest: &[u8]) {
        self.apply(Op::Packet(message, rest.to_vec()));
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Follow { fails } => self.follow(fails),
            Op::ServerSends(message) => self.server_sends(*message),
            Op::Packet(message, rest) => self.input(Input::PacketReceived {
                protocol: if rest.len() == 1 { Protocol::Tcp } else { Protocol::Udp },
                source: ([10, 0, 0, 9], 2000).into(),
                destination: ([127, 0, 0, 1], 1000).into(),
                contents: message.packet(&rest),
            }),
            Op::Input(Input::Commanded { command, .. }) => {
                let id = self.answered.len() as CommandId;
                self.answered.insert(id, 0);
                self.input(Input::Commanded { id, command });
            }
            Op::Input(Input::Called { call, .. }) => {
                let id = self.answered.len() as CommandId;
                self.answered.insert(id, 0);
                self.input(Input::Called { id, call });
            }
            Op::Input(input) => self.input(input),
            Op::Pass(millis) => self.pass(Duration::from_millis(millis.into())),
        }
    }

    /// For any script: a room that is left is closed in the end, and every command was answered.
    pub(super) fn finish(&mut self) {
        self.apply(Op::Input(Input::Commanded { id: 0, command: RoomCommand::Leave }));
        self.pass(Duration::from_secs(60));
        assert!(self.closed && self.room.poll_timeout().is_none());
        assert!(matches!(
            self.room.outputs().last(),
            Some(Output::Closed { .. } | Output::CommandDone { .. } | Output::CallDone { .. })
        ));
        for (id, times) in &self.answered {
            assert_eq!(*times, 1, "command {id}");
        }
    }

    fn follow(&mut self, fails: bool) {
        let Some(pending) = self.pending.pop_front() else { return };
        match pending {
            PendingStep::Bind if fails => self.input(Input::UdpNotBound { error: "no socket".to_owned() }),
            PendingStep::Bind => {
                self.sessions = self.sessions.wrapping_add(1);
                self.input(Input::UdpBound { port: 1000 + u16::from(self.sessions) });
            }
            PendingStep::Open { .. } if fails => self.input(Input::SignalRefused {
                status: if self.sessions.is_multiple_of(2) { 503 } else { 401 },
                body: "no".to_owned(),
                retry_after: Some(Duration::from_secs(1)),
            }),
            PendingStep::Open { resume } => {
                self.pending.push_front(PendingStep::FirstMessage { resume });
                self.input(Input::SignalOpened);
            }
            PendingStep::FirstMessage { .. } if fails => {
                let action = proto::leave_request::Action::Reconnect as i32;
                self.server_sends(Response::Leave(proto::LeaveRequest { action, ..Default::default() }));
            }
            PendingStep::FirstMessage { resume: true } => {
                self.pending.push_front(PendingStep::Media(MediaMessage::Restarted));
                self.server_sends(Response::Reconnect(proto::ReconnectResponse::default()));
            }
            PendingStep::FirstMessage { resume: false } => {
                self.pending.push_front(PendingStep::Media(MediaMessage::Ready));
                self.server_sends(Response::Join(self.join()));
            }
            PendingStep::Media(_) if fails => self.packet(MediaMessage::Gone, b""),
            PendingStep::Media(message) => self.packet(message, b""),
            PendingStep::Route(remote) => {
                let local = (!fails).then_some([127, 0, 0, 1].into());
                self.input(Input::RouteFound { remote, local });
            }
            PendingStep::Tcp(remote) if fails => self.input(Input::TcpClosed { remote }),
            PendingStep::Tcp(remote) => {
                self.input(Input::TcpConnected { local: ([127, 0, 0, 1], 1000).into(), remote });
            }
            PendingStep::Relay(relay) if fails => {
                self.input(Input::RelayClosed { relay, error: "no".to_owned() });
            }
            PendingStep::Relay(relay) => {
                self.input(Input::RelayOpened { relay, local: ([127, 0, 0, 1], 1000).into() });
                self.input(Input::RelayReceived { relay, contents: "anything".into() });
            }
            PendingStep::Track(cid) if fails => {
                let request = Some(proto::request_response::Request::AddTrack(proto::AddTrackRequest {
                    cid,
                    ..Default::default()
                }));
                let reason = proto::request_response::Reason::NotAllowed as i32;
                self.server_sends(Response::RequestResponse(proto::RequestResponse {
                    reason,
                    request,
                    ..Default::default()
                }));
            }
            PendingStep::Track(cid) => {
                self.tracks += 1;
                let track = proto::TrackInfo { sid: format!("TR_own{}", self.tracks), ..Default::default() };
                self.server_sends(Response::TrackPublished(proto::TrackPublishedResponse {
                    cid,
                    track: Some(track),
                }));
                let sdp = "v=0".to_owned();
                self.server_sends(Response::Answer(proto::SessionDescription { sdp, ..Default::default() }));
            }
            // It waits a little longer.
            PendingStep::Retry if fails => self.pending.push_front(PendingStep::Retry),
            PendingStep::Retry => self.input(Input::JoinRetried { timeout: Duration::from_secs(5) }),
        }
    }

    fn join(&self) -> proto::JoinResponse {
        let info = |sid: &str| proto::ParticipantInfo {
            sid: sid.to_owned(),
            identity: sid.to_lowercase(),
            state: State::Active as i32,
            ..Default::default()
        };
        proto::JoinResponse {
            room: Some(room([2, 1, 0][usize::from(self.sessions % 3)])),
            participant: Some(info("PA_me")),
            other_participants: vec![info(if self.sessions.is_multiple_of(2) { "PA_a" } else { "PA_b" })],
            ping_interval: 5,
            ping_timeout: 15,
            ..Default::default()
        }
    }

    fn server_sends(&mut self, message: Response) {
        self.input(Input::SignalReceived(encode(&proto::SignalResponse { message: Some(message) })));
    }

    fn input(&mut self, input: Input) {
        self.room.handle_input(input, self.now);
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _)) = self.room.poll_timeout()
            && at <= until
        {
            self.now = at;
            self.room.handle_timeout(at);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.room.poll_output() {
            assert!(
                !self.closed || matches!(output, Output::CommandDone { .. } | Output::CallDone { .. }),
                "after the last: {output:?}"
            );
            match output {
                Output::ConnectSignal { .. } => {
                    let resume = !std::mem::take(&mut self.joins);
                    self.pending.push_front(PendingStep::Open { resume });
                }
                Output::CloseSignal => self.pending.clear(),
                Output::BindUdp => {
                    self.joins = true;
                    self.pending = VecDeque::from([PendingStep::Bind]);
                }
                Output::FindRoute { remote } => self.pending.push_back(PendingStep::Route(remote)),
                Output::OpenRelay { relay, .. } => self.pending.push_back(PendingStep::Relay(relay)),
                Output::ConnectTcp { remote } => self.pending.push_back(PendingStep::Tcp(remote)),
                Output::JoinFailed { .. } => self.pending = VecDeque::from([PendingStep::Retry]),
                Output::CommandDone { id, .. } | Output::CallDone { id, .. } => {
                    *self.answered.get_mut(&id).unwrap() += 1
                }
                Output::Closed { .. } => self.closed = true,
                Output::SendSignal(frame) => {
                    let request: proto::SignalRequest = decode(&frame, MAX_FRAME_LEN).unwrap();
                    if let Some(Request::AddTrack(request)) = request.message {
                        self.pending.push_back(PendingStep::Track(request.cid));
                    }
                }
                Output::MediaPath(_)
                | Output::SendRelay { .. }
                | Output::CloseRelay { .. }
                | Output::RelayFailed { .. }
                | Output::SendPacket { .. }
                | Output::UnknownMethod(_)
                | Output::Event(_)
                | Output::Stream(_)
                | Output::Requested(_)
                | Output::Frame { .. }
                | Output::LocalTrack { .. }
                | Output::KeyFrameRequested { .. }
                | Output::DataFrame { .. } => {}
            }
        }
        let later = self.room.poll_timeout().is_none_or(|(at, _)| at > self.now);
        assert!(later, "{:?} is due already", self.room.poll_timeout());
    }
}
