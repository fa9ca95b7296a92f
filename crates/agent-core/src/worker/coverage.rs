//! The states of a worker machine and its inputs, in kinds: what its model test has to bring together.
//!
//! A new variant of the machine's types is a compile error here. The state is that of the machine as it
//! concerns one job: an input about a job is counted for this job, any other one for all of them.

use agent_proto::livekit::{JobType, ServerMessage, server_message};
use agent_proto::{MAX_FRAME_LEN, decode_borrowed, kinds};

use super::Worker;
use super::entries::Link;
use super::io::{Input, LinkError, OfferId};
use super::room_end::RoomEnd;
use super::timers::{JobTimer, Timer};
use crate::answer::Answer;
use crate::job::JobId;
use crate::job::lifecycle::{JobState, Phase};
use crate::outcome::AttemptEnd;

kinds! {
    /// The connection to the server.
    pub(crate) enum LinkKind { Preparing, Connecting, Registering, Registered, Waiting, Stopped }
}

kinds! {
    /// Whether the machine accepts jobs.
    pub(crate) enum Intake { Open, Quiet, Draining, Both }
}

kinds! {
    /// What the machine has of a job.
    pub(crate) enum JobKind {
        Unknown,
        Offered,
        Accepted,
        Starting,
        Running,
        Cancelled,
        Aborting,
        Abandoned,
        /// The cleanup of an attempt that determines the outcome.
        CleaningUp,
        /// The cleanup of an attempt that may be retried.
        CleaningUpToRetry,
        BackingOff,
        /// The status of a stuck job was read.
        Stuck,
        /// It was not.
        StuckUnread,
        /// Ended, as the others below: its status waits for a connection.
        Unsent,
        /// Its status is sent once more.
        Settling,
        /// Its status was sent, and the server has not confirmed it.
        Unread,
    }
}

/// The machine as it concerns one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    link: LinkKind,
    intake: Intake,
    job: JobKind,
}

impl State {
    pub(crate) fn of(worker: &Worker, job: &JobId) -> Self {
        let link = match worker.link {
            Link::Preparing => LinkKind::Preparing,
            Link::Connecting => LinkKind::Connecting,
            Link::Registering => LinkKind::Registering,
            Link::Registered => LinkKind::Registered,
            Link::Waiting => LinkKind::Waiting,
            Link::Stopped => LinkKind::Stopped,
        };
        let intake = match (&worker.drain, worker.quiet) {
            (None, false) => Intake::Open,
            (None, true) => Intake::Quiet,
            (Some(_), false) => Intake::Draining,
            (Some(_), true) => Intake::Both,
        };
        Self { link, intake, job: JobKind::of(worker, job) }
    }

    /// All that are possible.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let links =
            LinkKind::ALL.iter().flat_map(|link| Intake::ALL.iter().map(move |intake| (*link, *intake)));
        let all = links
            .flat_map(|(link, intake)| JobKind::ALL.iter().map(move |job| Self { link, intake, job: *job }));
        all.filter(|state| state.is_possible())
    }

    /// The reasons why a combination does not exist. The test fails if it comes up nevertheless.
    fn is_possible(self) -> bool {
        // There are no jobs before the first connection, and nothing to wait for at the end.
        if self.link == LinkKind::Preparing {
            return self.job == JobKind::Unknown && matches!(self.intake, Intake::Open | Intake::Quiet);
        }
        // A drain goes further than quiet, and ends it.
        if self.intake == Intake::Both {
            return false;
        }
        let registered = self.link == LinkKind::Registered;
        match self.job {
            JobKind::Unknown => true,
            // A machine that stops ends all jobs.
            _ if self.link == LinkKind::Stopped => false,
            // A drain declines what is offered, and retries nothing; a cut ends the offer.
            JobKind::Offered => registered && self.intake == Intake::Open,
            JobKind::BackingOff => self.intake != Intake::Draining,
            // A cut frees the slot of a job that is not assigned.
            JobKind::Accepted => registered,
            // What was sent on a connection that is lost is sent once more on the next one, all at once.
            JobKind::Settling | JobKind::Unread => registered,
            JobKind::Unsent => !registered,
            JobKind::Starting
            | JobKind::Running
            | JobKind::Cancelled
            | JobKind::Aborting
            | JobKind::Abandoned
            | JobKind::CleaningUp
            | JobKind::CleaningUpToRetry
            | JobKind::Stuck
            | JobKind::StuckUnread => true,
        }
    }
}

/// What the machine waits for, as a driver and a server know it of earlier outputs.
pub(crate) struct Expected {
    /// The offer of the job.
    pub(crate) offer: OfferId,
    /// Its current attempt.
    pub(crate) attempt: u32,
    /// The last ping.
    pub(crate) ping: i64,
}

impl Expected {
    pub(crate) fn of(worker: &Worker, job: &JobId) -> Self {
        let entry = worker.jobs.get(job);
        Self {
            offer: entry.map_or(OfferId(0), |entry| entry.offer),
            attempt: entry.map_or(1, |entry| entry.state.attempt().max(1)),
            ping: worker.receipts.stamp,
        }
    }
}

