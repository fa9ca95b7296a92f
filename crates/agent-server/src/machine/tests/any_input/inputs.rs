//! Makes an input of each kind; a number chooses what it is about, and its content.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message;
use agent_room::{
    AudioTrackOptions, AutoSubscribe, CommandId, DataTrackFrame, DisconnectReason, E2eeKey, KeyDerivation,
    Permissions, Publish, RoomCommand, RpcCall, RpcError, RpcRequestId, Speaker, StreamKind, StreamOptions,
    SubscriptionChange, TrackKind, TrackSource,
};

use super::kinds::InputKind;
use crate::machine::{
    Change, ChangeParticipant, CloseRoom, CreateDispatch, DeleteDispatch, Grant, Input, Join, MemberCommand,
    MemberId, MuteTrack, OpenRoom, PublishTrack, RemoveParticipant, Request, SendData, Server,
    SetRoomMetadata, UnpublishTrack, WorkerId,
};

/// A kind of job that this version does not know.
const UNKNOWN_KIND: i32 = 77;
/// What nothing has.
pub(super) const NO_ID: u64 = 0;

/// What there was so far, of which an input may be about any, the newest first.
#[derive(Default)]
pub(super) struct Known {
    pub(super) workers: Vec<WorkerId>,
    pub(super) members: Vec<MemberId>,
    pub(super) jobs: Vec<String>,
    /// The commands that opened streams, published tracks and data tracks, and subscribed to one.
    pub(super) opened: Vec<CommandId>,
    pub(super) requests: Vec<RpcRequestId>,
    /// The last id of a worker, a member, a command or a request.
    pub(super) last_id: u64,
}

/// A few bits of a number, from the lowest up.
pub(super) struct Bits(pub(super) u64);

impl Bits {
    /// A number below this one.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let bits = self.0 % limit;
        self.0 /= limit;
        bits
    }

    fn is(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of the last four, or none.
    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let last = of.len().min(4);
        let back = self.below(last as u64 + 1) as usize;
        of.iter().rev().take(last).nth(back).cloned()
    }
}

pub(super) fn room_name(number: u64) -> String {
    format!("room-{number}")
}

fn who(number: u64) -> String {
    format!("who-{number}")
}

fn agent_name(number: u64) -> String {
    if number == 0 { String::new() } else { format!("agent-{number}") }
}

