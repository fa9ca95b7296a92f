//! What the machine knows of a worker, a job, a member and a room, and its inputs, in kinds. A new variant is
//! a compile error here.

use agent_proto::kinds;
use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message;
use agent_room::RoomCommand;

use crate::machine::entries::{JobEntry, Phase, WorkerEntry};
use crate::machine::{Input, MemberId, Request, Server, WorkerId};

kinds! {
    pub(super) enum WorkerKind { Unknown, Connected, Available, Full }
}

kinds! {
    /// Undispatched: its dispatch is deleted, and it ends once that is possible.
    pub(super) enum JobKind {
        Unknown,
        Waiting,
        WaitingUndispatched,
        Asked,
        AskedUndispatched,
        /// Assigned, and the server has not recorded that yet.
        Unrecorded,
        UnrecordedUndispatched,
        /// Recorded, and its room does not know of it yet.
        UnknownToRoom,
        UnknownToRoomUndispatched,
        Assigned,
        Forgotten,
        Ended,
        EndedByServer,
        Unserved,
    }
}

kinds! {
    /// A member is of several of these kinds.
    pub(super) enum MemberKind {
        Unknown,
        Person,
        Agent,
        Hidden,
        WritesStream,
        ReceivesStream,
        PublishesTrack,
        PublishesData,
        ReceivesData,
        Calls,
        IsCalled,
    }
}

kinds! {
    pub(super) enum RoomKind { Closed, Empty, Agents, People }
}

kinds! {
    /// Whether the worker of a message is that of the job.
    pub(super) enum Whose { Own, Another }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Worker(WorkerKind),
    Job(JobKind, Whose),
    Member(MemberKind),
    Room(RoomKind),
}

impl State {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let workers = WorkerKind::ALL.iter().copied().map(Self::Worker);
        let jobs = JobKind::ALL.iter().flat_map(|kind| [(*kind, Whose::Own), (*kind, Whose::Another)]);
        // One without a worker is nobody else's.
        let jobs = jobs.filter(|(kind, whose)| *whose == Whose::Own || kind.has_worker());
        let jobs = jobs.map(|(kind, whose)| Self::Job(kind, whose));
        let members = MemberKind::ALL.iter().copied().map(Self::Member);
        workers.chain(jobs).chain(members).chain(RoomKind::ALL.iter().copied().map(Self::Room))
    }
}

pub(super) fn of_worker(server: &Server, worker: WorkerId) -> State {
    State::Worker(match server.workers.get(&worker) {
        None => WorkerKind::Unknown,
        Some(WorkerEntry { registration: None, .. }) => WorkerKind::Connected,
        Some(WorkerEntry { full: true, .. }) => WorkerKind::Full,
        Some(_) => WorkerKind::Available,
    })
}

impl JobKind {
    const fn has_worker(self) -> bool {
        match self {
            Self::Unknown | Self::Waiting | Self::WaitingUndispatched | Self::Forgotten | Self::Unserved => {
                false
            }
            Self::Asked
            | Self::AskedUndispatched
            | Self::Unrecorded
            | Self::UnrecordedUndispatched
            | Self::UnknownToRoom
            | Self::UnknownToRoomUndispatched
            | Self::Assigned
            | Self::Ended
            | Self::EndedByServer => true,
        }
    }

    /// The kind, and its worker if it has one.
    fn of(entry: &JobEntry) -> (Self, Option<WorkerId>) {
        let JobEntry { phase, room_knows, undispatched, .. } = entry;
        let either = |kind, of_undispatched| if *undispatched { of_undispatched } else { kind };
        match phase {
            Phase::Waiting => (either(Self::Waiting, Self::WaitingUndispatched), None),
            Phase::Asked(worker) => (either(Self::Asked, Self::AskedUndispatched), Some(*worker)),
            Phase::Assigned { known: false, worker } => {
                (either(Self::Unrecorded, Self::UnrecordedUndispatched), Some(*worker))
            }
            Phase::Assigned { known: true, worker } if *room_knows => (Self::Assigned, Some(*worker)),
            Phase::Assigned { known: true, worker } => {
                (either(Self::UnknownToRoom, Self::UnknownToRoomUndispatched), Some(*worker))
            }
            Phase::Forgotten => (Self::Forgotten, None),
            Phase::Ended { by_server: false, worker, .. } => (Self::Ended, Some(*worker)),
            Phase::Ended { by_server: true, worker, .. } => (Self::EndedByServer, Some(*worker)),
            Phase::Unserved => (Self::Unserved, None),
        }
    }
}

