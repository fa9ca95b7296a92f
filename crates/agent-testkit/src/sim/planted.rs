//! Planted bugs: each changes the inputs or outputs of a machine, in a build of the tests only, and has to be
//! found.
//!
//! They are planted around the machines, so that the product has no switch for them. Most need a rare
//! combination to show.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;

use agent_core::{
    Answer, AttemptEnd, Backoff, Config, DeclineReason, ElectionOutput, GivenAnswer, Input, Job, JobId,
    JobKind, JobLabels, LinkError, Notice, Output, SlotCounts, Worker,
};
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::{MAX_FRAME_LEN, Time, decode, encode};
use agent_room::Inbox;

use super::check::Check;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// An answer that comes too late is sent as well.
    AnswersTwice,
    /// A request handler that does not answer has 5 s.
    PatientAnswer,
    /// Jobs are lost in bursts: ended jobs count as slots.
    EndedJobsCount,
    /// A second assignment starts a second attempt.
    SecondStart,
    /// A job whose room is gone is retried.
    RetryWithoutRoom,
    /// The outcome of an attempt that cannot be aborted is forgotten.
    StuckWithoutOutcome,
    /// A handler that panics succeeds: the Python SDK.
    PanicSucceeds,
    /// An empty room ends no job.
    EmptyRoomStays,
    /// A final status that comes before the server knows the job is not repeated: the lost-status race.
    NoRepeat,
    /// The room is left soon after the status was sent: successful jobs are recorded as failures.
    LeavesAtOnce,
    /// FAILED, then SUCCESS: the Go SDK.
    FailedThenSuccess,
    /// The error text of a failure is not sent.
    NoErrorText,
    /// An aborted attempt is cleaned up twice.
    CleansTwice,
    /// A cleanup may take an hour.
    EndlessCleanup,
    /// A worker that drains accepts.
    AcceptsInDrain,
    /// A quiet worker accepts.
    AcceptsWhenQuiet,
    /// A drain takes five seconds more.
    SlowDrain,
    /// No ended job is confirmed.
    NoReceipt,
    /// What came between two attempts is dropped.
    DropsDataBetween,
    /// A timer that has fired stays due.
    SpinningTimer,
    /// Reconnects after a short wait, however often it failed: a storm.
    NoBackoff,
    /// A half-open connection is never noticed: Node and Go.
    NoSilenceLimit,
    /// One refusal ends a worker that was registered.
    RefusalEndsWorker,
    /// After an outage it is registered and reads nothing: the Go SDK.
    DeafAfterOutage,
    /// Statuses of jobs that ended in an outage are never sent: Node and Go.
    NoOutbox,
    /// A cut frees the slots of offers late.
    CutKeepsOffers,
    /// Bytes that are no message panic.
    GarbagePanics,
    /// An output depends on the process.
    Random,
    /// The store of leases takes any token.
    AnyToken,
    /// A leader believes for too long that it leads.
    LongLease,
    /// The store of checkpoints takes any epoch.
    AnyEpoch,
}

impl Bug {
    /// All of them, each with the check that has to find it.
    pub(super) const ALL: [(Self, Check); 31] = [
        (Self::AnswersTwice, Check::OneAnswer),
        (Self::PatientAnswer, Check::AnswerInTime),
        (Self::EndedJobsCount, Check::FreeSlotAccepts),
        (Self::SecondStart, Check::OneAttempt),
        (Self::RetryWithoutRoom, Check::NoNeedlessAttempt),
        (Self::StuckWithoutOutcome, Check::OneOutcome),
        (Self::PanicSucceeds, Check::TrueOutcome),
        (Self::EmptyRoomStays, Check::EndsInTime),
        (Self::NoRepeat, Check::ServerTable),
        (Self::LeavesAtOnce, Check::ReadBeforeLeave),
        (Self::NoOutbox, Check::ReadBeforeLeave),
        (Self::FailedThenSuccess, Check::OneStatus),
        (Self::NoErrorText, Check::Recorded),
        (Self::CleansTwice, Check::OneCleanup),
        (Self::EndlessCleanup, Check::CleanupInTime),
        (Self::AcceptsInDrain, Check::NothingNewInDrain),
        (Self::AcceptsWhenQuiet, Check::NothingNewInDrain),
        (Self::SlowDrain, Check::DrainInTime),
        (Self::NoReceipt, Check::Bounded),
        (Self::DropsDataBetween, Check::RoomDataKept),
        (Self::SpinningTimer, Check::Progress),
        (Self::NoBackoff, Check::ReconnectRate),
        (Self::NoSilenceLimit, Check::HalfOpenNoticed),
        (Self::RefusalEndsWorker, Check::ComesBack),
        (Self::DeafAfterOutage, Check::Served),
        (Self::CutKeepsOffers, Check::Slots),
        (Self::GarbagePanics, Check::NoPanic),
        (Self::Random, Check::Repeatable),
        (Self::AnyToken, Check::LeaderFenced),
        (Self::LongLease, Check::OneLeader),
        (Self::AnyEpoch, Check::CheckpointFenced),
    ];
}

