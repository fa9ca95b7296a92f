//! One machine with a virtual clock, and a transcript with short names for ids.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::recording::Recorder;
use agent_room::{CommandId, DisconnectReason, RoomCommand, RoomEvent, RpcCall, StreamEvent};

use crate::machine::{
    Call, CloseRoom, CreateDispatch, DeleteDispatch, Grant, Input, Join, MemberCommand, MemberId, OpenRoom,
    Output, Refusal, Reply, RequestId, Rules, Server, WorkerId,
};

pub(super) struct Rig {
    pub(super) server: Recorder<Rules, Server>,
    now: Time,
    log: String,
    /// Short names of ids, numbered in the order of appearance: `AJ_…` is `job 1`.
    names: BTreeMap<String, String>,
    workers: BTreeMap<&'static str, WorkerId>,
    /// The last job that each worker was offered, and the grant of its token.
    offers: BTreeMap<WorkerId, String>,
    grants: BTreeMap<WorkerId, Grant>,
    members: BTreeMap<MemberId, String>,
    reply: Option<(RequestId, Result<Reply, Refusal>)>,
    /// The id of the last worker, member or request.
    last_id: u64,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Rules::default();
        change(&mut rules);
        Self {
            server: Recorder::new(rules, Server::new),
            now: Time::ZERO,
            log: String::new(),
            names: BTreeMap::new(),
            workers: BTreeMap::new(),
            offers: BTreeMap::new(),
            grants: BTreeMap::new(),
            members: BTreeMap::new(),
            reply: None,
            last_id: 0,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.log
    }

    pub(super) fn log(self) -> String {
        self.log
    }

    /// Handles an input, with a line for it and for each output in the transcript.
    pub(super) fn input(&mut self, what: &str, input: Input) {
        self.remark(what);
        self.silent_input(input);
    }

    /// Makes a request, with a line for it in the transcript.
    pub(super) fn call<C: Call>(&mut self, what: &str, call: C) -> Result<C::Reply, Refusal> {
        self.remark(what);
        self.silent_call(call)
    }

    /// Makes a request without a line for it in the transcript; outputs still have theirs.
    pub(super) fn silent_call<C: Call>(&mut self, call: C) -> Result<C::Reply, Refusal> {
        let id = self.next_id();
        self.silent_input(Input::Requested { id, request: call.into() });
        let (of, reply) = self.reply.take().expect("a reply");
        assert_eq!(of, id);
        Ok(C::reply(reply?).expect("the reply to such a request"))
    }

    pub(super) fn remark(&mut self, text: &str) {
        self.line(">", text);
    }

    pub(super) const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn silent_input(&mut self, input: Input) {
        self.server.handle_input(input, self.now);
        self.drain();
    }

    pub(super) fn connect(&mut self, name: &'static str) {
        let worker = self.next_id();
        self.workers.insert(name, worker);
        self.input(&format!("{name} connects"), Input::WorkerConnected { worker });
    }

    pub(super) fn sends(&mut self, name: &'static str, message: worker_message::Message) {
        let worker = self.id(name);
        let what = format!("{name} sends {}", show_received(&message));
        let message = Box::new(wire::WorkerMessage { message: Some(message) });
        self.input(&what, Input::WorkerMessage { worker, message });
    }

    pub(super) fn id(&self, name: &'static str) -> WorkerId {
        self.workers[name]
    }

    pub(super) fn register(&mut self, name: &'static str, request: wire::RegisterWorkerRequest) {
        self.sends(name, worker_message::Message::Register(request));
    }

    /// Connects a worker of this name, registered for rooms as `greeter`.
    pub(super) fn worker(&mut self, name: &'static str) {
        self.connect(name);
        self.register(name, greeter());
    }

    pub(super) fn cut(&mut self, name: &'static str) {
        let worker = self.workers[name];
        self.input(&format!("{name} is cut off"), Input::WorkerGone { worker });
    }

    /// The last job that a worker was offered.
    pub(super) fn offered(&self, name: &'static str) -> String {
        self.offers[&self.workers[name]].clone()
    }

