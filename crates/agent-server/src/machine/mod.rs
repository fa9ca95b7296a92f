//! The rules of a LiveKit server towards its workers, as one machine without I/O.
//!
//! Written from facts about livekit-server 1.13.5 and checked by the conformance suite. The contract is that
//! of every machine here: pass inputs to [`Server::handle_input`], and call [`Server::handle_timeout`] when
//! the time of [`Server::poll_timeout`] has come; then drain [`Server::poll_output`] until it returns `None`,
//! and carry out the outputs in that order. A request is an input, too, and its [`Output::Reply`] is among
//! the outputs that follow. The mock server drives the machine with sockets, tests drive it with virtual
//! time.
//!
//! ```
//! use agent_server::{Input, OpenRoom, Output, Reply, Rules, Server};
//! use agent_proto::Time;
//!
//! let mut server = Server::new(Rules::default());
//! let open = OpenRoom { name: "lobby".to_owned(), ..OpenRoom::default() };
//! server.handle_input(Input::Requested { id: 1, request: open.into() }, Time::ZERO);
//! let Some(Output::Reply { id: 1, reply: Ok(Reply::Room(room)) }) = server.poll_output() else { panic!() };
//! assert_eq!(room.name, "lobby");
//! ```
//!
//! With the feature `serde` a run can be recorded: the [`Rules`], and each [`Input`] with its time (or only
//! the time, for [`Server::handle_timeout`]), can be serialized and deserialized. A new machine with the same
//! calls produces the same outputs, which can be serialized. A recording contains no tokens, as the driver
//! makes and checks them; it contains what workers and participants send.
//!
//! - `io`, `request`, `event`, `rules`: inputs and outputs, requests, log events, and configuration.
//! - `entries`: the state.
//! - `workers`: registration, messages, the choice of the next worker.
//! - `jobs`: from the offer to the recorded end.
//! - `dispatches`: which jobs a room, a participant or an API call makes.
//! - `rooms`: rooms and their participants.
//! - `changes`: changes and messages in a room, and who is notified.
//! - `streams`, `calls`, `data_tracks`: text and byte streams, remote procedure calls and data tracks of
//!   participants.
//! - `own_tracks`: the audio tracks of participants, and their frames. `tracks`: their state.
//! - `sent`, `history`: what was sent and called, for tests.

mod calls;
mod changes;
mod data_tracks;
mod dispatches;
mod entries;
mod event;
mod history;
mod io;
mod jobs;
mod own_tracks;
mod request;
mod rooms;
mod rules;
mod sent;
mod streams;
mod subscriptions;
mod tracks;
mod wire;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use agent_proto::Time;
use agent_proto::recording::Machine;
use agent_room::{CommandId, RoomEvent, RpcRequestId};

pub use event::{OfferAnswer, RecordedStatus, ServerEvent, Violation};
pub use history::MAX_HISTORY_LEN;
pub use io::{Input, Output, WorkerId};
pub use request::{
    Call, Change, ChangeParticipant, CloseRoom, CreateDispatch, DeleteDispatch, Grant, JobFlags, Join,
    MemberCommand, MemberId, MuteTrack, OpenRoom, PublishTrack, Refusal, RemoveParticipant, Reply, Request,
    RequestId, SendData, SetRoomMetadata, UnpublishTrack,
};
pub use rules::Rules;
pub use sent::{RecordedCall, Sent, SentFrame, SentStream};
pub use tracks::RoutedFrame;
pub(crate) use wire::{filled, to_wire_participant, to_wire_room, to_wire_track};

use entries::{DataTracks, JobEntry, OpenStream, PendingCall, RoomEntry, WorkerEntry};
use history::History;
use tracks::OwnTracks;

const NEVER: Time = Time::from_nanos(u64::MAX);

/// A timer of the machine. A timer that has become obsolete does nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Registration deadline of a worker.
    Register(WorkerId),
    /// The dispatch delay has passed.
    Launch(String),
    /// The time to find a worker for the job has passed.
    JobBudget(String),
    /// The server has recorded the job.
    Bookkeeping(String),
    /// The room that started the job learns of it.
    RoomKnows(String),
    /// A worker is notified that its job was ended.
    Termination(WorkerId, String),
    /// An agent whose dispatch was deleted is removed.
    Removal(String, MemberId),
    /// A room has been without people for its timeout. The number identifies the period without people.
    Empty(String, u64),
    /// A call has had no answer in time.
    Call(RpcRequestId),
}