/// The bug of one worker machine, and what it has to remember.
pub(super) struct Planted {
    bug: Option<Bug>,
    /// Outputs that follow from an input by themselves.
    extra: Vec<Output>,
    /// How often the connection was lost.
    cuts: u32,
    /// Whether the statuses that follow are those of the outbox.
    registers: bool,
    starts: BTreeMap<JobId, Output>,
    aborted: BTreeSet<JobId>,
    reported: BTreeSet<JobId>,
    stuck: BTreeSet<JobId>,
    kept: usize,
    /// Whether the outputs follow from an offer.
    offered: bool,
}

impl Planted {
    pub(super) const fn new(bug: Option<Bug>) -> Self {
        Self {
            bug,
            extra: Vec::new(),
            cuts: 0,
            registers: false,
            starts: BTreeMap::new(),
            aborted: BTreeSet::new(),
            reported: BTreeSet::new(),
            stuck: BTreeSet::new(),
            kept: 0,
            offered: false,
        }
    }

    pub(super) fn configure(&self, config: &mut Config) {
        let (soon, hour) = (Duration::from_millis(200), Duration::from_secs(3600));
        match self.bug {
            Some(Bug::PatientAnswer) => config.answer_timeout = Duration::from_secs(5),
            Some(Bug::NoSilenceLimit) => config.silence_limit = hour,
            Some(Bug::NoBackoff) => config.backoff = Backoff::new(soon, soon, soon),
            Some(Bug::LeavesAtOnce) => config.receipt_timeout = Duration::from_millis(300),
            Some(Bug::NoReceipt) => config.receipt_timeout = hour,
            _ => {}
        }
    }