/// `from`: the worker that an input comes from; without one it concerns the jobs of any.
pub(super) fn of_job(server: &Server, job: &str, from: Option<WorkerId>) -> Vec<State> {
    let entry = server.jobs.get(job);
    let (kind, worker) = entry.map_or((JobKind::Unknown, None), |entry| JobKind::of(entry));
    let own = worker.is_none_or(|worker| from.is_none_or(|from| from == worker));
    let another = worker.is_some_and(|worker| from.is_none_or(|from| from != worker));
    let whose = [(own, Whose::Own), (another, Whose::Another)];
    whose.into_iter().filter(|(is, _)| *is).map(|(_, whose)| State::Job(kind, whose)).collect()
}

pub(super) fn of_member(server: &Server, member: MemberId) -> Vec<State> {
    let Some((_, me)) = server.member(member) else { return vec![State::Member(MemberKind::Unknown)] };
    let person = match me.kind {
        agent_room::ParticipantKind::Agent => MemberKind::Agent,
        _ => MemberKind::Person,
    };
    let receives =
        |stream: &crate::machine::OpenStream| stream.recipients.iter().any(|(to, _)| *to == member);
    let aspects = [
        (true, person),
        (me.permissions.hidden, MemberKind::Hidden),
        (server.streams.keys().any(|(of, _)| *of == member), MemberKind::WritesStream),
        (server.streams.values().any(receives), MemberKind::ReceivesStream),
        (server.own_tracks.tracks.keys().any(|(of, _)| *of == member), MemberKind::PublishesTrack),
        (server.data_tracks.published.keys().any(|(of, _)| *of == member), MemberKind::PublishesData),
        (server.data_tracks.subscribed.keys().any(|(of, _)| *of == member), MemberKind::ReceivesData),
        (server.calls.values().any(|call| call.caller.0 == member), MemberKind::Calls),
        (server.calls.values().any(|call| call.callee == Some(member)), MemberKind::IsCalled),
    ];
    aspects.into_iter().filter(|(is, _)| *is).map(|(_, kind)| State::Member(kind)).collect()
}

pub(super) fn of_room(server: &Server, room: &str) -> State {
    State::Room(match server.rooms.get(room) {
        None => RoomKind::Closed,
        Some(room) if room.members.is_empty() => RoomKind::Empty,
        Some(room) if room.people() == 0 => RoomKind::Agents,
        Some(_) => RoomKind::People,
    })
}

kinds! {
    pub(in crate::machine::tests) enum InputKind {
        WorkerConnected,
        WorkerGone,
        Garbage,
        // Messages of workers.
        EmptyMessage,
        Register,
        RegisterUnknownKind,
        Accept,
        Decline,
        Dismiss,
        Running,
        Success,
        Failure,
        Available,
        Full,
        Ping,
        Simulate,
        SimulateNowhere,
        Migrate,
        // What drivers report of members.
        MemberLeft,
        MemberLost,
        SpeakersChanged,
        Called,
        // Requests.
        Join,
        JoinOfNobody,
        OpenRoom,
        CloseRoom,
        SetRoomMetadata,
        CreateDispatch,
        CreateDispatchOfJob,
        DeleteDispatch,
        RemoveParticipant,
        ChangeParticipant,
        PublishTrack,
        UnpublishTrack,
        MuteTrack,
        SendData,
        // Commands of members.
        CommandPublish,
        CommandSendStream,
        CommandOpenStream,
        CommandWriteStream,
        CommandCloseStream,
        CommandRegisterMethod,
        CommandUnregisterMethod,
        CommandRespond,
        CommandSendDtmf,
        CommandPublishDataTrack,
        CommandPushDataFrame,
        CommandUnpublishDataTrack,
        CommandSubscribeDataTrack,
        CommandUnsubscribeDataTrack,
        CommandPublishTrack,
        CommandUnpublishTrack,
        CommandMuteTrack,
        CommandChangeSubscription,
        CommandRequestKeyFrame,
        CommandSetE2eeKey,
        CommandUseE2eeKey,
        CommandRatchetE2eeKey,
        CommandResetSubscriptions,
        CommandSetMetadata,
        CommandSetName,
        CommandSetAttributes,
        CommandLeave,
        // Time: the next timer is due; or it is not.
        Timeout,
        EarlyTimeout,
    }
}