/// A LiveKit server without I/O.
pub struct Server {
    rules: Rules,
    rng: fastrand::Rng,
    now: Time,
    workers: BTreeMap<WorkerId, WorkerEntry>,
    /// Boxed, as they are large and a tree moves its entries.
    jobs: BTreeMap<String, Box<JobEntry>>,
    /// The finished jobs, oldest first, with the length of each in bytes.
    over: VecDeque<(String, usize)>,
    over_len: usize,
    rooms: BTreeMap<String, RoomEntry>,
    /// The messages sent in rooms, also in closed ones.
    sent: History<Sent>,
    /// The streams that were sent in rooms, and are over.
    sent_streams: History<SentStream>,
    /// The frames of tracks that members publish themselves.
    sent_frames: History<SentFrame>,
    own_tracks: OwnTracks,
    /// The calls in rooms that have their result.
    recorded_calls: History<RecordedCall>,
    /// The streams that members write in parts, by the command that opened each.
    streams: BTreeMap<(MemberId, CommandId), OpenStream>,
    /// The content of those that is kept for tests, in bytes.
    kept_of_streams: usize,
    /// The methods that members have registered.
    methods: BTreeMap<MemberId, BTreeSet<String>>,
    calls: BTreeMap<RpcRequestId, PendingCall>,
    data_tracks: DataTracks,
    /// The room of each member.
    members: BTreeMap<MemberId, String>,
    /// The time of the last lookup of workers, if its result is still valid.
    last_lookup: Option<Time>,
    /// The id of the next job, if a test sets it.
    next_job_id: Option<String>,
    ids: u64,
    timers: BTreeSet<(Time, Timer)>,
    out: VecDeque<Output>,
}

impl Server {
    /// Creates a server without workers and rooms.
    pub fn new(mut rules: Rules) -> Self {
        // The newest finished job must be kept until its end was reported.
        rules.history = rules.history.max(1);
        Self {
            rng: fastrand::Rng::with_seed(rules.seed),
            sent: History::new(rules.history),
            sent_streams: History::new(rules.history),
            sent_frames: History::new(rules.history),
            own_tracks: OwnTracks::default(),
            recorded_calls: History::new(rules.history),
            streams: BTreeMap::new(),
            kept_of_streams: 0,
            methods: BTreeMap::new(),
            calls: BTreeMap::new(),
            data_tracks: DataTracks::default(),
            rules,
            now: Time::ZERO,
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            over: VecDeque::new(),
            over_len: 0,
            rooms: BTreeMap::new(),
            members: BTreeMap::new(),
            last_lookup: None,
            next_job_id: None,
            ids: 0,
            timers: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    /// Handles an input.
    pub fn handle_input(&mut self, input: Input, now: Time) {
        // Timers that were due earlier come first.
        self.handle_timeout(now);
        match input {
            Input::WorkerConnected { worker } => self.worker_connected(worker),
            Input::WorkerMessage { worker, message } => self.worker_message(worker, *message),
            Input::WorkerGarbage { worker, problem } => self.worker_garbage(worker, problem),
            Input::WorkerGone { worker } => self.worker_gone(worker),
            Input::MemberLeft { member, reason } => self.leave(member, &reason),
            Input::SpeakersChanged { room, speakers } => {
                self.notify_room(&room, &RoomEvent::SpeakersChanged(speakers));
            }
            Input::Called { member, id, call } => self.call_method(member, id, call),
            Input::Requested { id, request } => {
                let reply = self.reply(request);
                self.out.push_back(Output::Reply { id, reply });
            }
        }
        // A delay of zero ends immediately: no timer is due after a drain.
        self.do_what_is_due();
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.do_what_is_due();
    }

    /// The next output; drain it to `None` after every input and timeout.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); later than the last `now` after a drain.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn reply(&mut self, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::Join(join) => self.join(join).map(Reply::Joined),
            Request::MemberCommand(request) => {
                self.command(request).map(Reply::Done).map_err(Refusal::Command)
            }
            Request::OpenRoom(settings) => Ok(Reply::Room(self.open_room(settings))),
            Request::CloseRoom(request) => self.close_room(request).map(Reply::Done),
            Request::SetRoomMetadata(request) => self.set_room_metadata(request).map(Reply::Room),
            Request::CreateDispatch(request) => self.create_dispatch(request).map(Reply::Dispatch),
            Request::DeleteDispatch(request) => self.delete_dispatch(&request).map(Reply::Dispatch),
            Request::RemoveParticipant(request) => self.remove_participant(&request).map(Reply::Done),
            Request::ChangeParticipant(request) => self.change(request).map(Reply::Participant),
            Request::PublishTrack(request) => self.publish_track(request).map(Reply::Track),
            Request::UnpublishTrack(request) => self.unpublish_track(request).map(Reply::Done),
            Request::MuteTrack(request) => self.mute_track(&request).map(Reply::Track),
            Request::SendData(SendData { room, message }) => {
                self.send_data(&room, None, message).map(Reply::Done)
            }
        }
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
                Timer::Call(request) => self.on_call_overdue(request),
            }
        }
    }

    fn wake(&mut self, timer: Timer, after: Duration) {
        let at = self.now + after;
        // A time past the end of the clock is never reached.
        if at < NEVER {
            self.timers.insert((at, timer));
        }
    }

    fn log(&mut self, event: ServerEvent) {
        self.out.push_back(Output::Log(event));
    }

    /// A new id: a prefix, then twelve distinct letters and digits.
    fn new_id(&mut self, prefix: &str) -> String {
        let number = self.new_number();
        let noise: String = std::iter::repeat_with(|| self.rng.alphanumeric()).take(6).collect();
        format!("{prefix}{noise}{number:06}")
    }

    /// A number that nothing else on this server has.
    const fn new_number(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Nanoseconds since 1970.
    fn wall_ns(&self) -> i64 {
        let since_start = i64::try_from(self.now.as_nanos()).unwrap_or(i64::MAX);
        self.rules.epoch_ms.saturating_mul(1_000_000).saturating_add(since_start)
    }
}

impl Machine for Server {
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