    /// The input that the machine gets instead; `None`: nothing.
    pub(super) fn input(&mut self, input: Input, worker: &Worker) -> Option<Input> {
        let Some(bug) = self.bug else { return Some(input) };
        self.cuts += u32::from(matches!(input, Input::Disconnected { .. }));
        self.kept = self.kept.saturating_sub(1);
        self.offered = matches!(&input, Input::FrameReceived(frame)
            if matches!(server_message(frame), Some(server_message::Message::Availability(_))));
        match (bug, input) {
            (Bug::AnswersTwice, Input::Answered { job, answer: Answer::Accept(_), .. })
                if worker.lifecycle(&job).is_none()
                    && worker.is_registered()
                    && !worker.is_draining()
                    && self.cuts > 0 =>
            {
                self.extra.push(Output::Send(answer_frame(&job, true)));
                None
            }
            (Bug::EndedJobsCount, Input::FrameReceived(frame)) => {
                let (used, slots) = (worker.used_slots(), worker.capacity());
                match server_message(&frame) {
                    Some(server_message::Message::Availability(offer))
                        if worker.is_registered()
                            && !worker.is_draining()
                            && self.cuts > 1
                            && used < slots
                            && used + worker.closing() >= slots =>
                    {
                        let id = offer.job.map(|job| job.id).unwrap_or_default();
                        if worker.lifecycle(&JobId::new(&id)).is_some() {
                            return Some(Input::FrameReceived(frame));
                        }
                        let job = JobLabels::from(&Job::new(&id, JobKind::Room, ""));
                        self.extra.push(Output::Send(answer_frame(&job.id, false)));
                        let answer = GivenAnswer::Declined(DeclineReason::NoSlot);
                        self.extra.push(Output::Notice(Notice::OfferAnswered { job, answer, after: None }));
                        None
                    }
                    _ => Some(Input::FrameReceived(frame)),
                }
            }
            (Bug::SecondStart, Input::FrameReceived(frame)) => {
                if let Some(server_message::Message::Assignment(assignment)) = server_message(&frame)
                    && let Some(job) = assignment.job
                    && let Some(start) = self.starts.get(&JobId::new(&job.id))
                    && worker.lifecycle(&JobId::new(&job.id)) == Some(agent_core::Lifecycle::Running)
                {
                    self.extra.push(start.clone());
                }
                Some(Input::FrameReceived(frame))
            }
            (Bug::NoReceipt, Input::FrameReceived(frame)) if self.cuts > 3 => {
                if let Some(server_message::Message::Pong(_)) = server_message(&frame) {
                    return Some(Input::Activity);
                }
                Some(Input::FrameReceived(frame))
            }
            (Bug::GarbagePanics, Input::FrameReceived(frame)) => {
                let readable = decode::<wire::ServerMessage>(&frame, MAX_FRAME_LEN).is_ok();
                assert!(readable || frame.len() < 30, "a frame that cannot be read");
                Some(Input::FrameReceived(frame))
            }
            (Bug::RetryWithoutRoom, Input::RoomEnded { .. }) if worker.slots().backing_off > 0 => None,
            (Bug::PanicSucceeds, Input::AttemptEnded { job, end: AttemptEnd::Panicked(_), room_gone }) => {
                Some(Input::AttemptEnded { job, end: AttemptEnd::Ok, room_gone })
            }
            (Bug::EmptyRoomStays, Input::PresenceChanged { presence, .. }) if presence.people == 0 => None,
            (Bug::SlowDrain, Input::DrainRequested { within }) => {
                Some(Input::DrainRequested { within: within + Duration::from_secs(5) })
            }
            (Bug::RefusalEndsWorker, Input::ConnectFailed(LinkError::Refused { status: 404, .. }))
                if self.cuts > 0 =>
            {
                Some(Input::StopRequested)
            }
            (Bug::CutKeepsOffers, Input::Disconnected { reason }) => {
                let slots = worker.slots();
                self.kept = if slots.offered + slots.accepted > 0 && self.cuts > 2 { 3 } else { 0 };
                Some(Input::Disconnected { reason })
            }
            (_, input) => Some(input),
        }
    }

    /// What the machine does.
    pub(super) fn outputs(&mut self, outputs: &mut Vec<Output>, worker: &Worker) {
        outputs.append(&mut self.extra);
        let Some(bug) = self.bug else { return };
        for output in std::mem::take(outputs) {
            match &output {
                Output::Connect => self.registers = false,
                Output::Notice(Notice::Registered { reregistered, .. }) => self.registers = *reregistered,
                Output::Abort { job, .. } => {
                    self.aborted.insert(job.clone());
                }
                Output::Notice(Notice::Stuck { job }) => {
                    self.stuck.insert(job.clone());
                }
                Output::Start { job, .. } => {
                    self.starts.insert(job.id.clone(), output.clone());
                    self.reported.remove(&job.id);
                }
                _ => {}
            }
            self.output(bug, output, worker, outputs);
        }
        self.registers = false;
    }