/// An input of this kind; `None` for time.
pub(super) fn input(kind: InputKind, number: u64, known: &mut Known, server: &Server) -> Option<Input> {
    use InputKind as K;
    known.last_id += 1;
    let (new, bits) = (known.last_id, &mut Bits(number));
    let worker = bits.pick(&known.workers).unwrap_or(NO_ID);
    let member = bits.pick(&known.members).unwrap_or(NO_ID);
    let job = bits.pick(&known.jobs).unwrap_or_else(|| "AJ_none".to_owned());
    let room = room_name(bits.below(3));
    let worker_message = |message| {
        let message = Box::new(wire::WorkerMessage { message });
        Some(Input::WorkerMessage { worker, message })
    };
    let answers = |job_id, available, terminate, identity| {
        worker_message(Some(Message::Availability(wire::AvailabilityResponse {
            job_id,
            available,
            terminate,
            participant_identity: who(identity),
            ..Default::default()
        })))
    };
    let reports = |job_id, status: wire::JobStatus| {
        let error = if status == wire::JobStatus::JsFailed { "text" } else { "" }.to_owned();
        worker_message(Some(Message::UpdateJob(wire::UpdateJobStatus {
            job_id,
            status: status.into(),
            error,
            ..Default::default()
        })))
    };
    let updates = |status: wire::WorkerStatus, load| {
        worker_message(Some(Message::UpdateWorker(wire::UpdateWorkerStatus {
            status: Some(status.into()),
            load,
            ..Default::default()
        })))
    };
    match kind {
        K::WorkerConnected => {
            let worker = if bits.below(8) == 0 && worker != NO_ID { worker } else { new };
            known.workers.extend((worker == new).then_some(new));
            Some(Input::WorkerConnected { worker })
        }
        K::WorkerGone => Some(Input::WorkerGone { worker }),
        K::Garbage => Some(Input::WorkerGarbage { worker, problem: "garbage".to_owned() }),
        K::EmptyMessage => worker_message(None),
        K::Register | K::RegisterUnknownKind => {
            // Mostly for rooms, so that most jobs have a worker.
            let job_type = [0, 0, 0, 0, 1, 2][bits.below(6) as usize];
            let job_type = if kind == K::Register { job_type } else { UNKNOWN_KIND };
            worker_message(Some(Message::Register(wire::RegisterWorkerRequest {
                agent_name: agent_name(bits.below(4).min(1)),
                r#type: job_type,
                ..Default::default()
            })))
        }
        K::Accept => answers(job, true, false, bits.below(4)),
        K::Decline => answers(job, false, false, 0),
        K::Dismiss => answers(job, false, true, 0),
        K::Running => reports(job, wire::JobStatus::JsRunning),
        K::Success => reports(job, wire::JobStatus::JsSuccess),
        K::Failure => reports(job, wire::JobStatus::JsFailed),
        K::Available => {
            updates(wire::WorkerStatus::WsAvailable, [0.0, 0.5, 1.0, f32::NAN][bits.below(4) as usize])
        }
        K::Full => updates(wire::WorkerStatus::WsFull, 0.2),
        K::Ping => worker_message(Some(Message::Ping(wire::WorkerPing { timestamp: 7 }))),
        K::Simulate | K::SimulateNowhere => {
            worker_message(Some(Message::SimulateJob(wire::SimulateJobRequest {
                room: (kind == K::Simulate).then(|| wire::Room { name: room, ..Default::default() }),
                participant: bits.is().then(wire::ParticipantInfo::default),
                ..Default::default()
            })))
        }
        K::Migrate => worker_message(Some(Message::MigrateJob(wire::MigrateJobRequest {
            job_ids: vec![job],
            jobs: Vec::new(),
        }))),
        K::MemberLeft => Some(Input::MemberLeft { member, reason: DisconnectReason::ClientInitiated }),
        K::MemberLost => Some(Input::MemberLeft { member, reason: DisconnectReason::SignalClosed }),
        K::SpeakersChanged => Some(Input::SpeakersChanged { room, speakers: vec![Speaker::new("ada", 0.5)] }),
        K::Called => {
            let mut call = RpcCall::new(new.to_string(), who(bits.below(4)), "method", "payload");
            call.response_timeout = Duration::from_millis(bits.below(3) * 4_000);
            Some(Input::Called { member, id: new, call })
        }
        K::Timeout | K::EarlyTimeout => None,
        _ => {
            let request = match request(kind, bits, (room.clone(), member, job), new, known, server) {
                Some(request) => request,
                None => {
                    let command = command(kind, bits, &room, member, known, server)?;
                    MemberCommand { member, id: new, command }.into()
                }
            };
            Some(Input::Requested { id: new, request })
        }
    }
}

/// The sid of a track of somebody in the room, and its publisher.
fn track(bits: &mut Bits, room: &str, server: &Server) -> (String, String) {
    let there = server.participants(room).unwrap_or_default();
    let tracks: Vec<(String, String)> = there
        .iter()
        .flat_map(|who| who.tracks.keys().map(|sid| (who.identity.clone(), sid.clone())))
        .collect();
    bits.pick(&tracks).unwrap_or_else(|| (who(1), "TR_none".to_owned()))
}

/// What a participant may do, besides being hidden.
fn permissions(bits: &mut Bits) -> Permissions {
    let mut permissions = Permissions::default();
    permissions.can_publish_data = bits.below(4) > 0;
    permissions.can_publish = true;
    permissions.can_subscribe = bits.below(4) > 0;
    permissions.can_update_metadata = bits.is();
    permissions
}