impl JobKind {
    fn of(worker: &Worker, job: &JobId) -> Self {
        use super::entries::Step;
        let ended = worker.closing.get(job);
        let Some(entry) = worker.jobs.get(job) else {
            return match ended.map(|closing| closing.step) {
                None => Self::Unknown,
                Some(Step::Unsent) => Self::Unsent,
                Some(Step::Settling) => Self::Settling,
                Some(Step::Unread { .. }) => Self::Unread,
            };
        };
        match &entry.state {
            JobState::Offered => Self::Offered,
            JobState::Accepted => Self::Accepted,
            JobState::Assigned { phase, .. } => match phase {
                Phase::Starting => Self::Starting,
                Phase::Running => Self::Running,
                Phase::Cancelled { .. } => Self::Cancelled,
                Phase::Aborting { .. } => Self::Aborting,
                Phase::Abandoned { .. } => Self::Abandoned,
                Phase::Cleaning { end, reason: None } if end.is_retryable() => Self::CleaningUpToRetry,
                Phase::Cleaning { .. } => Self::CleaningUp,
                Phase::BackingOff { .. } => Self::BackingOff,
                Phase::Stuck if ended.is_some() => Self::StuckUnread,
                Phase::Stuck => Self::Stuck,
            },
        }
    }
}

kinds! {
    /// The inputs of the machine, with the messages in frames, and the passing of time.
    pub(crate) enum InputKind {
        Prepared,
        PreparedNot,
        Connected,
        ConnectFailed,
        ConnectRefused,
        ConnectRefusedForGood,
        Disconnected,
        Garbage,
        EmptyMessage,
        Registration,
        Offer,
        OfferOfUnknownKind,
        OfferOfNothing,
        Assignment,
        AssignmentOfUnknownKind,
        AssignmentOfNothing,
        Termination,
        GoAway,
        Pong,
        Text,
        Activity,
        Accepted,
        AcceptedUnnamed,
        Declined,
        Dismissed,
        RequestPanicked,
        HandlerStarted,
        EndedOk,
        EndedCancelled,
        EndedFatal,
        EndedRetryable,
        EndedWithoutRoom,
        EndedPanicked,
        EndedAborted,
        Cleaned,
        /// Of an attempt that there is not.
        CleanedOther,
        CancelRequested,
        RoomJoined,
        RoomReplaced,
        RoomLeft,
        RoomDuplicate,
        RoomRemoved,
        RoomDeleted,
        RoomClosed,
        RoomLost,
        PresenceChanged,
        Progressed,
        DescriptorsFound,
        OtherJobs,
        DescriptorsExhausted,
        LoadSampled,
        QuietRequested,
        UndrainRequested,
        DrainRequested,
        StopRequested,
        /// The time of the next timer, if there is one; otherwise some time later.
        Timeout,
        /// Called before the next timer is due.
        EarlyTimeout,
    }
}

impl InputKind {
    /// The kind of an input, and its job, if it is about one.
    pub(crate) fn of(input: &Input) -> (Self, Option<JobId>) {
        match input {
            Input::Prepared(Ok(())) => (Self::Prepared, None),
            Input::Prepared(Err(_)) => (Self::PreparedNot, None),
            Input::Connected => (Self::Connected, None),
            Input::ConnectFailed(LinkError::Failed { .. }) => (Self::ConnectFailed, None),
            Input::ConnectFailed(LinkError::Refused { status: 401, .. }) => {
                (Self::ConnectRefusedForGood, None)
            }
            Input::ConnectFailed(LinkError::Refused { .. }) => (Self::ConnectRefused, None),
            Input::Disconnected { .. } => (Self::Disconnected, None),
            Input::FrameReceived(frame) => match decode_borrowed::<ServerMessage>(frame, MAX_FRAME_LEN) {
                Err(_) => (Self::Garbage, None),
                Ok(message) => Self::of_message(message),
            },
            Input::TextReceived => (Self::Text, None),
            Input::Activity => (Self::Activity, None),
            Input::Answered { job, answer, .. } => (Self::of_answer(answer), Some(job.clone())),
            Input::RequestPanicked { job, .. } => (Self::RequestPanicked, Some(job.clone())),
            Input::HandlerStarted { job } => (Self::HandlerStarted, Some(job.clone())),
            Input::AttemptEnded { job, room_gone: true, .. } => (Self::EndedWithoutRoom, Some(job.clone())),
            Input::AttemptEnded { job, end, room_gone: false } => (Self::of_end(end), Some(job.clone())),
            Input::Cleaned { job, attempt: 0 } => (Self::CleanedOther, Some(job.clone())),
            Input::Cleaned { job, .. } => (Self::Cleaned, Some(job.clone())),
            Input::CancelRequested { job, .. } => (Self::CancelRequested, Some(job.clone())),
            Input::RoomJoined { job, .. } => (Self::RoomJoined, Some(job.clone())),
            Input::RoomReplaced { job } => (Self::RoomReplaced, Some(job.clone())),
            Input::RoomEnded { job, end } => (Self::of_room_end(*end), Some(job.clone())),
            Input::PresenceChanged { job, .. } => (Self::PresenceChanged, Some(job.clone())),
            Input::Progressed { job } => (Self::Progressed, Some(job.clone())),
            Input::DescriptorsFound(_) => (Self::DescriptorsFound, None),
            Input::OtherJobs { .. } => (Self::OtherJobs, None),
            Input::DescriptorsExhausted => (Self::DescriptorsExhausted, None),
            Input::LoadSampled(_) => (Self::LoadSampled, None),
            Input::QuietRequested => (Self::QuietRequested, None),
            Input::UndrainRequested => (Self::UndrainRequested, None),
            Input::DrainRequested { .. } => (Self::DrainRequested, None),
            Input::StopRequested => (Self::StopRequested, None),
        }
    }

