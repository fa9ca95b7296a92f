//! The checks of the simulator, one rule each, by promise.

use std::fmt;

use agent_proto::Time;

/// One rule that the simulator checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// I1: each offer gets one answer, on its connection.
    OneAnswer,
    /// I1: within 2 s, and at once without a free slot.
    AnswerInTime,
    /// I1: a worker with a free slot does not decline as full.
    FreeSlotAccepts,
    /// I2: one attempt of a job at a time, numbered without a gap.
    OneAttempt,
    /// I2: no other attempt of a job that was cancelled, has lost its room, or whose worker drains.
    NoNeedlessAttempt,
    /// I3: each assignment ends once.
    OneOutcome,
    /// I3: the outcome is what the handler did, or why it was stopped.
    TrueOutcome,
    /// I3: a job ends in time when nobody is left in its room.
    EndsInTime,
    /// I4: when all is quiet, the server lists no job that its worker does not have.
    ServerTable,
    /// I5: the server has read the final status before the room is left.
    ReadBeforeLeave,
    /// I5: there are no two different final statuses of a job.
    OneStatus,
    /// I5: the server has recorded the outcome.
    Recorded,
    /// I6: each attempt is cleaned up once, before its outcome.
    OneCleanup,
    /// I6: a cleanup has a time limit.
    CleanupInTime,
    /// I7: a worker that drains or is quiet accepts nothing new.
    NothingNewInDrain,
    /// I7: a drain ends within its limit, the grace, and a second.
    DrainInTime,
    /// I8: what waits is bounded.
    Bounded,
    /// I8: data that came between two attempts is read by the next, or reported as missed.
    RoomDataKept,
    /// I9: no machine spins.
    Progress,
    /// I9: a worker connects at most ten times within ten seconds.
    ReconnectRate,
    /// I9: a half-open connection is noticed within 25 s.
    HalfOpenNoticed,
    /// I9: a worker that nobody stopped is registered again after the faults.
    ComesBack,
    /// I9: after the faults each dispatch is served.
    Served,
    /// I10: the slots are those of the jobs, and a cut frees the offered and accepted ones.
    Slots,
    /// I11: nothing panics.
    NoPanic,
    /// I12: the same seed gives the same messages and commands.
    Repeatable,
    /// I13: no write of a leader is accepted after a later one has been elected.
    LeaderFenced,
    /// I13: while clocks run evenly, there are no two leaders at one time.
    OneLeader,
    /// I13: no write of a checkpoint is accepted after a later claim.
    CheckpointFenced,
}

impl Check {
    /// All of them, in the order of the promises.
    pub const ALL: [Self; 29] = [
        Self::OneAnswer,
        Self::AnswerInTime,
        Self::FreeSlotAccepts,
        Self::OneAttempt,
        Self::NoNeedlessAttempt,
        Self::OneOutcome,
        Self::TrueOutcome,
        Self::EndsInTime,
        Self::ServerTable,
        Self::ReadBeforeLeave,
        Self::OneStatus,
        Self::Recorded,
        Self::OneCleanup,
        Self::CleanupInTime,
        Self::NothingNewInDrain,
        Self::DrainInTime,
        Self::Bounded,
        Self::RoomDataKept,
        Self::Progress,
        Self::ReconnectRate,
        Self::HalfOpenNoticed,
        Self::ComesBack,
        Self::Served,
        Self::Slots,
        Self::NoPanic,
        Self::Repeatable,
        Self::LeaderFenced,
        Self::OneLeader,
        Self::CheckpointFenced,
    ];

    /// The id of its promise, as in ARCHITECTURE.md.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::OneAnswer | Self::AnswerInTime | Self::FreeSlotAccepts => "I1",
            Self::OneAttempt | Self::NoNeedlessAttempt => "I2",
            Self::OneOutcome | Self::TrueOutcome | Self::EndsInTime => "I3",
            Self::ServerTable => "I4",
            Self::ReadBeforeLeave | Self::OneStatus | Self::Recorded => "I5",
            Self::OneCleanup | Self::CleanupInTime => "I6",
            Self::NothingNewInDrain | Self::DrainInTime => "I7",
            Self::Bounded | Self::RoomDataKept => "I8",
            Self::Progress | Self::ReconnectRate | Self::HalfOpenNoticed | Self::ComesBack | Self::Served => {
                "I9"
            }
            Self::Slots => "I10",
            Self::NoPanic => "I11",
            Self::Repeatable => "I12",
            Self::LeaderFenced | Self::OneLeader | Self::CheckpointFenced => "I13",
        }
    }
}

/// The name, with its promise.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self:?}", self.promise())
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The rule.
    pub check: Check,
    /// When, since the beginning of the simulation.
    pub at: Time,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.check, self.at, self.text)
    }
}

/// The most failures of one run that are kept.
const MAX_FAILURES: usize = 50;

/// What was checked in one run, and what failed.
pub(super) struct Checks {
    on: bool,
    now: Time,
    exercised: [u64; Check::ALL.len()],
    failures: Vec<Failure>,
}

impl Checks {
    pub(super) const fn new(on: bool) -> Self {
        Self { on, now: Time::ZERO, exercised: [0; Check::ALL.len()], failures: Vec::new() }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    pub(super) const fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    /// Checks a rule.
    pub(super) fn that(&mut self, check: Check, holds: bool, text: impl FnOnce() -> String) {
        if !self.on {
            return;
        }
        if let Some(count) = self.exercised.get_mut(check as usize) {
            *count += 1;
        }
        if !holds && self.failures.len() < MAX_FAILURES {
            self.failures.push(Failure { check, at: self.now, text: text() });
        }
    }

    /// How often each rule was checked, and what failed.
    pub(super) fn into_results(self) -> ([u64; Check::ALL.len()], Vec<Failure>) {
        (self.exercised, self.failures)
    }
}