    pub(super) fn accept(&mut self, name: &'static str) {
        let job_id = self.offered(name);
        let participant_identity = format!("agent of {name}");
        let answer = wire::AvailabilityResponse {
            job_id,
            available: true,
            participant_identity,
            ..Default::default()
        };
        self.sends(name, worker_message::Message::Availability(answer));
    }

    pub(super) fn decline(&mut self, name: &'static str) {
        let answer = wire::AvailabilityResponse { job_id: self.offered(name), ..Default::default() };
        self.sends(name, worker_message::Message::Availability(answer));
    }

    pub(super) fn dismiss(&mut self, name: &'static str) {
        let job_id = self.offered(name);
        let answer = wire::AvailabilityResponse { job_id, terminate: true, ..Default::default() };
        self.sends(name, worker_message::Message::Availability(answer));
    }

    /// Sends this status for the last job that the worker was offered.
    pub(super) fn status(&mut self, name: &'static str, status: wire::JobStatus, error: &str) {
        let job_id = self.offered(name);
        let (status, error) = (status.into(), error.to_owned());
        let update = wire::UpdateJobStatus { job_id, status, error, join_timing: None };
        self.sends(name, worker_message::Message::UpdateJob(update));
    }

    pub(super) fn load(&mut self, name: &'static str, load: f32, status: wire::WorkerStatus) {
        let update = wire::UpdateWorkerStatus { status: Some(status.into()), load, ..Default::default() };
        self.sends(name, worker_message::Message::UpdateWorker(update));
    }

    /// The agent of a worker joins the room of its assignment.
    pub(super) fn agent_joins(&mut self, name: &'static str) -> MemberId {
        let grant = self.grants[&self.workers[name]].clone();
        self.joins(grant)
    }

    pub(super) fn person_joins(&mut self, room: &str, identity: &str) -> MemberId {
        self.joins(Grant { room: room.to_owned(), identity: identity.to_owned(), ..Grant::default() })
    }

    /// A participant that may publish data, whatever else the change sets.
    pub(super) fn joins_with(
        &mut self,
        room: &str,
        identity: &str,
        change: impl FnOnce(&mut Grant),
    ) -> MemberId {
        let mut grant = Grant { room: room.to_owned(), identity: identity.to_owned(), ..Grant::default() };
        grant.permissions.can_publish_data = true;
        change(&mut grant);
        self.joins(grant)
    }

    /// A participant's command; returns the id by which a stream that it opens is known.
    pub(super) fn commands(
        &mut self,
        what: &str,
        member: MemberId,
        command: RoomCommand,
    ) -> Result<CommandId, Refusal> {
        let id = self.next_id();
        self.call(what, MemberCommand { member, id, command }).map(|()| id)
    }

    /// A participant calls a method; returns the id of the call.
    pub(super) fn calls(&mut self, what: &str, member: MemberId, call: RpcCall) -> CommandId {
        let id = self.next_id();
        self.input(what, Input::Called { member, id, call });
        id
    }

    pub(super) fn leaves(&mut self, member: MemberId) {
        let who = self.members[&member].clone();
        self.member_left(&format!("{who} leaves"), member, DisconnectReason::ClientInitiated);
    }

    pub(super) fn member_left(&mut self, what: &str, member: MemberId, reason: DisconnectReason) {
        self.input(what, Input::MemberLeft { member, reason });
    }

    /// Dispatches an agent; returns the dispatch's id.
    pub(super) fn dispatch(&mut self, agent: &str, room: &str) -> String {
        let request = wire::CreateAgentDispatchRequest {
            agent_name: agent.to_owned(),
            room: room.to_owned(),
            ..Default::default()
        };
        let what = format!("{agent:?} is dispatched to {room}");
        self.call(&what, CreateDispatch { request, ..CreateDispatch::default() }).unwrap().id
    }

    /// A worker that runs a job, whose agent is in the room.
    pub(super) fn running(&mut self, name: &'static str, room: &str) -> (String, MemberId) {
        self.worker(name);
        let dispatch = self.dispatch("greeter", room);
        self.accept(name);
        (dispatch, self.agent_joins(name))
    }

