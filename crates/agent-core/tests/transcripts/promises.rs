//! Model test of the worker machine: any order of events, against the promises of one machine (ids as in
//! ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use agent_core::{
    Answer, AttemptEnd, CancelReason, Config, Input, JobErrorKind, JobId, JoinedRoom, Lifecycle, LinkError,
    Notice, OfferId, Output, Presence, RoomEnd, SlotCounts, Time,
};
use agent_proto::Secret;
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::{MAX_FRAME_LEN, decode, encode};

use crate::rig::fatal;
use crate::rig::{RecordedWorker, worker};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Offer(u8),
    Answer(u8, u8),
    Assign(u8),
    Started(u8),
    End(u8, u8),
    Cleaned(u8),
    Cancel(u8),
    Terminate(u8),
    /// The room's id, departure timeout and empty timeout, in seconds.
    Room(u8, u8, u8, u8),
    Replaced(u8),
    /// The room ends in some way.
    RoomEnds(u8, usize),
    /// The number of people in the room, and the session of the target.
    There(u8, u8, u8),
    Pong,
    Cut,
    ComeBack,
    Refuse,
    Garbage(Vec<u8>),
    Pass(u16),
    Drain(u16),
    Stop,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let job = 0u8..4;
    prop_oneof![
        6 => job.clone().prop_map(Op::Offer),
        6 => (job.clone(), 0u8..6).prop_map(|(n, k)| Op::Answer(n, k)),
        6 => job.clone().prop_map(Op::Assign),
        4 => job.clone().prop_map(Op::Started),
        6 => (job.clone(), 0u8..9).prop_map(|(n, k)| Op::End(n, k)),
        5 => job.clone().prop_map(Op::Cleaned),
        2 => job.clone().prop_map(Op::Cancel),
        2 => job.clone().prop_map(Op::Terminate),
        3 => (job.clone(), 0u8..3, 0u8..30, 0u8..30).prop_map(|(n, sid, d, e)| Op::Room(n, sid, d, e)),
        1 => job.clone().prop_map(Op::Replaced),
        1 => (job.clone(), 0..ROOM_ENDS.len()).prop_map(|(n, k)| Op::RoomEnds(n, k)),
        6 => (job, 0u8..3, 0u8..3).prop_map(|(n, people, target)| Op::There(n, people, target)),
        5 => Just(Op::Pong),
        2 => Just(Op::Cut),
        4 => Just(Op::ComeBack),
        1 => Just(Op::Refuse),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Op::Garbage),
        6 => (1u16..9000).prop_map(Op::Pass),
        1 => (0u16..20).prop_map(Op::Drain),
        1 => Just(Op::Stop),
    ]
}

const SLOTS: usize = 2;
const ROOM_ENDS: [RoomEnd; 6] = [
    RoomEnd::Left,
    RoomEnd::DuplicateIdentity,
    RoomEnd::Removed,
    RoomEnd::Deleted,
    RoomEnd::Closed,
    RoomEnd::Lost,
];

/// What holds a slot, by the outputs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Offer,
    Acceptance,
    Attempt,
    Cleanup,
    Wait,
    Stuck,
}

