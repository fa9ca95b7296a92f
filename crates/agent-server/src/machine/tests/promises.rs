//! Any order of what workers, clients and time can do: no panic, no spinning, the contract of a machine, and
//! one end for each job.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::recording::Recorder;
use agent_room::{
    CommandId, DisconnectReason, IncomingStream, Permissions, Publish, RoomCommand, RoomEvent, RpcCall,
    RpcError, RpcRequestId, Speaker, StreamEvent, StreamKind, StreamOptions, TrackKind, TrackSource,
};

use crate::machine::{
    Call, Change, ChangeParticipant, CloseRoom, CreateDispatch, DeleteDispatch, Grant, Input, Join,
    MemberCommand, MemberId, MuteTrack, OpenRoom, Output, PublishTrack, Refusal, Reply, RequestId, Rules,
    SendData, Server, ServerEvent, SetRoomMetadata, UnpublishTrack, WorkerId,
};

/// Small numbers select workers, jobs, rooms and identities, some of which do not exist.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Connect,
    Register { worker: u8, agent: u8, kind: u8 },
    Answer { worker: u8, job: u8, available: bool, terminate: bool, identity: u8 },
    Status { worker: u8, job: u8, status: u8 },
    Load { worker: u8, load: f32, full: bool },
    Simulate { worker: u8, room: Option<u8>, participant: bool },
    Other { worker: u8, kind: u8 },
    Garbage { worker: u8 },
    Cut { worker: u8 },
    Dispatch { room: u8, agent: u8 },
    DeleteDispatch { room: u8, dispatch: u8 },
    OpenRoom { room: u8, agents: u8, timeout: u16 },
    CloseRoom { room: u8 },
    Join { room: u8, identity: u8, agent: bool, hidden: bool },
    Leave { member: u8, reason: u8 },
    Command { member: u8, kind: u8 },
    Stream { member: u8, kind: u8, stream: u8, to: u8 },
    Call { member: u8, to: u8, method: u8, millis: u16 },
    Method { member: u8, method: u8, registers: bool },
    Respond { member: u8, request: u8, fails: bool },
    Track { room: u8, identity: u8, kind: u8 },
    Speak { room: u8 },
    Pass(u32),
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let small = || 0u8..4;
    prop_oneof![
        3 => Just(Op::Connect),
        4 => (small(), 0u8..3, 0u8..5).prop_map(|(worker, agent, kind)| Op::Register { worker, agent, kind }),
        8 => (small(), 0u8..8, any::<bool>(), prop::bool::weighted(0.1), small()).prop_map(
            |(worker, job, available, terminate, identity)| Op::Answer { worker, job, available, terminate, identity }
        ),
        6 => (small(), 0u8..8, 0u8..6).prop_map(|(worker, job, status)| Op::Status { worker, job, status }),
        2 => (small(), any::<f32>(), any::<bool>()).prop_map(|(worker, load, full)| Op::Load { worker, load, full }),
        1 => (small(), prop::option::of(small()), any::<bool>())
            .prop_map(|(worker, room, participant)| Op::Simulate { worker, room, participant }),
        1 => (small(), 0u8..3).prop_map(|(worker, kind)| Op::Other { worker, kind }),
        1 => small().prop_map(|worker| Op::Garbage { worker }),
        2 => small().prop_map(|worker| Op::Cut { worker }),
        6 => (small(), 0u8..3).prop_map(|(room, agent)| Op::Dispatch { room, agent }),
        2 => (small(), small()).prop_map(|(room, dispatch)| Op::DeleteDispatch { room, dispatch }),
        2 => (small(), 0u8..3, 0u16..400).prop_map(|(room, agents, timeout)| Op::OpenRoom { room, agents, timeout }),
        2 => small().prop_map(|room| Op::CloseRoom { room }),
        5 => (small(), small(), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(room, identity, agent, hidden)| Op::Join { room, identity, agent, hidden }),
        3 => (0u8..8, 0u8..3).prop_map(|(member, reason)| Op::Leave { member, reason }),
        2 => (0u8..8, 0u8..5).prop_map(|(member, kind)| Op::Command { member, kind }),
        4 => (0u8..8, 0u8..4, small(), small())
            .prop_map(|(member, kind, stream, to)| Op::Stream { member, kind, stream, to }),
        4 => (0u8..8, small(), 0u8..2, 0u16..20_000)
            .prop_map(|(member, to, method, millis)| Op::Call { member, to, method, millis }),
        3 => (0u8..8, 0u8..2, prop::bool::weighted(0.8))
            .prop_map(|(member, method, registers)| Op::Method { member, method, registers }),
        3 => (0u8..8, small(), any::<bool>())
            .prop_map(|(member, request, fails)| Op::Respond { member, request, fails }),
        3 => (small(), small(), 0u8..4).prop_map(|(room, identity, kind)| Op::Track { room, identity, kind }),
        1 => small().prop_map(|room| Op::Speak { room }),
        6 => (0u32..40_000).prop_map(Op::Pass),
    ]
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    let millis = |from: u64, to: u64| (from..to).prop_map(Duration::from_millis);
    let time = prop_oneof![Just(Duration::ZERO), millis(1, 3000)];
    let patience = prop_oneof![Just(Duration::ZERO), millis(1, 400_000), Just(Duration::MAX)];
    (any::<u64>(), time.clone(), time, patience.clone(), patience.clone(), patience, 0usize..100).prop_map(
        |(seed, bookkeeping, dispatch_delay, cold_cache, empty_timeout, departure_timeout, history)| Rules {
            cold_cache,
            seed,
            history,
            bookkeeping,
            dispatch_delay,
            empty_timeout,
            departure_timeout,
            ..Rules::default()
        },
    )
}