    pub(super) fn open_room(&mut self, room: &str) {
        let open = OpenRoom { name: room.to_owned(), ..OpenRoom::default() };
        self.call(&format!("{room} is made"), open).unwrap();
    }

    pub(super) fn delete_room(&mut self, room: &str) {
        let close = CloseRoom { room: room.to_owned(), reason: DisconnectReason::RoomDeleted };
        self.call(&format!("{room} is deleted"), close).unwrap();
    }

    pub(super) fn delete_dispatch(&mut self, room: &str, id: &str) {
        let what = format!("{} is deleted", self.named(id));
        self.call(&what, DeleteDispatch { room: room.to_owned(), id: id.to_owned() }).unwrap();
    }

    /// Advances the time, and calls the machine at each of its timeouts.
    pub(super) fn pass(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// Clears the transcript.
    pub(super) fn forget(&mut self) {
        self.log.clear();
    }

    fn joins(&mut self, grant: Grant) -> MemberId {
        let who = grant.identity.clone();
        let what = format!("{who} joins {}", grant.room);
        let member = self.next_id();
        self.members.insert(member, who);
        self.call(&what, Join::new(member, grant)).unwrap();
        member
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match &output {
                Output::Send { worker, message } => {
                    if let Some(server_message::Message::Availability(offer)) = &message.message {
                        self.offers.insert(*worker, offer.job.clone().unwrap().id);
                    }
                }
                Output::Assign { worker, grant, .. } => drop(self.grants.insert(*worker, (**grant).clone())),
                Output::Reply { id, reply } => {
                    self.reply = Some((*id, reply.clone()));
                    continue;
                }
                _ => {}
            }
            let shown = self.show(&output);
            self.line("<", &shown);
        }
        let next = self.server.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "after a drain its timeout is already due: {next:?}");
    }

    fn show(&self, output: &Output) -> String {
        let name = |worker: &WorkerId| {
            let found = self.workers.iter().find(|(_, id)| *id == worker);
            found.map_or("?", |(name, _)| name)
        };
        match output {
            Output::Send { worker, message } => {
                let message = message.message.as_ref().expect("no empty message");
                format!("to {}: {}", name(worker), show_sent(message))
            }
            Output::Assign { worker, job, grant } => {
                format!("to {}: assigned {} as {:?}", name(worker), job.id, grant.identity)
            }
            Output::Close { worker, reason } => format!("{} is closed: {reason}", name(worker)),
            Output::Notify { member, event } => {
                let who = self.members.get(member).map_or("?", String::as_str);
                format!("to {who}: {}", show_event(event))
            }
            Output::Stream { member, event } => {
                let who = self.members.get(member).map_or("?", String::as_str);
                format!("to {who}: {}", show_stream(event))
            }
            Output::LocalTrack { member, id, track } => {
                let who = self.members.get(member).map_or("?", String::as_str);
                format!("to {who}: the track of command {id} is {:?}", track.as_ref().map(|track| &track.sid))
            }
            Output::DataFrame { member, sid, frame } => {
                let who = self.members.get(member).map_or("?", String::as_str);
                format!("to {who}: {} bytes of {sid}", frame.payload.len())
            }
            Output::Requested { member, request } => {
                let who = self.members.get(member).map_or("?", String::as_str);
                format!(
                    "to {who}: request {} of {} to {}: {:?}, within {:?}",
                    request.request.0,
                    request.caller,
                    request.method,
                    request.payload,
                    request.response_timeout
                )
            }
            Output::CallDone { member, id, result } => {
                let who = self.members.get(member).map_or("?", String::as_str);
                format!("to {who}: call {id} is done: {result:?}")
            }
            Output::Reply { id, reply } => format!("reply to {id}: {reply:?}"),
            Output::Log(event) => format!("log {event:?}"),
        }
    }

    fn line(&mut self, mark: &str, text: &str) {
        let text = self.named(text);
        self.log += &format!("{} {mark} {text}\n", self.now);
    }

    /// The text with a short name instead of each id.
    fn named(&mut self, text: &str) -> String {
        let mut named = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('_') {
            match id_around(rest, at) {
                Some((prefix, word, id)) => {
                    named += &rest[..at - prefix.len()];
                    let count = self.names.keys().filter(|id| id.starts_with(prefix)).count();
                    named +=
                        self.names.entry(id.to_owned()).or_insert_with(|| format!("{word} {}", count + 1));
                    rest = &rest[at - prefix.len() + id.len()..];
                }
                None => {
                    named += &rest[..=at];
                    rest = &rest[at + 1..];
                }
            }
        }
        named + rest
    }
}