/// The state of a driver and a server.
pub(crate) struct World {
    pub(crate) worker: RecordedWorker,
    now: Time,
    connected: bool,
    /// Offers on this connection that have no answer yet, with the latest time for it.
    owed: BTreeMap<JobId, Vec<Time>>,
    /// Answers that were sent and not yet reported to the counters.
    uncounted: Vec<(JobId, &'static str)>,
    asked: BTreeMap<JobId, OfferId>,
    slots: BTreeMap<JobId, Holds>,
    /// Attempts that the driver runs.
    running: BTreeMap<JobId, u32>,
    /// The last attempt of each assignment, those whose cleanup was not requested yet, and cleanups that the
    /// driver runs.
    attempts: BTreeMap<JobId, u32>,
    dirty: BTreeSet<JobId>,
    cleaning: Vec<(JobId, u32)>,
    /// Jobs that must not be retried: cancelled, or without a room.
    over: BTreeSet<JobId>,
    draining: bool,
    starts: u32,
    failed_unstarted: u32,
    ended: u32,
    /// The final status of a job's present assignment, once it was sent.
    final_status: BTreeMap<JobId, (wire::JobStatus, String)>,
    in_room: BTreeMap<JobId, bool>,
    stopped: bool,
    /// Frames sent on this connection, and how many of them the server is known to have read.
    sent: usize,
    read: usize,
    /// Pings without an answer: their number among the frames, and their timestamp.
    pings: Vec<(usize, i64)>,
    /// When the final status of a job was last sent, and its number among the frames.
    status_sent_at: BTreeMap<JobId, (Time, usize)>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut config = Config::default();
        config.max_jobs = SLOTS;
        // Some workers give up while jobs run.
        config.max_connect_attempts = seed.is_multiple_of(4).then_some(2);
        let mut world = Self {
            worker: RecordedWorker::new((config, seed), worker),
            now: Time::ZERO,
            connected: false,
            owed: BTreeMap::new(),
            uncounted: Vec::new(),
            asked: BTreeMap::new(),
            slots: BTreeMap::new(),
            running: BTreeMap::new(),
            attempts: BTreeMap::new(),
            dirty: BTreeSet::new(),
            cleaning: Vec::new(),
            over: BTreeSet::new(),
            draining: false,
            starts: 0,
            failed_unstarted: 0,
            ended: 0,
            final_status: BTreeMap::new(),
            in_room: BTreeMap::new(),
            stopped: false,
            sent: 0,
            read: 0,
            pings: Vec::new(),
            status_sent_at: BTreeMap::new(),
        };
        world.drain();
        world.input(Input::Connected);
        world.server(server_message::Message::Register(wire::RegisterWorkerResponse::default()));
        world
    }

    fn input(&mut self, input: Input) {
        self.worker.handle_input(input, self.now);
        self.drain();
    }