/// The state that the mock server around the machine would have.
pub(super) struct World {
    pub(super) server: Recorder<Rules, Server>,
    now: Time,
    workers: Vec<WorkerId>,
    members: Vec<MemberId>,
    reply: Option<(RequestId, Result<Reply, Refusal>)>,
    last_id: u64,
    /// The offered jobs, in order.
    offered: Vec<String>,
    assigned: BTreeMap<String, WorkerId>,
    ended: BTreeMap<String, ServerEvent>,
    unserved: BTreeMap<String, ServerEvent>,
    /// The streams that were opened, and those that members receive.
    opened: Vec<CommandId>,
    receiving: BTreeMap<IncomingStream, MemberId>,
    /// The calls without a result, and the requests.
    calling: BTreeMap<CommandId, MemberId>,
    requests: Vec<RpcRequestId>,
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            server: Recorder::new(rules, Server::new),
            now: Time::ZERO,
            workers: Vec::new(),
            members: Vec::new(),
            reply: None,
            last_id: 0,
            offered: Vec::new(),
            assigned: BTreeMap::new(),
            ended: BTreeMap::new(),
            unserved: BTreeMap::new(),
            opened: Vec::new(),
            receiving: BTreeMap::new(),
            calling: BTreeMap::new(),
            requests: Vec::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 10_000, "the machine spins");
        }
        self.now = until;
        self.server.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.server.poll_output() {
            outputs += 1;
            assert!(outputs < 100_000, "the outputs do not end");
            self.note(output);
        }
        let next = self.server.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "now {}: it wants to be woken at {next:?}", self.now);
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::Send { worker, message } => {
                let Some(server_message::Message::Availability(offer)) = message.message else { return };
                let job = offer.job.map(|job| job.id).unwrap_or_default();
                assert!(self.workers.contains(&worker), "{job} is offered to an unknown worker");
                if !self.offered.contains(&job) {
                    self.offered.push(job);
                }
            }
            Output::Assign { worker, job, grant } => {
                assert!(self.offered.contains(&job.id), "{} was never offered", job.id);
                assert!(grant.agent && self.workers.contains(&worker));
                assert_eq!(
                    self.assigned.insert(job.id.clone(), worker),
                    None,
                    "{} is assigned twice",
                    job.id
                );
            }
            Output::Log(event @ ServerEvent::Ended { .. }) => {
                let ServerEvent::Ended { job_id, .. } = &event else { return };
                let before = self.ended.insert(job_id.clone(), event.clone());
                assert_eq!(before, None, "a second end: {event:?}");
            }
            Output::Log(event @ ServerEvent::Unserved { .. }) => {
                let ServerEvent::Unserved { job_id, .. } = &event else { return };
                // Without a worker no job is created, so there is no id.
                if !job_id.is_empty() {
                    let before = self.unserved.insert(job_id.clone(), event.clone());
                    assert_eq!(before, None, "given up twice: {event:?}");
                }
            }
            Output::Reply { id, reply } => {
                let before = self.reply.replace((id, reply));
                assert_eq!(before, None, "a second reply");
            }
            Output::LocalTrack { member, .. } => {
                assert!(self.server.members.contains_key(&member), "a track of nobody");
            }
            Output::DataFrame { member, sid, .. } => {
                assert!(self.server.members.contains_key(&member), "a frame of {sid} to nobody");
            }
            Output::Stream { member, event } => match event {
                StreamEvent::Opened { stream, .. } => {
                    assert_eq!(self.receiving.insert(stream, member), None, "{stream:?} began twice");
                }
                StreamEvent::Content { stream, content } => {
                    assert_eq!(self.receiving.get(&stream), Some(&member), "{stream:?} is not received");
                    assert!((1..=15_000).contains(&content.len()));
                }
                StreamEvent::Ended { stream, .. } => {
                    assert_eq!(self.receiving.remove(&stream), Some(member), "a second end of {stream:?}");
                }
            },
            Output::Requested { request, .. } => self.requests.push(request.request),
            Output::CallDone { member, id, .. } => {
                assert_eq!(self.calling.remove(&id), Some(member), "a second end of call {id}");
            }
            // Nobody receives anything after the end of its stay.
            Output::Notify { member, event: RoomEvent::Disconnected { .. } } => {
                assert!(self.receiving.values().all(|receiver| *receiver != member));
                assert!(self.calling.values().all(|caller| *caller != member));
            }
            Output::Close { .. } | Output::Notify { .. } | Output::Log(_) => {}
        }
    }

    fn input(&mut self, input: Input) {
        self.server.handle_input(input, self.now);
        self.drain();
        assert_eq!(self.reply, None, "a reply to no request");
    }

    fn call<C: Call>(&mut self, call: C) -> Result<C::Reply, Refusal> {
        let id = self.next_id();
        self.server.handle_input(Input::Requested { id, request: call.into() }, self.now);
        self.drain();
        let (of, reply) = self.reply.take().expect("a reply");
        assert_eq!(of, id);
        Ok(C::reply(reply?).expect("the reply to such a request"))
    }

    const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn sends(&mut self, worker: u8, message: worker_message::Message) {
        let Some(worker) = pick(&self.workers, worker) else { return };
        let message = Box::new(wire::WorkerMessage { message: Some(message) });
        self.input(Input::WorkerMessage { worker, message });
    }

    pub(super) fn apply(&mut self, op: Op) {
        use worker_message::Message;
        match op {
            Op::Connect => {
                let worker = self.next_id();
                self.workers.push(worker);
                self.input(Input::WorkerConnected { worker });
            }
            Op::Register { worker, agent, kind } => self.sends(
                worker,
                Message::Register(wire::RegisterWorkerRequest {
                    agent_name: agent_name(agent),
                    r#type: kind.into(),
                    ..Default::default()
                }),
            ),
            Op::Answer { worker, job, available, terminate, identity } => self.sends(
                worker,
                Message::Availability(wire::AvailabilityResponse {
                    job_id: self.job(job),
                    available,
                    terminate,
                    participant_identity: who(identity),
                    ..Default::default()
                }),
            ),
            Op::Status { worker, job, status } => self.sends(
                worker,
                Message::UpdateJob(wire::UpdateJobStatus {
                    job_id: self.job(job),
                    status: status.into(),
                    error: if status == 3 { "text".to_owned() } else { String::new() },
                }),
            ),
            Op::Load { worker, load, full } => self.sends(
                worker,
                Message::UpdateWorker(wire::UpdateWorkerStatus {
                    status: Some(full.into()),
                    load,
                    ..Default::default()
                }),
            ),
            Op::Simulate { worker, room, participant } => self.sends(
                worker,
                Message::SimulateJob(wire::SimulateJobRequest {
                    room: room.map(|room| wire::Room { name: name(room), ..Default::default() }),
                    participant: participant.then(wire::ParticipantInfo::default),
                    ..Default::default()
                }),
            ),
            Op::Other { worker, kind: 0 } => self.sends(worker, Message::Ping(wire::WorkerPing::default())),
            Op::Other { worker, kind: 1 } => {
                self.sends(worker, Message::MigrateJob(wire::MigrateJobRequest::default()));
            }
            Op::Other { worker, .. } => {
                let Some(worker) = pick(&self.workers, worker) else { return };
                self.input(Input::WorkerMessage { worker, message: Box::default() });
            }
            Op::Garbage { worker } => {
                let Some(worker) = pick(&self.workers, worker) else { return };
                self.input(Input::WorkerGarbage { worker, problem: "garbage".to_owned() });
            }
            Op::Cut { worker } => {
                let Some(worker) = pick(&self.workers, worker) else { return };
                self.workers.retain(|other| *other != worker);
                self.input(Input::WorkerGone { worker });
            }
            Op::Dispatch { room, agent } => {
                let request = wire::CreateAgentDispatchRequest {
                    agent_name: agent_name(agent),
                    room: name(room),
                    ..Default::default()
                };
                let id = self.call(CreateDispatch { request, ..CreateDispatch::default() }).unwrap().id;
                assert!(id.starts_with("AD_"), "{id}");
            }
            Op::DeleteDispatch { room, dispatch } => {
                let all = self.server.list_dispatches(&name(room));
                let id = pick(&all, dispatch).map_or_else(|| "AD_none".to_owned(), |dispatch| dispatch.id);
                let deleted = self.call(DeleteDispatch { room: name(room), id: id.clone() });
                assert_eq!(deleted.is_ok(), id != "AD_none");
            }
            Op::OpenRoom { room, agents, timeout } => {
                let agents = (0..agents).map(|agent| (agent_name(agent), String::new())).collect();
                let empty_timeout = Some(Duration::from_secs(timeout.into()));
                let open = OpenRoom { name: name(room), agents, empty_timeout, ..OpenRoom::default() };
                self.call(open).unwrap();
            }
            Op::CloseRoom { room } => {
                let there = self.server.participants(&name(room)).is_some();
                let closed = self.call(CloseRoom { room: name(room), reason: DisconnectReason::RoomDeleted });
                assert_eq!(there, closed.is_ok());
            }
            Op::Join { room, identity, agent, hidden } => {
                let mut grant =
                    Grant { room: name(room), identity: who(identity), agent, ..Grant::default() };
                grant.permissions.hidden = hidden;
                grant.permissions.can_publish_data = identity > 0;
                let member = self.next_id();
                let joined = self.call(Join::new(member, grant));
                self.members.extend(joined.map(|_| member));
            }
            Op::Leave { member, reason } => {
                let Some(member) = pick(&self.members, member) else { return };
                let reason = match reason {
                    0 => DisconnectReason::ClientInitiated,
                    1 => DisconnectReason::Removed,
                    _ => DisconnectReason::SignalClosed,
                };
                self.input(Input::MemberLeft { member, reason });
            }
            Op::Command { member, kind } => {
                let Some(member) = pick(&self.members, member) else { return };
                let command = match kind {
                    0 => RoomCommand::Publish(Publish::new("topic", "payload")),
                    1 => RoomCommand::SetName("name".to_owned()),
                    2 => RoomCommand::SetMetadata("metadata".to_owned()),
                    3 => RoomCommand::SetAttributes(BTreeMap::from([("k".to_owned(), "v".to_owned())])),
                    _ => RoomCommand::Leave,
                };
                let id = self.next_id();
                let _ = self.call(MemberCommand { member, id, command });
            }
            Op::Stream { member, kind, stream, to } => {
                let Some(member) = pick(&self.members, member) else { return };
                let id = self.next_id();
                let mut options = StreamOptions::new(id.to_string(), "topic", StreamKind::text());
                options.destinations.extend((to > 0).then(|| who(to)));
                let stream = pick(&self.opened, stream).unwrap_or_default();
                let content = "c".repeat(usize::from(to) * 10_000).into();
                let command = match kind {
                    0 => RoomCommand::SendStream { options: Box::new(options), content },
                    1 => RoomCommand::OpenStream(Box::new(options)),
                    2 => RoomCommand::WriteStream { stream, content },
                    _ => {
                        let attributes = BTreeMap::new();
                        RoomCommand::CloseStream { stream, reason: String::new(), attributes }
                    }
                };
                if self.call(MemberCommand { member, id, command }).is_ok() && kind == 1 {
                    self.opened.push(id);
                }
            }
            Op::Call { member, to, method, millis } => {
                let Some(member) = pick(&self.members, member) else { return };
                let id = self.next_id();
                let mut call = RpcCall::new(id.to_string(), who(to), name(method), "payload");
                call.response_timeout = Duration::from_millis(millis.into());
                self.calling.insert(id, member);
                self.input(Input::Called { member, id, call });
            }
            Op::Method { member, method, registers } => {
                let Some(member) = pick(&self.members, member) else { return };
                let command = match registers {
                    true => RoomCommand::RegisterMethod(name(method)),
                    false => RoomCommand::UnregisterMethod(name(method)),
                };
                let id = self.next_id();
                let _ = self.call(MemberCommand { member, id, command });
            }
            Op::Respond { member, request, fails } => {
                let Some(member) = pick(&self.members, member) else { return };
                let Some(request) = pick(&self.requests, request) else { return };
                let result = match fails {
                    true => Err(RpcError::new(7, "no", "")),
                    false => Ok("yes".to_owned()),
                };
                let id = self.next_id();
                let _ = self.call(MemberCommand {
                    member,
                    id,
                    command: RoomCommand::Respond { request, result },
                });
            }
            Op::Track { room, identity, kind } => {
                let (room, identity) = (name(room), who(identity));
                let there = self.server.participants(&room).unwrap_or_default();
                let me = there.iter().find(|participant| participant.identity == identity);
                let sid = me.and_then(|me| me.tracks.keys().next().cloned());
                let has_track = sid.is_some();
                let sid = sid.unwrap_or_default();
                let (expected, done) = match kind {
                    0 => {
                        let (name, source) = (String::new(), TrackSource::Microphone);
                        let publish = PublishTrack { room, identity, name, kind: TrackKind::Audio, source };
                        (me.is_some(), self.call(publish).is_ok())
                    }
                    1 => (has_track, self.call(UnpublishTrack { room, identity, sid }).is_ok()),
                    2 => (has_track, self.call(MuteTrack { room, identity, sid, muted: true }).is_ok()),
                    _ => {
                        let change =
                            Change { permissions: Some(Permissions::default()), ..Change::default() };
                        (me.is_some(), self.call(ChangeParticipant { room, identity, change }).is_ok())
                    }
                };
                assert_eq!(expected, done);
            }
            Op::Speak { room } => {
                let room = name(room);
                let speakers = vec![Speaker::new("ada", 0.5)];
                self.input(Input::SpeakersChanged { room: room.clone(), speakers });
                let _ = self.call(SetRoomMetadata { room: room.clone(), metadata: "metadata".to_owned() });
                let _ = self.call(SendData { room, message: Publish::new("topic", "payload") });
            }
            Op::Pass(millis) => self.pass(Duration::from_millis(millis.into())),
        }
    }

    fn job(&self, number: u8) -> String {
        pick(&self.offered, number).unwrap_or_else(|| "AJ_none".to_owned())
    }
}