    fn of_message(message: ServerMessage) -> (Self, Option<JobId>) {
        use server_message::Message;
        let known = |kind: i32| JobType::try_from(kind).is_ok();
        let id = |id: &str| Some(JobId::new(id));
        match message.message {
            None => (Self::EmptyMessage, None),
            Some(Message::Register(_)) => (Self::Registration, None),
            Some(Message::Availability(offer)) => match offer.job {
                None => (Self::OfferOfNothing, None),
                Some(job) if known(job.r#type) => (Self::Offer, id(&job.id)),
                Some(job) => (Self::OfferOfUnknownKind, id(&job.id)),
            },
            Some(Message::Assignment(assignment)) => match assignment.job {
                None => (Self::AssignmentOfNothing, None),
                Some(job) if known(job.r#type) => (Self::Assignment, id(&job.id)),
                Some(job) => (Self::AssignmentOfUnknownKind, id(&job.id)),
            },
            Some(Message::Termination(termination)) => (Self::Termination, id(&termination.job_id)),
            Some(Message::GoAway(_)) => (Self::GoAway, None),
            Some(Message::Pong(_)) => (Self::Pong, None),
        }
    }

    fn of_answer(answer: &Answer) -> Self {
        match answer {
            Answer::Accept(accept) if accept.identity.as_deref() == Some("") => Self::AcceptedUnnamed,
            Answer::Accept(_) => Self::Accepted,
            Answer::Decline => Self::Declined,
            Answer::Dismiss => Self::Dismissed,
        }
    }

    fn of_end(end: &AttemptEnd) -> Self {
        match end {
            AttemptEnd::Ok => Self::EndedOk,
            AttemptEnd::Cancelled => Self::EndedCancelled,
            AttemptEnd::Error { .. } if end.is_retryable() => Self::EndedRetryable,
            AttemptEnd::Error { .. } => Self::EndedFatal,
            AttemptEnd::Panicked(_) => Self::EndedPanicked,
            AttemptEnd::Aborted => Self::EndedAborted,
        }
    }

    fn of_room_end(end: RoomEnd) -> Self {
        match end {
            RoomEnd::Left => Self::RoomLeft,
            RoomEnd::DuplicateIdentity => Self::RoomDuplicate,
            RoomEnd::Removed => Self::RoomRemoved,
            RoomEnd::Deleted => Self::RoomDeleted,
            RoomEnd::Closed => Self::RoomClosed,
            RoomEnd::Lost => Self::RoomLost,
        }
    }
}

kinds! {
    /// The timers of the machine.
    pub(crate) enum TimerKind {
        Step, Deadline, Repeat, Empty, Stale, Prepare, Reconnect, Connect, Register, Ping, Receipt, Silence, Stable,
        Descriptors, DrainProgress, DrainLimit, DrainEnd,
    }
}

impl TimerKind {
    pub(crate) fn of(timer: &Timer) -> Self {
        match timer {
            Timer::Job(_, JobTimer::Step) => Self::Step,
            Timer::Job(_, JobTimer::Deadline) => Self::Deadline,
            Timer::Job(_, JobTimer::Repeat) => Self::Repeat,
            Timer::Job(_, JobTimer::Empty) => Self::Empty,
            Timer::Job(_, JobTimer::Stale) => Self::Stale,
            Timer::Prepare => Self::Prepare,
            Timer::Reconnect => Self::Reconnect,
            Timer::Connect => Self::Connect,
            Timer::Register => Self::Register,
            Timer::Ping => Self::Ping,
            Timer::Receipt => Self::Receipt,
            Timer::Silence => Self::Silence,
            Timer::Stable => Self::Stable,
            Timer::Descriptors => Self::Descriptors,
            Timer::DrainProgress => Self::DrainProgress,
            Timer::DrainLimit => Self::DrainLimit,
            Timer::DrainEnd => Self::DrainEnd,
        }
    }
}