    fn server(&mut self, message: server_message::Message) {
        let frame = encode(&wire::ServerMessage { message: Some(message) });
        self.input(Input::FrameReceived(frame));
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        let mut steps = 0;
        while let Some((at, _)) = self.worker.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.worker.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 10_000, "I9: it spins");
        }
        self.now = until;
        for (job, due) in &self.owed {
            for due in due {
                assert!(*due > self.now, "I1: the offer of {job} was due at {due}, now {}", self.now);
            }
        }
    }

    pub(crate) fn apply(&mut self, op: Op) {
        let id = |n: u8| JobId::new(&format!("AJ_{n}"));
        let job = |n: u8| {
            let target =
                wire::ParticipantInfo { identity: "ada".into(), sid: "PA_1".into(), ..Default::default() };
            wire::Job {
                id: id(n).to_string(),
                room: Some(wire::Room { sid: "RM_1".into(), ..Default::default() }),
                participant: (n % 2 == 1).then_some(target),
                ..Default::default()
            }
        };
        match op {
            Op::Offer(n) => {
                if self.worker.is_registered() {
                    self.owed.entry(id(n)).or_default().push(self.now + Duration::from_secs(2));
                }
                let message = wire::AvailabilityRequest { job: Some(job(n)), resuming: false };
                self.server(server_message::Message::Availability(message));
            }
            Op::Answer(n, kind) => {
                let answer = match kind {
                    0..=1 => Answer::accept(),
                    2 => Answer::Decline,
                    3 => Answer::Dismiss,
                    _ => Answer::accept().identity(""),
                };
                if let Some(offer) = self.asked.get(&id(n)).copied() {
                    let job = id(n);
                    self.input(match kind {
                        5 => Input::RequestPanicked { offer, job },
                        _ => Input::Answered { offer, job, answer },
                    });
                }
            }
            Op::Assign(n) => {
                if self.worker.lifecycle(&id(n)).is_none() {
                    self.final_status.remove(&id(n)); // a new assignment
                }
                let message = wire::JobAssignment { job: Some(job(n)), ..Default::default() };
                let (starts, ended) = (self.starts, self.ended);
                self.server(server_message::Message::Assignment(message));
                self.failed_unstarted += u32::from(self.starts == starts) * (self.ended - ended);
            }
            Op::Started(n) => {
                if self.running.contains_key(&id(n)) {
                    self.input(Input::HandlerStarted { job: id(n) });
                }
            }
            Op::End(n, kind) => {
                let end = match kind {
                    0 => AttemptEnd::Ok,
                    1 => AttemptEnd::Cancelled,
                    2 => fatal("text"),
                    3 => AttemptEnd::Panicked("text".into()),
                    4 => AttemptEnd::Aborted,
                    more => {
                        let after = Duration::from_secs(if more % 2 == 0 { 0 } else { 3 });
                        AttemptEnd::Error { kind: JobErrorKind::Retryable { after }, text: "text".into() }
                    }
                };
                // A driver reports one end for each start.
                if self.running.remove(&id(n)).is_some() {
                    let room_gone = kind == 8;
                    if room_gone {
                        self.over.insert(id(n));
                    }
                    if self.slots.get(&id(n)) == Some(&Holds::Stuck) {
                        self.slots.remove(&id(n));
                    }
                    self.input(Input::AttemptEnded { job: id(n), end, room_gone });
                }
            }
            Op::Cleaned(n) => {
                if let Some(at) = self.cleaning.iter().position(|(job, _)| *job == id(n)) {
                    let (job, attempt) = self.cleaning.remove(at);
                    self.input(Input::Cleaned { job, attempt });
                }
            }
            Op::Cancel(n) => {
                self.input(Input::CancelRequested { job: id(n), reason: CancelReason::Kicked });
            }
            Op::Room(n, sid, departure, empty) => {
                let seconds = |seconds: u8| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                let sid = if sid == 0 { String::new() } else { format!("RM_{sid}") };
                let age = Duration::from_secs(1);
                let (departure_timeout, empty_timeout) = (seconds(departure), seconds(empty));
                let room = JoinedRoom { sid, age, empty_timeout, departure_timeout };
                self.input(Input::RoomJoined { job: id(n), room });
            }
            Op::Replaced(n) => self.input(Input::RoomReplaced { job: id(n) }),
            Op::RoomEnds(n, kind) => self.input(Input::RoomEnded { job: id(n), end: ROOM_ENDS[kind] }),
            Op::There(n, people, session) => {
                let target = (session > 0).then(|| format!("PA_{session}"));
                let presence = Presence { people: people.into(), keepers: people.into(), target };
                self.input(Input::PresenceChanged { job: id(n), presence });
            }
            Op::Terminate(n) => {
                self.server(server_message::Message::Termination(wire::JobTermination {
                    job_id: id(n).to_string(),
                }));
            }
            Op::Pong => {
                if !self.pings.is_empty() {
                    let (number, timestamp) = self.pings.remove(0);
                    self.read = number;
                    let pong = wire::WorkerPong { last_timestamp: timestamp, timestamp: 0 };
                    self.server(server_message::Message::Pong(pong));
                }
            }
            Op::Cut => {
                self.lost();
                self.input(Input::Disconnected { reason: "cut".into() });
            }
            Op::ComeBack => {
                if !self.connected {
                    self.pass(11_000);
                    self.input(Input::Connected);
                    self.server(server_message::Message::Register(wire::RegisterWorkerResponse::default()));
                }
            }
            Op::Refuse => {
                self.input(Input::ConnectFailed(LinkError::Failed { message: "no".into() }));
            }
            Op::Garbage(bytes) => self.input(Input::FrameReceived(Bytes::from(bytes))),
            Op::Pass(millis) => self.pass(millis.into()),
            Op::Drain(seconds) => {
                self.draining = true;
                self.input(Input::DrainRequested { within: Duration::from_secs(seconds.into()) });
            }
            Op::Stop => {
                self.draining = true;
                self.input(Input::StopRequested);
            }
        }
    }

    fn drain(&mut self) {
        let outputs: Vec<Output> = std::iter::from_fn(|| self.worker.poll_output()).collect();
        let stopping = outputs.iter().any(|output| matches!(output, Output::Stopped(_)));
        let again = outputs.iter().find_map(|output| match output {
            Output::Ask { job, .. } => Some(job.id.clone()),
            _ => None,
        });
        for output in outputs {
            assert!(!self.stopped, "nothing comes after Stopped, but {output:?}");
            match output {
                Output::Send(frame) => self.sent(&frame),
                Output::Notice(Notice::OfferAnswered { job, answer, .. }) => {
                    assert_eq!(
                        self.uncounted.pop(),
                        Some((job.id, answer.label())),
                        "each answer is reported once"
                    );
                }
                Output::Ask { offer, job } => {
                    self.slots.insert(job.id.clone(), Holds::Offer);
                    self.asked.insert(job.id.clone(), offer);
                }
                Output::Start { job, token, .. } => {
                    assert_eq!(Secret::expose(&token), "");
                    self.over.remove(&job.id);
                    self.attempt(&job.id, 1);
                    self.final_status.remove(&job.id);
                    self.in_room.insert(job.id.clone(), true);
                    self.starts += 1;
                }
                Output::Retry { job, attempt } => {
                    assert_eq!(self.attempts[&job] + 1, attempt, "I2: an attempt of {job} is left out");
                    assert!(attempt <= 3, "more attempts of {job} than allowed");
                    assert!(!self.draining, "{job} is retried while draining");
                    assert!(!self.over.contains(&job), "{job} is retried though it was to stop");
                    self.attempt(&job, attempt);
                }
                Output::Clean { job, attempt, within } => {
                    assert!(self.dirty.remove(&job), "I6: a second cleanup of {job}");
                    assert_eq!(self.attempts[&job], attempt);
                    assert!(within <= Duration::from_secs(10) && within >= Duration::from_secs(1));
                    self.slots.insert(job.clone(), Holds::Cleanup);
                    self.cleaning.push((job, attempt));
                }
                Output::Moved { job, to: Lifecycle::Failed | Lifecycle::Success } => {
                    if self.slots.get(&job.id) != Some(&Holds::Stuck) {
                        self.slots.remove(&job.id);
                    }
                }
                Output::Notice(Notice::Retrying { job, .. }) => {
                    self.slots.insert(job, Holds::Wait);
                }
                Output::Notice(Notice::Stuck { job }) => {
                    self.slots.insert(job, Holds::Stuck);
                }
                Output::Cancel { job, .. } => {
                    self.over.insert(job);
                }
                Output::Ended(ended) => {
                    assert!(
                        !self.dirty.contains(&ended.job.id),
                        "I6: {} ends before its cleanup",
                        ended.job.id
                    );
                    self.ended += 1;
                    self.in_room.entry(ended.job.id.clone()).or_insert(true);
                }
                Output::Leave { job } => {
                    let sent = self.final_status.contains_key(&job);
                    assert!(
                        sent || !self.worker.is_registered(),
                        "I5: {job} leaves before its status was sent"
                    );
                    let (at, number) = self.status_sent_at.get(&job).copied().unwrap_or((self.now, 0));
                    assert!(
                        self.read > number
                            || self.now >= at + Duration::from_secs(5)
                            || !self.worker.is_registered()
                            || stopping
                            || again.as_ref() == Some(&job),
                        "I5: {job} leaves before the server has read its status"
                    );
                    assert_eq!(
                        self.in_room.remove(&job),
                        Some(true),
                        "{job} leaves a room that it is not in"
                    );
                    // The attempt of a stopped worker may still exist; its task was aborted.
                }
                Output::Disconnect => self.lost(),
                Output::Stopped(_) => {
                    self.slots.clear();
                    self.stopped = true;
                }
                Output::Connect | Output::Abort { .. } | Output::Moved { .. } => {}
                Output::Notice(_) => {}
            }
        }
        self.connected = self.worker.is_registered();
        let mut slots = SlotCounts::default();
        for holds in self.slots.values() {
            match holds {
                Holds::Offer => slots.offered += 1,
                Holds::Acceptance => slots.accepted += 1,
                Holds::Attempt => slots.running += 1,
                Holds::Cleanup => slots.cleaning += 1,
                Holds::Wait => slots.backing_off += 1,
                Holds::Stuck => slots.stuck += 1,
            }
        }
        assert_eq!((self.worker.slots(), self.worker.used_slots()), (slots, slots.used()), "I10");
        assert!(self.uncounted.is_empty(), "I1: not reported: {:?}", self.uncounted);
        assert!(slots.used() <= SLOTS, "I10: {slots:?}");
        if let Some((at, timer)) = self.worker.poll_timeout() {
            assert!(at > self.now, "{timer:?} at {at} is not later than {}", self.now);
        }
    }

    fn attempt(&mut self, job: &JobId, attempt: u32) {
        assert!(self.running.insert(job.clone(), attempt).is_none(), "I2: two attempts of {job}");
        assert!(
            self.dirty.insert(job.clone()),
            "I6: attempt {attempt} of {job} before the cleanup of the last"
        );
        self.attempts.insert(job.clone(), attempt);
        self.slots.insert(job.clone(), Holds::Attempt);
    }

    fn lost(&mut self) {
        self.connected = false;
        self.owed.clear();
        self.pings.clear();
        (self.sent, self.read) = (0, 0);
    }

    fn sent(&mut self, frame: &Bytes) {
        self.sent += 1;
        self.pings.extend(crate::rig::ping_in(frame).map(|stamp| (self.sent, stamp)));
        let message: wire::WorkerMessage = decode(frame, MAX_FRAME_LEN).unwrap();
        match message.message.unwrap() {
            worker_message::Message::Availability(answer) => {
                let owed = self.owed.get_mut(&JobId::new(&answer.job_id)).and_then(Vec::pop);
                assert!(owed.is_some(), "I1: an answer for {} without an offer", answer.job_id);
                let job = JobId::new(&answer.job_id);
                let label = match (answer.available, answer.terminate) {
                    (true, _) => "accepted",
                    (false, true) => "dismissed",
                    (false, false) => "declined",
                };
                self.uncounted.push((job.clone(), label));
                match self.slots.get(&job) {
                    Some(Holds::Offer) if answer.available => {
                        self.slots.insert(job, Holds::Acceptance);
                    }
                    Some(Holds::Offer) => {
                        self.slots.remove(&job);
                    }
                    _ => {}
                }
            }
            worker_message::Message::UpdateJob(update) if update.status() != wire::JobStatus::JsRunning => {
                self.status_sent_at.insert(JobId::new(&update.job_id), (self.now, self.sent));
                let now = (update.status(), update.error.clone());
                let before = self.final_status.insert(JobId::new(&update.job_id), now.clone());
                assert!(
                    before.is_none_or(|before| before == now),
                    "I5: two final statuses of {}",
                    update.job_id
                );
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_keeps_the_promises(seed: u64, ops in proptest::collection::vec(op(), 1..80)) {
        let mut world = World::new(seed);
        for op in ops {
            world.apply(op);
        }
        // Then the worker is stopped, and everything must end.
        world.apply(Op::Drain(5));
        world.pass(20_000 + 11_000); // the longest drain above, if it came first
        prop_assert!(world.stopped, "I7: not stopped after limit, grace and 1 s");
        prop_assert_eq!(world.ended, world.starts + world.failed_unstarted, "I3: one outcome for each assignment");
        prop_assert!(world.in_room.is_empty(), "every room is left: {:?}", world.in_room);
        prop_assert!(world.dirty.is_empty(), "I6: no cleanup for {:?}", world.dirty);
    }
}
