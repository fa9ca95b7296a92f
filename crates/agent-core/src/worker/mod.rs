//! The worker machine: one registration with a server, and its jobs.
//!
//! It decides everything about offers, slots, outcomes and the connection, without I/O: see the crate's
//! contract. Promises held here: I1–I8, I10, I12.
//!
//! - `entries`: its state.
//! - `link`: connecting, registering, detecting a dead connection, reconnecting.
//! - `jobs`: offers, assignments, cancellations; `steps`: the transitions of one job, by the table of
//!   [`step`](crate::step).
//! - `attempts`: what comes after an attempt: its cleanup, and the next attempt.
//! - `closing`: what happens between an outcome and the moment at which the room may be left.
//! - `room_rules`: when a job is over because of who is in its room; `room_end`: because the room ended;
//!   `watch`: these rules, progress, second jobs.
//! - `join_timing`: when the steps of a join took place, for the server.
//! - `drain`: stopping; `quiet`: accepting nothing for a while.
//! - `health`: whether it works and gets jobs; `live_jobs`: which it has; `view`: the types of both.

mod attempts;
mod closing;
#[cfg(test)]
#[cfg(feature = "script")]
pub(crate) mod coverage;
mod drain;
mod entries;
mod health;
mod io;
mod jobs;
mod join_timing;
mod link;
mod live_jobs;
mod quiet;
mod room_end;
mod room_rules;
mod steps;
mod timers;
mod view;
mod watch;
mod wire;

pub use io::{
    AbortCause, DrainReport, EndedJob, Input, LinkError, Notice, OfferId, Output, SlotCounts, StopError,
    Violation,
};
pub use room_end::RoomEnd;
pub use room_rules::{JoinedRoom, MIN_DEPARTURE_TIMEOUT, Presence};
pub use timers::{JobTimer, Timer};
pub use view::{HealthProblem, LiveJob, LiveState};

use std::collections::{BTreeMap, VecDeque};

use agent_proto::Time;
use agent_proto::recording::Machine;

use crate::backoff::Backoff;
use crate::config::Config;
use crate::job::JobId;
use crate::job::lifecycle::{JobInput, JobState, Phase};
use crate::outcome::Lifecycle;
use entries::{Closing, Drain, Entry, Link, Receipts, ReportedLoad};
use timers::Timers;

/// A worker without I/O. See the [crate's documentation](crate) for the contract.
pub struct Worker {
    config: Config,
    rng: fastrand::Rng,
    link: Link,
    backoff: Backoff,
    /// Whether the first of the backoff's failures was the loss of a connection: no attempt has failed then.
    lost_one: bool,
    /// The times of the last connection attempts, the latest last.
    connects: VecDeque<Time>,
    /// Counts registrations: the server has dropped what belongs to an older one.
    epoch: u64,
    /// Every used slot.
    jobs: BTreeMap<JobId, Entry>,
    /// Jobs with an outcome, until the server has read it. They hold no slot.
    closing: BTreeMap<JobId, Closing>,
    /// How many of them are in their room.
    closing_rooms: usize,
    receipts: Receipts,
    offers: u64,
    user_load: Option<f32>,
    /// How many jobs the file descriptors allow, including those of other workers, and how many those are.
    descriptors: usize,
    other_jobs: usize,
    reported_load: Option<ReportedLoad>,
    /// The number of the last reported status, over all connections.
    status_seq: u64,
    drain: Option<Drain>,
    /// Whether it accepts nothing new; not while it drains.
    quiet: bool,
    /// Why a handler is aborted from now on.
    abort_cause: AbortCause,
    violations: BTreeMap<Violation, u64>,
    timers: Timers,
    out: VecDeque<Output>,
}