    fn output(&mut self, bug: Bug, output: Output, worker: &Worker, outputs: &mut Vec<Output>) {
        let update = match &output {
            Output::Send(frame) => final_status(frame),
            _ => None,
        };
        match (bug, &output, update) {
            (Bug::StuckWithoutOutcome, Output::Ended(ended), _) if self.stuck.contains(&ended.job.id) => {}
            (Bug::NoRepeat, _, Some(update)) => {
                if self.registers || self.reported.insert(JobId::new(&update.job_id)) {
                    outputs.push(output);
                }
            }
            (Bug::NoOutbox, _, Some(_)) if self.registers && self.cuts > 2 => {}
            (Bug::FailedThenSuccess, _, Some(update)) if update.error.contains("(after 3") => {
                outputs.push(output);
                let status = wire::JobStatus::JsSuccess.into();
                let error = String::new();
                outputs.push(Output::Send(status_frame(wire::UpdateJobStatus { status, error, ..update })));
            }
            (Bug::NoErrorText, _, Some(update)) if update.error.contains("(after 3") => {
                let error = String::new();
                outputs.push(Output::Send(status_frame(wire::UpdateJobStatus { error, ..update })));
            }
            (Bug::CleansTwice, Output::Clean { job, .. }, _) if self.aborted.remove(job) && self.cuts > 0 => {
                outputs.push(output.clone());
                outputs.push(output);
            }
            (Bug::EndlessCleanup, Output::Clean { job, attempt, .. }, _) if *attempt > 4 => {
                let (job, attempt) = (job.clone(), *attempt);
                outputs.push(Output::Clean { job, attempt, within: Duration::from_secs(3600) });
            }
            (Bug::AcceptsInDrain | Bug::AcceptsWhenQuiet, Output::Send(frame), _)
                if self.offered
                    && (if bug == Bug::AcceptsInDrain {
                        worker.is_draining()
                    } else {
                        worker.is_quiet()
                    }) =>
            {
                match worker_message(frame) {
                    Some(worker_message::Message::Availability(answer)) if !answer.available => {
                        outputs.push(Output::Send(answer_frame(&JobId::new(&answer.job_id), true)));
                    }
                    _ => outputs.push(output),
                }
            }
            (Bug::DeafAfterOutage | Bug::Random, Output::Send(frame), _) if self.cuts > 2 => {
                match worker_message(frame) {
                    Some(worker_message::Message::UpdateWorker(mut load)) => {
                        if bug == Bug::Random {
                            load.job_count = u32::from(RandomState::new().hash_one(0).is_multiple_of(2));
                        } else {
                            load.status = Some(wire::WorkerStatus::WsFull.into());
                        }
                        let message = Some(worker_message::Message::UpdateWorker(load));
                        outputs.push(Output::Send(encode(&wire::WorkerMessage { message })));
                    }
                    _ => outputs.push(output),
                }
            }
            _ => outputs.push(output),
        }
    }

    pub(super) fn next_timeout(&self, at: Option<Time>) -> Option<Time> {
        if self.bug == Some(Bug::SpinningTimer) && self.cuts > 6 { Some(Time::ZERO) } else { at }
    }

    pub(super) fn slots(&self, mut slots: SlotCounts) -> SlotCounts {
        slots.offered += self.kept;
        slots
    }
}

/// The handler of another attempt is about to begin.
pub(super) fn attempt_begins(bug: Option<Bug>, inbox: &mut Inbox, first: bool) {
    if bug == Some(Bug::DropsDataBetween) && !first {
        *inbox = Inbox::new([]);
    }
}

pub(super) fn may_write(bug: Option<Bug>, may: bool) -> bool {
    may || bug == Some(Bug::AnyEpoch)
}

pub(super) fn may_lead(bug: Option<Bug>, may: bool) -> bool {
    may || bug == Some(Bug::AnyToken)
}

pub(super) fn election(bug: Option<Bug>, output: ElectionOutput) -> ElectionOutput {
    match output {
        ElectionOutput::Lead { token, until } if bug == Some(Bug::LongLease) => {
            ElectionOutput::Lead { token, until: until + Duration::from_secs(20) }
        }
        output => output,
    }
}

fn server_message(frame: &Bytes) -> Option<server_message::Message> {
    decode::<wire::ServerMessage>(frame, MAX_FRAME_LEN).ok()?.message
}

fn worker_message(frame: &Bytes) -> Option<worker_message::Message> {
    decode::<wire::WorkerMessage>(frame, MAX_FRAME_LEN).ok()?.message
}

fn final_status(frame: &Bytes) -> Option<wire::UpdateJobStatus> {
    match worker_message(frame)? {
        worker_message::Message::UpdateJob(update) if update.status() != wire::JobStatus::JsRunning => {
            Some(update)
        }
        _ => None,
    }
}

fn status_frame(update: wire::UpdateJobStatus) -> Bytes {
    let message = Some(worker_message::Message::UpdateJob(update));
    encode(&wire::WorkerMessage { message })
}

fn answer_frame(job: &JobId, available: bool) -> Bytes {
    let answer = wire::AvailabilityResponse {
        job_id: job.to_string(),
        available,
        participant_identity: format!("agent-{job}"),
        ..Default::default()
    };
    let message = Some(worker_message::Message::Availability(answer));
    encode(&wire::WorkerMessage { message })
}