fn request(
    kind: InputKind,
    bits: &mut Bits,
    (room, member, job): (String, MemberId, String),
    new: u64,
    known: &mut Known,
    server: &Server,
) -> Option<Request> {
    use InputKind as K;
    Some(match kind {
        K::Join | K::JoinOfNobody => {
            let identity = if kind == K::Join { who(bits.below(4)) } else { String::new() };
            let mut grant = Grant { room, identity, agent: bits.below(3) == 0, ..Grant::default() };
            grant.permissions = permissions(bits);
            grant.permissions.hidden = bits.below(6) == 0;
            let again = bits.below(if kind == K::Join { 8 } else { 2 }) == 0 && member != NO_ID;
            let member = if again { member } else { new };
            known.members.extend((member == new && kind == K::Join).then_some(new));
            let auto_subscribe = if bits.below(4) == 0 { AutoSubscribe::None } else { AutoSubscribe::All };
            Join { auto_subscribe, ..Join::new(member, grant) }.into()
        }
        K::OpenRoom => {
            let agents = (0..bits.below(3)).map(|agent| (agent_name(agent), String::new())).collect();
            let empty_timeout = bits.is().then(|| Duration::from_secs(30));
            OpenRoom { name: room, agents, empty_timeout, ..OpenRoom::default() }.into()
        }
        K::CloseRoom => CloseRoom { room, reason: DisconnectReason::RoomDeleted }.into(),
        K::SetRoomMetadata => SetRoomMetadata { room, metadata: "metadata".to_owned() }.into(),
        K::CreateDispatch | K::CreateDispatchOfJob => {
            let agent_name = agent_name(bits.below(4).min(1));
            let request = wire::CreateAgentDispatchRequest { agent_name, room, ..Default::default() };
            let job_id = (kind == K::CreateDispatchOfJob).then_some(job);
            CreateDispatch { request, job_id, ..CreateDispatch::default() }.into()
        }
        K::DeleteDispatch => {
            let rooms = (0..3).map(room_name);
            let all: Vec<(String, String)> = rooms
                .flat_map(|room| {
                    server.list_dispatches(&room).into_iter().map(move |of| (room.clone(), of.id))
                })
                .collect();
            let (room, id) = bits.pick(&all).unwrap_or_else(|| (room, "AD_none".to_owned()));
            DeleteDispatch { room, id }.into()
        }
        K::RemoveParticipant => {
            RemoveParticipant { room, identity: who(bits.below(4)), reason: DisconnectReason::Removed }.into()
        }
        K::ChangeParticipant => {
            let identity = who(bits.below(4));
            // Who is hidden stays so: the server does not announce later who was hidden at first.
            let there = server.participants(&room).unwrap_or_default();
            let hidden = there.iter().any(|who| who.identity == identity && who.permissions.hidden);
            let permissions = bits.is().then(|| {
                let mut permissions = permissions(bits);
                permissions.hidden = hidden;
                permissions
            });
            let change = Change {
                name: bits.is().then(|| "name".to_owned()),
                metadata: bits.is().then(|| "metadata".to_owned()),
                permissions,
                ..Change::default()
            };
            ChangeParticipant { room, identity, change }.into()
        }
        K::PublishTrack => {
            let (identity, name, source) = (who(bits.below(4)), String::new(), TrackSource::Microphone);
            let kind = [TrackKind::Audio, TrackKind::Video, TrackKind::Data][bits.below(3) as usize];
            PublishTrack { room, identity, name, kind, source }.into()
        }
        K::UnpublishTrack => {
            let (identity, sid) = track(bits, &room, server);
            UnpublishTrack { room, identity, sid }.into()
        }
        K::MuteTrack => {
            let (identity, sid) = track(bits, &room, server);
            MuteTrack { room, identity, sid, muted: bits.is() }.into()
        }
        K::SendData => SendData { room, message: Publish::new("topic", "payload") }.into(),
        _ => return None,
    })
}

