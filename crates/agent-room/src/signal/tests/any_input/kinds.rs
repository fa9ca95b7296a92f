//! The states of the machine and its inputs, in kinds. A new phase, step or message is a compile error here.

use agent_proto::{kinds, livekit as proto};

use crate::signal::Signal;
use crate::signal::phase::{Phase, Step};
use proto::leave_request::Action;
use proto::signal_response::Message as Response;

kinds! {
    pub(super) enum PhaseKind {
        Unbound,
        Connecting,
        Joining,
        Joined,
        JoinFailed,
        /// With media by now.
        JoinFailedReady,
        Connected,
        /// The steps of a recovery.
        WaitingToResume,
        Opening,
        Asking,
        Restarting,
        WaitingToRejoin,
        Binding,
        Reconnecting,
        Rejoining,
        Rejoined,
        Leaving,
        LeavingWithoutSignal,
        /// Given up before the first join, and in a rejoin; opened: the server may read a Leave.
        GivenUp,
        GivenUpOpened,
        GivenUpRejoin,
        GivenUpRejoinOpened,
        Closed,
    }
}

/// The phase, and whether the media connection is gone and its reason awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    phase: PhaseKind,
    media_gone: bool,
}

impl State {
    pub(super) fn of(signal: &Signal) -> Self {
        let phase = PhaseKind::of(&signal.phase);
        Self { phase, media_gone: signal.media_gone.is_some() && phase != PhaseKind::Closed }
    }

    /// All that are possible. The test fails if another one occurs.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let all = PhaseKind::ALL.iter().flat_map(|phase| [(*phase, false), (*phase, true)]);
        let all = all.map(|(phase, media_gone)| Self { phase, media_gone });
        all.filter(|state| !state.media_gone || state.phase.waits_for_media())
    }
}

impl PhaseKind {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Unbound => Self::Unbound,
            Phase::Connecting => Self::Connecting,
            Phase::Joining => Self::Joining,
            Phase::Joined { .. } => Self::Joined,
            Phase::JoinFailed { ready: false, .. } => Self::JoinFailed,
            Phase::JoinFailed { ready: true, .. } => Self::JoinFailedReady,
            Phase::Connected => Self::Connected,
            Phase::Recovering(recovery) => match recovery.step {
                Step::Waiting if recovery.new_session => Self::WaitingToRejoin,
                Step::Waiting => Self::WaitingToResume,
                Step::Opening => Self::Opening,
                Step::Asking => Self::Asking,
                Step::Restarting => Self::Restarting,
                Step::Binding => Self::Binding,
                Step::Connecting => Self::Reconnecting,
                Step::Joining => Self::Rejoining,
                Step::Joined => Self::Rejoined,
            },
            Phase::Leaving { signal: true, .. } => Self::Leaving,
            Phase::Leaving { signal: false, .. } => Self::LeavingWithoutSignal,
            Phase::GivenUp { opened: false, was_connected: false, .. } => Self::GivenUp,
            Phase::GivenUp { opened: true, was_connected: false, .. } => Self::GivenUpOpened,
            Phase::GivenUp { opened: false, was_connected: true, .. } => Self::GivenUpRejoin,
            Phase::GivenUp { opened: true, was_connected: true, .. } => Self::GivenUpRejoinOpened,
            Phase::Closed => Self::Closed,
        }
    }

    /// Whether the loss of the media connection is noted here, for a while.
    fn waits_for_media(self) -> bool {
        match self {
            Self::Unbound | Self::Connecting | Self::Joining | Self::Joined | Self::Connected => true,
            Self::Leaving | Self::LeavingWithoutSignal => true,
            // The user decides.
            Self::JoinFailed | Self::JoinFailedReady => false,
            // A recovery acts on it at once.
            Self::WaitingToResume
            | Self::Opening
            | Self::Asking
            | Self::Restarting
            | Self::WaitingToRejoin
            | Self::Binding
            | Self::Reconnecting
            | Self::Rejoining
            | Self::Rejoined => false,
            // Only the server's Join is awaited.
            Self::GivenUp | Self::GivenUpOpened | Self::GivenUpRejoin | Self::GivenUpRejoinOpened => false,
            Self::Closed => false,
        }
    }
}