/// The id around this underscore, with its prefix and the name for its kind. Two letters precede it, twelve
/// follow it.
fn id_around(text: &str, underscore: usize) -> Option<(&str, &'static str, &str)> {
    let start = underscore.checked_sub(2)?;
    let (prefix, id) = (text.get(start..underscore)?, text.get(start..underscore + 13)?);
    let word = match prefix {
        "AW" => "worker",
        "AJ" => "job",
        "AD" => "dispatch",
        _ => return None,
    };
    let noise = id.get(3..)?;
    noise.chars().all(|c| c.is_ascii_alphanumeric()).then_some((prefix, word, id))
}

/// A registration for rooms as `greeter`.
pub(super) fn greeter() -> wire::RegisterWorkerRequest {
    wire::RegisterWorkerRequest { agent_name: "greeter".to_owned(), ..Default::default() }
}

fn show_received(message: &worker_message::Message) -> String {
    use worker_message::Message;
    match message {
        Message::Register(m) => {
            format!("register as {:?} for kind {} {:?}", m.agent_name, m.r#type, m.deployment)
        }
        Message::Availability(m) if m.terminate => format!("dismiss {}", m.job_id),
        Message::Availability(m) if m.available => format!("accept {}", m.job_id),
        Message::Availability(m) => format!("decline {}", m.job_id),
        Message::UpdateJob(m) => format!("{} is {:?} {:?}", m.job_id, m.status(), m.error),
        Message::UpdateWorker(m) => format!("{:?} with load {}", m.status(), m.load),
        Message::SimulateJob(m) => {
            let room = m.room.as_ref().map(|room| &room.name);
            let participant = m.participant.as_ref().map(|participant| &participant.identity);
            format!("simulate a job in {room:?} for {participant:?}")
        }
        other => format!("{other:?}"),
    }
}

fn show_sent(message: &server_message::Message) -> String {
    use server_message::Message;
    match message {
        Message::Register(m) => format!("registered as {}", m.worker_id),
        Message::Availability(m) => {
            let job = m.job.clone().unwrap();
            let target = job.participant.map(|who| format!(", for {}", who.identity)).unwrap_or_default();
            format!("will you take {}{target}?", job.id)
        }
        Message::Termination(m) => format!("{} is terminated", m.job_id),
        Message::Pong(m) => format!("pong {}", m.last_timestamp),
        other @ (Message::Assignment(_) | Message::GoAway(_)) => panic!("the machine sends none: {other:?}"),
    }
}

fn show_stream(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Opened { stream, info } => {
            format!(
                "stream {} of {:?}, topic {:?}, {:?} bytes, {:?} {:?}",
                stream.0, info.sender, info.topic, info.total_length, info.kind, info.attributes
            )
        }
        StreamEvent::Content { stream, content } if content.len() <= 100 => {
            format!("stream {}: {content:?}", stream.0)
        }
        StreamEvent::Content { stream, content } => format!("stream {}: {} bytes", stream.0, content.len()),
        StreamEvent::Ended { stream, result } => format!("stream {} ended: {result:?}", stream.0),
    }
}

fn show_event(event: &RoomEvent) -> String {
    match event {
        RoomEvent::ParticipantJoined(who) => format!("{} joined", who.identity),
        RoomEvent::ParticipantActive(who) => format!("{} is active", who.identity),
        RoomEvent::ParticipantLeft { participant, reason } => {
            format!("{} left: {reason:?}", participant.identity)
        }
        RoomEvent::Disconnected { reason } => format!("you are out: {reason:?}"),
        RoomEvent::DataReceived(data) => format!("data {:?} from {:?}", data.payload, data.sender),
        other => {
            let shown = format!("{other:?}");
            shown.split([' ', '(']).next().unwrap_or_default().to_owned()
        }
    }
}