fn command(
    kind: InputKind,
    bits: &mut Bits,
    room: &str,
    member: MemberId,
    known: &mut Known,
    server: &Server,
) -> Option<RoomCommand> {
    use InputKind as K;
    // A command of this member, or of another one.
    let own = bits.pick(&known.opened).unwrap_or_default();
    let stream = |bits: &mut Bits| {
        let mut options = StreamOptions::new(known.last_id.to_string(), "topic", StreamKind::text());
        options.destinations.extend(bits.is().then(|| who(bits.below(4))));
        Box::new(options)
    };
    let content = |bits: &mut Bits| "c".repeat(bits.below(3) as usize * 10_000).into();
    let opens = matches!(
        kind,
        K::CommandOpenStream
            | K::CommandPublishTrack
            | K::CommandPublishDataTrack
            | K::CommandSubscribeDataTrack
    );
    known.opened.extend(opens.then_some(known.last_id));
    let room = server.members.get(&member).map_or(room, String::as_str);
    Some(match kind {
        K::CommandPublish => RoomCommand::Publish(Publish::new("topic", "payload")),
        K::CommandSendStream => RoomCommand::SendStream { options: stream(bits), content: content(bits) },
        K::CommandOpenStream => RoomCommand::OpenStream(stream(bits)),
        K::CommandWriteStream => RoomCommand::WriteStream { stream: own, content: content(bits) },
        K::CommandCloseStream => {
            RoomCommand::CloseStream { stream: own, reason: String::new(), attributes: BTreeMap::new() }
        }
        K::CommandRegisterMethod => RoomCommand::RegisterMethod("method".to_owned()),
        K::CommandUnregisterMethod => RoomCommand::UnregisterMethod("method".to_owned()),
        K::CommandRespond => {
            let request = bits.pick(&known.requests).unwrap_or(RpcRequestId(NO_ID));
            let result = if bits.is() { Ok("yes".to_owned()) } else { Err(RpcError::new(7, "no", "")) };
            RoomCommand::Respond { request, result }
        }
        K::CommandSendDtmf => RoomCommand::SendDtmf { digit: '5', destinations: Vec::new() },
        K::CommandPublishDataTrack => {
            RoomCommand::PublishDataTrack { name: format!("data-{}", bits.below(2)) }
        }
        K::CommandPushDataFrame => {
            RoomCommand::PushDataFrame { track: own, frame: DataTrackFrame::new("frame") }
        }
        K::CommandUnpublishDataTrack => RoomCommand::UnpublishDataTrack { track: own },
        K::CommandSubscribeDataTrack => {
            let there = server.participants(room).unwrap_or_default();
            let all: Vec<String> = there.iter().flat_map(|who| who.data_tracks.keys().cloned()).collect();
            let sid = bits.pick(&all).unwrap_or_else(|| "DTR_none".to_owned());
            RoomCommand::SubscribeDataTrack { sid }
        }
        K::CommandUnsubscribeDataTrack => RoomCommand::UnsubscribeDataTrack { subscription: own },
        K::CommandPublishTrack => RoomCommand::PublishTrack { options: AudioTrackOptions::default().into() },
        K::CommandUnpublishTrack => RoomCommand::UnpublishTrack { track: own },
        K::CommandMuteTrack => RoomCommand::MuteTrack { track: own, muted: bits.is() },
        K::CommandChangeSubscription => {
            let (_, track_sid) = track(bits, room, server);
            let change = match bits.below(6) {
                0 => SubscriptionChange::Subscribe(true),
                1 => SubscriptionChange::Subscribe(false),
                2 => SubscriptionChange::Enable(true),
                3 => SubscriptionChange::Enable(false),
                4 => SubscriptionChange::Read(1),
                _ => SubscriptionChange::StopReading(1),
            };
            RoomCommand::ChangeSubscription { track_sid, change }
        }
        K::CommandRequestKeyFrame => {
            let (_, track_sid) = track(bits, room, server);
            RoomCommand::RequestKeyFrame { track_sid }
        }
        K::CommandSetE2eeKey => {
            let key = E2eeKey::derive("secret", KeyDerivation::Hkdf, "");
            RoomCommand::SetE2eeKey { participant: None, index: 0, key }
        }
        K::CommandUseE2eeKey => RoomCommand::UseE2eeKey { index: 0 },
        K::CommandRatchetE2eeKey => RoomCommand::RatchetE2eeKey { index: 0 },
        K::CommandResetSubscriptions => RoomCommand::ResetSubscriptions { before: known.last_id },
        K::CommandSetMetadata => RoomCommand::SetMetadata("metadata".to_owned()),
        K::CommandSetName => RoomCommand::SetName("name".to_owned()),
        K::CommandSetAttributes => {
            RoomCommand::SetAttributes(BTreeMap::from([("k".to_owned(), "v".to_owned())]))
        }
        K::CommandLeave => RoomCommand::Leave,
        _ => return None,
    })
}
