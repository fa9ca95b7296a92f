//! The rules of a LiveKit server towards its workers, as one machine without I/O.
//!
//! Written from facts about livekit-server 1.13.5, and held to it by the conformance suite. The contract is that of `agent_core`'s
//! machines: a call changes the state, then [`Server::poll_output`] is drained, then one sleeps until
//! [`Server::poll_timeout`]. The mock server drives it with sockets, tests with virtual time.
//!
//! - `workers`: registration, messages, which worker is asked.
//! - `jobs`: from the offer to the recorded end.
//! - `dispatches`: which jobs a room, a participant or an API call makes.
//! - `rooms`: which rooms there are, and who is in them.
//! - `changes`: what changes and is said in a room, and who hears of it.
//! - `sent`: what was said, for tests to look at.

mod changes;
mod dispatches;
mod io;
mod jobs;
mod rooms;
mod sent;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use agent_proto::Time;

pub(crate) use changes::filled;
pub use changes::{Change, TrackSpec};
pub use dispatches::JobFlags;
pub(crate) use dispatches::{to_wire_participant, to_wire_room};
pub use io::{Grant, MemberId, Output, Rules, WorkerId};
pub use io::{Misdeed, OfferAnswer, RecordedStatus, ServerEvent};
pub use rooms::{NewMember, RoomSettings};
pub use sent::Sent;

use jobs::JobEntry;
use rooms::RoomEntry;
use sent::SentLog;
use workers::WorkerEntry;

/// How much is remembered of each kind of thing that is over (events, data messages, jobs), in bytes: large ones make it fewer.
pub const MAX_HISTORY_LEN: usize = 64 * 1024 * 1024;

const NEVER: Time = Time::from_nanos(u64::MAX);

/// What the machine waits for. A timer that has become pointless does nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A worker has to have registered.
    Register(WorkerId),
    /// A dispatch has found its way through the server.
    Launch(String),
    /// Somebody has to have taken the job.
    JobBudget(String),
    /// The server knows the job from now on.
    Bookkeeping(String),
    /// The room that started the job knows of it from now on.
    RoomKnows(String),
    /// A worker hears that its job was ended.
    Termination(WorkerId, String),
    /// An agent whose dispatch was deleted has to go.
    Removal(String, MemberId),
    /// A room has been without people for long enough. The number says of which time without people this is.
    Empty(String, u64),
}

/// A server without I/O.
pub struct Server {
    rules: Rules,
    rng: fastrand::Rng,
    now: Time,
    workers: BTreeMap<WorkerId, WorkerEntry>,
    jobs: BTreeMap<String, JobEntry>,
    /// Those of the jobs that are over, the oldest first, with the length of each in bytes.
    over: VecDeque<(String, usize)>,
    over_len: usize,
    rooms: BTreeMap<String, RoomEntry>,
    /// What was sent in rooms, also in those that are closed.
    sent: SentLog,
    /// The room of each member.
    members: BTreeMap<MemberId, String>,
    /// When it looked for workers last, if what it found is still right.
    looked: Option<Time>,
    /// What the next job is called, if a test wants a say in it.
    next_job_id: Option<String>,
    ids: u64,
    timers: BTreeSet<(Time, Timer)>,
    out: VecDeque<Output>,
}

impl Server {
    /// A server without workers and rooms.
    pub fn new(mut rules: Rules) -> Self {
        // What is over at once still has to be told of.
        rules.history = rules.history.max(1);
        Self {
            rng: fastrand::Rng::with_seed(rules.seed),
            sent: SentLog::new(rules.history),
            rules,
            now: Time::ZERO,
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            over: VecDeque::new(),
            over_len: 0,
            rooms: BTreeMap::new(),
            members: BTreeMap::new(),
            looked: None,
            next_job_id: None,
            ids: 0,
            timers: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    /// Does what is due, and takes note of the time: to be called before anything else at a new moment.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.do_what_is_due();
    }

    /// The next thing to do; drain it to `None` after every call.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.out.is_empty() {
            // What was put off by no time at all is due already.
            self.do_what_is_due();
        }
        self.out.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn do_what_is_due(&mut self) {
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now
            && let Some((_, timer)) = self.timers.pop_first()
        {
            match timer {
                Timer::Register(worker) => self.on_register_overdue(worker),
                Timer::Launch(job) => self.launch(&job),
                Timer::JobBudget(job) => self.on_budget_over(&job),
                Timer::Bookkeeping(job) => self.on_bookkeeping(&job),
                Timer::RoomKnows(job) => self.on_room_knows(&job),
                Timer::Termination(worker, job) => self.send_termination(worker, job),
                Timer::Removal(room, member) => self.on_removal(&room, member),
                Timer::Empty(room, spell) => self.on_empty(&room, spell),
            }
        }
    }

    fn wake(&mut self, timer: Timer, after: Duration) {
        let at = self.now + after;
        // A time that cannot be reached is never.
        if at < NEVER {
            self.timers.insert((at, timer));
        }
    }

    pub(crate) fn log(&mut self, event: ServerEvent) {
        self.out.push_back(Output::Log(event));
    }

    /// A new id: a prefix, then twelve letters and digits of which no two are the same.
    fn new_id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        let noise: String = std::iter::repeat_with(|| self.rng.alphanumeric()).take(6).collect();
        format!("{prefix}{noise}{:06}", self.ids)
    }

    /// Nanoseconds since 1970.
    fn wall_ns(&self) -> i64 {
        let since_start = i64::try_from(self.now.as_nanos()).unwrap_or(i64::MAX);
        self.rules.epoch_ms.saturating_mul(1_000_000).saturating_add(since_start)
    }
}