/// One of the last items, if there is any.
fn pick<T: Clone>(of: &[T], number: u8) -> Option<T> {
    of.iter().rev().nth(number.into()).cloned()
}

fn name(room: u8) -> String {
    format!("room-{room}")
}

fn agent_name(agent: u8) -> String {
    if agent == 0 { String::new() } else { format!("agent-{agent}") }
}

/// One of these identities does not exist.
fn who(identity: u8) -> String {
    if identity == 0 { String::new() } else { format!("who-{identity}") }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events(rules in rules(), ops in prop::collection::vec(op(), 1..120)) {
        let stays = [rules.empty_timeout, rules.departure_timeout].contains(&Duration::MAX);
        let most = rules.history.max(1);
        let mut world = World::new(rules);
        for op in ops {
            world.apply(op);
        }
        // Everybody leaves: then every job is finished, every room closes, and the machine has no timers.
        for member in std::mem::take(&mut world.members) {
            world.input(Input::MemberLeft { member, reason: DisconnectReason::ClientInitiated });
        }
        // A job that waits for the answer of one is offered to the next of those that are still there.
        while let Some(worker) = world.workers.pop() {
            world.input(Input::WorkerGone { worker });
        }
        world.pass(Duration::from_secs(1000));
        if !stays {
            prop_assert_eq!(world.server.room_infos().len(), 0);
        }
        prop_assert_eq!(world.server.poll_timeout(), None);
        // Every stream and call has ended, and nothing of them is left.
        prop_assert!(world.receiving.is_empty() && world.calling.is_empty());
        prop_assert!(world.server.streams.is_empty() && world.server.calls.is_empty());
        prop_assert!(world.server.methods.is_empty() && world.server.kept_of_streams == 0);
        // Nothing is kept twice, or forever.
        let over = &world.server.over;
        prop_assert!(over.len() <= most && over.len() == world.server.jobs.len(), "{} are kept", over.len());
        prop_assert!(over.iter().all(|(id, _)| world.server.jobs.contains_key(id)));
        for job in &world.offered {
            let ends = [world.assigned.contains_key(job), world.unserved.contains_key(job)];
            // A dismissed job ends without an assignment.
            prop_assert!(ends != [true, true], "{} was assigned and given up", job);
            prop_assert!(ends != [false, false] || world.ended.contains_key(job), "{} hangs", job);
        }
    }

    #[test]
    fn the_same_seed_and_events_are_the_same_outputs(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..60)) {
        let play = || {
            let mut world = World::new(Rules { seed, ..Rules::default() });
            for op in ops.clone() {
                world.apply(op);
            }
            (world.offered, world.assigned, format!("{:?} {:?}", world.ended, world.unserved))
        };
        prop_assert_eq!(play(), play());
    }
}