kinds! {
    pub(super) enum InputKind {
        // Calls of the machine.
        Bound,
        NotBound,
        Opened,
        Unauthorized,
        ServerTooOld,
        Refused,
        RefusedForAWhile,
        Failed,
        SignalClosed,
        MediaReady,
        MediaRestarted,
        MediaGone,
        MediaSilent,
        NoPath,
        AnswerUnusable,
        Offer,
        OwnCandidate,
        Sync,
        Unconfirmed,
        Change,
        ChangeNothing,
        ChangeTooLarge,
        Leave,
        Flushed,
        RetryJoin,
        Subscribe,
        Unsubscribe,
        Enable,
        Pause,
        Read,
        StopReading,
        ResetSubscriptions,
        Request,
        OwnTrack,
        OwnTrackGone,
        OwnTrackMuted,
        // Frames.
        Garbage,
        TooLong,
        EmptyMessage,
        // Messages of the server.
        Join,
        JoinOfNobody,
        Answer,
        ServerOffer,
        Trickle,
        Update,
        Snapshot,
        TrackPublished,
        ServerLeave,
        LeaveAndResume,
        LeaveAndRejoin,
        Mute,
        SpeakersChanged,
        RoomUpdate,
        RoomUpdateOfNothing,
        ConnectionQuality,
        StreamState,
        SubscriptionPermission,
        RefreshToken,
        TrackUnpublished,
        OldPong,
        Reconnect,
        Pong,
        SubscriptionResponse,
        RequestResponse,
        RequestRefused,
        TrackSubscribed,
        RoomMoved,
        RoomMovedNowhere,
        MediaSections,
        DataTrackPublished,
        DataTrackUnpublished,
        DataTrackHandles,
        // Time: the next timer is due; or it is not.
        Timeout,
        EarlyTimeout,
    }
}

impl InputKind {
    pub(super) fn of_message(message: &Response) -> Self {
        match message {
            Response::Join(join) if join.participant.is_none() => Self::JoinOfNobody,
            Response::Join(_) => Self::Join,
            Response::Answer(_) => Self::Answer,
            Response::Offer(_) => Self::ServerOffer,
            Response::Trickle(_) => Self::Trickle,
            Response::Update(update) if update.full_snapshot => Self::Snapshot,
            Response::Update(_) => Self::Update,
            Response::TrackPublished(_) => Self::TrackPublished,
            Response::Leave(leave) => match leave.action() {
                Action::Disconnect => Self::ServerLeave,
                Action::Resume => Self::LeaveAndResume,
                Action::Reconnect => Self::LeaveAndRejoin,
            },
            Response::Mute(_) => Self::Mute,
            Response::SpeakersChanged(_) => Self::SpeakersChanged,
            Response::RoomUpdate(update) if update.room.is_none() => Self::RoomUpdateOfNothing,
            Response::RoomUpdate(_) => Self::RoomUpdate,
            Response::ConnectionQuality(_) => Self::ConnectionQuality,
            Response::StreamStateUpdate(_) => Self::StreamState,
            Response::SubscriptionPermissionUpdate(_) => Self::SubscriptionPermission,
            Response::RefreshToken(_) => Self::RefreshToken,
            Response::TrackUnpublished(_) => Self::TrackUnpublished,
            Response::Pong(_) => Self::OldPong,
            Response::Reconnect(_) => Self::Reconnect,
            Response::PongResp(_) => Self::Pong,
            Response::SubscriptionResponse(_) => Self::SubscriptionResponse,
            Response::RequestResponse(response) if response.request.is_some() => Self::RequestRefused,
            Response::RequestResponse(_) => Self::RequestResponse,
            Response::TrackSubscribed(_) => Self::TrackSubscribed,
            Response::RoomMoved(moved) if moved.room.is_none() => Self::RoomMovedNowhere,
            Response::RoomMoved(_) => Self::RoomMoved,
            Response::MediaSectionsRequirement(_) => Self::MediaSections,
            Response::PublishDataTrackResponse(_) => Self::DataTrackPublished,
            Response::UnpublishDataTrackResponse(_) => Self::DataTrackUnpublished,
            Response::DataTrackSubscriberHandles(_) => Self::DataTrackHandles,
        }
    }
}