impl Worker {
    /// A worker that connects at once. The seed determines its jitter, so that the workers of one program do
    /// not reconnect at the same moment.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let backoff = config.backoff.clone();
        let mut worker = Self {
            config,
            rng: fastrand::Rng::with_seed(seed),
            link: Link::Connecting,
            backoff,
            lost_one: false,
            connects: VecDeque::new(),
            epoch: 0,
            jobs: BTreeMap::new(),
            closing: BTreeMap::new(),
            closing_rooms: 0,
            receipts: Receipts::default(),
            offers: 0,
            user_load: None,
            descriptors: usize::MAX,
            other_jobs: 0,
            reported_load: None,
            status_seq: 0,
            drain: None,
            quiet: false,
            abort_cause: AbortCause::GraceOver,
            violations: BTreeMap::new(),
            timers: Timers::default(),
            out: VecDeque::new(),
        };
        worker.start(Time::ZERO);
        worker
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, input: Input, now: Time) {
        if self.is_stopped() {
            return;
        }
        match input {
            Input::Prepared(result) => self.on_prepared(result, now),
            Input::Connected => self.on_connected(now),
            Input::ConnectFailed(error) => self.on_connect_failed(error, now),
            Input::Disconnected { reason } => self.on_disconnected(reason, now),
            Input::FrameReceived(frame) => self.on_frame(&frame, now),
            Input::TextReceived => {
                self.on_activity(now);
                self.violation(Violation::TextFrame);
            }
            Input::Activity => self.on_activity(now),
            Input::Answered { offer, job, answer } => self.on_answer(offer, &job, answer, now),
            Input::RequestPanicked { offer, job } => self.on_request_panicked(offer, &job, now),
            Input::HandlerStarted { job } => self.apply(&job, JobInput::Began, now),
            Input::AttemptEnded { job, end, room_gone } => {
                self.on_attempt_ended(&job, end, room_gone, now);
            }
            Input::Cleaned { job, attempt } => self.on_cleaned(&job, attempt, now),
            Input::CancelRequested { job, reason } => self.on_cancel_requested(&job, reason, now),
            Input::RoomJoined { job, room } => self.on_room_joined(&job, room, now),
            Input::RoomEnded { job, end } => self.on_room_ended(&job, end, now),
            Input::RoomReplaced { job } => self.on_room_replaced(&job, now),
            Input::PresenceChanged { job, presence } => self.on_presence(&job, &presence, now),
            Input::Progressed { job } => self.on_progress(&job, now),
            Input::DescriptorsFound(found) => self.descriptors = found.jobs(),
            Input::OtherJobs { count } => self.other_jobs = count,
            Input::DescriptorsExhausted => self.on_descriptors_exhausted(now),
            Input::LoadSampled(load) => self.user_load = Some(if load.is_nan() { 1.0 } else { load }),
            Input::QuietRequested => self.on_quiet(true, now),
            Input::UndrainRequested => self.on_quiet(false, now),
            Input::DrainRequested { within } => self.on_drain(within, now),
            Input::StopRequested => self.on_stop(now),
        }
        // A timer of zero is due at once: after this no timer is due.
        self.handle_timeout(now);
    }

    /// Takes the passing of time. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        while !self.is_stopped()
            && let Some(timer) = self.timers.take_due(now)
        {
            match timer {
                Timer::Reconnect => self.connect(now),
                Timer::Connect | Timer::Register | Timer::Silence => self.lose(&timer, now),
                Timer::Ping => self.ping(now),
                Timer::Prepare => self.on_prepare_timeout(now),
                Timer::Receipt => self.on_receipt(now),
                Timer::Stable => {
                    self.backoff.reset();
                    self.lost_one = false;
                }
                // Only whether it is set matters.
                Timer::Descriptors => {}
                Timer::DrainProgress => self.on_drain_progress(now),
                Timer::DrainLimit => self.on_drain_limit(now),
                Timer::DrainEnd => self.on_drain_end(now),
                Timer::Job(job, JobTimer::Step) => self.on_step_timer(&job, now),
                Timer::Job(job, JobTimer::Deadline) => self.on_deadline(&job, now),
                Timer::Job(job, JobTimer::Repeat) => self.on_repeat(&job, now),
                Timer::Job(job, JobTimer::Empty) => self.on_empty(&job, now),
                Timer::Job(job, JobTimer::Stale) => self.on_stale(&job),
            }
        }
        self.settle(now);
    }

    /// The next command; drain it to `None` after every input and timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why; later than the last `now` after a
    /// drain.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        self.timers.next()
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The lifecycle state of a job; `None` when it is unknown or closed.
    #[must_use]
    pub fn lifecycle(&self, job: &JobId) -> Option<Lifecycle> {
        self.jobs
            .get(job)
            .map(|entry| entry.lifecycle)
            .or_else(|| self.closing.get(job).map(|closing| closing.outcome.lifecycle()))
    }

    /// How the slots are used.
    #[must_use]
    pub fn slots(&self) -> SlotCounts {
        let mut counts = SlotCounts::default();
        for entry in self.jobs.values() {
            match &entry.state {
                JobState::Offered => counts.offered += 1,
                JobState::Accepted => counts.accepted += 1,
                JobState::Assigned { phase, .. } => match phase {
                    Phase::Starting | Phase::Running | Phase::Cancelled { .. } | Phase::Aborting { .. } => {
                        counts.running += 1;
                    }
                    Phase::BackingOff { .. } => counts.backing_off += 1,
                    Phase::Abandoned { .. } | Phase::Cleaning { .. } => counts.cleaning += 1,
                    Phase::Stuck => counts.stuck += 1,
                },
            }
        }
        counts
    }

    /// The number of used slots; the sum of [`slots`](Self::slots), without visiting each job.
    #[must_use]
    pub fn used_slots(&self) -> usize {
        self.jobs.len()
    }

    /// The number of slots: `max_jobs`, or fewer if the process may not open enough files.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.config.max_jobs.min(self.descriptors)
    }

    /// The load of the worker, from 0 to 1: by the user's load function, or else the share of used slots.
    #[must_use]
    pub fn load(&self) -> f32 {
        self.own_load().clamp(0.0, 1.0)
    }

    /// The number of jobs with an outcome that the server has not confirmed yet.
    #[must_use]
    pub fn closing(&self) -> usize {
        self.closing.len()
    }

    /// Whether the worker is registered.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        matches!(self.link, Link::Registered)
    }

    /// Whether the worker drains.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The number of violations by kind.
    #[must_use]
    pub const fn violations(&self) -> &BTreeMap<Violation, u64> {
        &self.violations
    }

    const fn is_stopped(&self) -> bool {
        matches!(self.link, Link::Stopped)
    }

    /// What follows from any change: report the load, and stop when the drain is done.
    fn settle(&mut self, now: Time) {
        self.report_load();
        self.stop_if_drained(now);
    }

    fn violation(&mut self, violation: Violation) {
        *self.violations.entry(violation).or_default() += 1;
        self.out.push_back(Output::Notice(Notice::Violation(violation)));
    }
}

impl Machine for Worker {
    type Input = Input;
    type Output = Output;

    fn handle_input(&mut self, input: Input, now: Time) {
        self.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.poll_output()
    }
}