/// What an input is about. It concerns all others of a kind of which it names none.
#[derive(Default)]
pub(super) struct About {
    pub(super) worker: Option<WorkerId>,
    pub(super) job: Option<String>,
    pub(super) member: Option<MemberId>,
    pub(super) room: Option<String>,
}

impl About {
    fn worker(worker: WorkerId) -> Self {
        Self { worker: Some(worker), ..Self::default() }
    }

    fn member(member: MemberId) -> Self {
        Self { member: Some(member), ..Self::default() }
    }

    fn room(room: &str) -> Self {
        Self { room: Some(room.to_owned()), ..Self::default() }
    }
}

impl InputKind {
    pub(super) fn of(input: &Input) -> (Self, About) {
        match input {
            Input::WorkerConnected { worker } => (Self::WorkerConnected, About::worker(*worker)),
            Input::WorkerGone { worker } => (Self::WorkerGone, About::worker(*worker)),
            Input::WorkerGarbage { worker, .. } => (Self::Garbage, About::worker(*worker)),
            Input::WorkerMessage { worker, message } => {
                let (kind, job) = Self::of_message(message);
                (kind, About { job, ..About::worker(*worker) })
            }
            Input::MemberLeft { member, reason: agent_room::DisconnectReason::ClientInitiated } => {
                (Self::MemberLeft, About::member(*member))
            }
            Input::MemberLeft { member, .. } => (Self::MemberLost, About::member(*member)),
            Input::SpeakersChanged { room, .. } => (Self::SpeakersChanged, About::room(room)),
            Input::Called { member, .. } => (Self::Called, About::member(*member)),
            Input::Requested { request, .. } => Self::of_request(request),
        }
    }

    fn of_message(message: &wire::WorkerMessage) -> (Self, Option<String>) {
        match &message.message {
            None => (Self::EmptyMessage, None),
            Some(Message::Register(request)) => match wire::JobType::try_from(request.r#type) {
                Ok(_) => (Self::Register, None),
                Err(_) => (Self::RegisterUnknownKind, None),
            },
            Some(Message::Availability(answer)) => {
                let job = Some(answer.job_id.clone());
                match (answer.available, answer.terminate) {
                    (_, true) => (Self::Dismiss, job),
                    (true, false) => (Self::Accept, job),
                    (false, false) => (Self::Decline, job),
                }
            }
            Some(Message::UpdateJob(update)) => {
                let job = Some(update.job_id.clone());
                match update.status() {
                    wire::JobStatus::JsPending | wire::JobStatus::JsRunning => (Self::Running, job),
                    wire::JobStatus::JsSuccess => (Self::Success, job),
                    wire::JobStatus::JsFailed => (Self::Failure, job),
                }
            }
            Some(Message::UpdateWorker(update)) => match update.status() {
                wire::WorkerStatus::WsAvailable => (Self::Available, None),
                wire::WorkerStatus::WsFull => (Self::Full, None),
            },
            Some(Message::Ping(_)) => (Self::Ping, None),
            Some(Message::SimulateJob(request)) if request.room.is_none() => (Self::SimulateNowhere, None),
            Some(Message::SimulateJob(_)) => (Self::Simulate, None),
            Some(Message::MigrateJob(_)) => (Self::Migrate, None),
        }
    }

    fn of_request(request: &Request) -> (Self, About) {
        match request {
            Request::Join(join) => {
                let about = About { member: Some(join.member), ..About::room(&join.grant.room) };
                (if join.grant.identity.is_empty() { Self::JoinOfNobody } else { Self::Join }, about)
            }
            Request::MemberCommand(request) => {
                (Self::of_command(&request.command), About::member(request.member))
            }
            Request::OpenRoom(request) => (Self::OpenRoom, About::room(&request.name)),
            Request::CloseRoom(request) => (Self::CloseRoom, About::room(&request.room)),
            Request::SetRoomMetadata(request) => (Self::SetRoomMetadata, About::room(&request.room)),
            Request::CreateDispatch(request) => {
                let about = About { job: request.job_id.clone(), ..About::room(&request.request.room) };
                (if about.job.is_some() { Self::CreateDispatchOfJob } else { Self::CreateDispatch }, about)
            }
            Request::DeleteDispatch(request) => (Self::DeleteDispatch, About::room(&request.room)),
            Request::RemoveParticipant(request) => (Self::RemoveParticipant, About::room(&request.room)),
            Request::ChangeParticipant(request) => (Self::ChangeParticipant, About::room(&request.room)),
            Request::PublishTrack(request) => (Self::PublishTrack, About::room(&request.room)),
            Request::UnpublishTrack(request) => (Self::UnpublishTrack, About::room(&request.room)),
            Request::MuteTrack(request) => (Self::MuteTrack, About::room(&request.room)),
            Request::SendData(request) => (Self::SendData, About::room(&request.room)),
        }
    }

    fn of_command(command: &RoomCommand) -> Self {
        match command {
            RoomCommand::Publish(_) => Self::CommandPublish,
            RoomCommand::SendStream { .. } => Self::CommandSendStream,
            RoomCommand::OpenStream(_) => Self::CommandOpenStream,
            RoomCommand::WriteStream { .. } => Self::CommandWriteStream,
            RoomCommand::CloseStream { .. } => Self::CommandCloseStream,
            RoomCommand::RegisterMethod(_) => Self::CommandRegisterMethod,
            RoomCommand::UnregisterMethod(_) => Self::CommandUnregisterMethod,
            RoomCommand::Respond { .. } => Self::CommandRespond,
            RoomCommand::SendDtmf { .. } => Self::CommandSendDtmf,
            RoomCommand::PublishDataTrack { .. } => Self::CommandPublishDataTrack,
            RoomCommand::PushDataFrame { .. } => Self::CommandPushDataFrame,
            RoomCommand::UnpublishDataTrack { .. } => Self::CommandUnpublishDataTrack,
            RoomCommand::SubscribeDataTrack { .. } => Self::CommandSubscribeDataTrack,
            RoomCommand::UnsubscribeDataTrack { .. } => Self::CommandUnsubscribeDataTrack,
            RoomCommand::PublishTrack { .. } => Self::CommandPublishTrack,
            RoomCommand::UnpublishTrack { .. } => Self::CommandUnpublishTrack,
            RoomCommand::MuteTrack { .. } => Self::CommandMuteTrack,
            RoomCommand::ChangeSubscription { .. } => Self::CommandChangeSubscription,
            RoomCommand::RequestKeyFrame { .. } => Self::CommandRequestKeyFrame,
            RoomCommand::SetE2eeKey { .. } => Self::CommandSetE2eeKey,
            RoomCommand::UseE2eeKey { .. } => Self::CommandUseE2eeKey,
            RoomCommand::RatchetE2eeKey { .. } => Self::CommandRatchetE2eeKey,
            RoomCommand::ResetSubscriptions { .. } => Self::CommandResetSubscriptions,
            RoomCommand::SetMetadata(_) => Self::CommandSetMetadata,
            RoomCommand::SetName(_) => Self::CommandSetName,
            RoomCommand::SetAttributes(_) => Self::CommandSetAttributes,
            RoomCommand::Leave => Self::CommandLeave,
        }
    }
}
