//! The server machine with a clock, its workers' sockets and its members' rooms: the state that the parts of
//! a mock server share.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use agent_net::Secret;
use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message;
use agent_proto::watch;
use agent_room::{
    AutoSubscribe, CommandId, MediaFrame, OutgoingMedia, RoomEvent, RpcCall, RpcError, RpcErrorCode,
};

use crate::event_log::EventLog;
use crate::front::{self, JoinRefusal, ToWorker, WorkerLink};
use crate::machine::{
    Call, Grant, Input, Join, MemberId, Output, Refusal, Reply, RequestId, Rules, Server, ServerEvent,
    WorkerId,
};
use crate::stay::{FrameReceiver, MemberEvent, Stay};
use crate::token;

/// The shared state of all handles of one mock server.
pub struct Hub {
    /// The required issuer of every token.
    pub api_key: String,
    /// The secret that every token must be signed with.
    pub api_secret: Secret,
    started: Instant,
    state: Mutex<State>,
    /// Notified when the machine has to be woken earlier than planned.
    earlier: Notify,
    /// The number of entries logged so far.
    logged: watch::Sender<u64>,
}

struct State {
    server: Server,
    workers: HashMap<WorkerId, WorkerConn>,
    members: HashMap<MemberId, mpsc::UnboundedSender<MemberEvent>>,
    /// Where the results of calls of methods go.
    calls: HashMap<(MemberId, CommandId), oneshot::Sender<Result<String, RpcError>>>,
    /// The receivers of the frames that members are sent.
    receivers: HashMap<MemberId, Arc<dyn FrameReceiver>>,
    /// The reply to the current request.
    reply: Option<(RequestId, Result<Reply, Refusal>)>,
    /// The id of the last worker, member or request.
    last_id: u64,
    log: EventLog,
    clock_sleeps_until: Option<Time>,
    faults: Faults,
    /// The URL of this server in assignments.
    assigned_url: Option<String>,
}

/// The sending ends of one worker's connection.
struct WorkerConn {
    outbox: mpsc::UnboundedSender<ToWorker>,
    frozen: watch::Sender<bool>,
}

/// Deliberate faults of the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Whether nothing is read or written.
    pub frozen: bool,
    /// Whether each message is sent twice.
    pub doubled: bool,
    /// Whether new connections are ended immediately.
    pub refusing: bool,
    /// Whether no messages are sent.
    pub mute: bool,
    /// The response that refuses joins, if any.
    pub join_refusal: Option<JoinRefusal>,
    /// The delay of each message.
    pub delay: Duration,
}

impl Hub {
    /// Creates a hub with these credentials and rules. [`keep_time`](Self::keep_time) has to run beside it.
    pub fn new(api_key: String, api_secret: Secret, mut rules: Rules) -> Arc<Self> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        rules.epoch_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        Arc::new(Self {
            api_key,
            api_secret,
            started: Instant::now(),
            state: Mutex::new(State {
                log: EventLog::new(rules.history),
                server: Server::new(rules),
                workers: HashMap::new(),
                members: HashMap::new(),
                calls: HashMap::new(),
                receivers: HashMap::new(),
                reply: None,
                last_id: 0,
                clock_sleeps_until: None,
                faults: Faults::default(),
                assigned_url: None,
            }),
            earlier: Notify::new(),
            logged: watch::Sender::new(0),
        })
    }

    /// Serves one byte stream (TCP, or an in-memory pipe) until it ends; dropping the future cuts it.
    pub async fn serve<IO>(self: Arc<Self>, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        front::serve(io, self).await;
    }

    /// Runs the machine's timers until it is dropped.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            // Under one lock: an earlier timer of another thread is either seen here, or wakes this sleep.
            let next = self.with_state(|state, now| {
                state.server.handle_timeout(now);
                self.carry_out_all(state, now);
                state.clock_sleeps_until = state.server.poll_timeout();
                state.clock_sleeps_until
            });
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.started + (at - Time::ZERO)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = sleep => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// The time since this hub was created.
    pub fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    /// Passes an input to the machine and carries out its outputs.
    pub fn input(&self, input: Input) {
        self.with_state(|state, now| {
            state.server.handle_input(input, now);
            self.carry_out_all(state, now);
        });
    }

    /// Passes a request to the machine, carries out its outputs, and returns the reply.
    ///
    /// # Errors
    /// The machine's reason for a refusal.
    pub fn call<C: Call>(&self, call: C) -> Result<C::Reply, Refusal> {
        let reply = self.with_state(|state, now| self.call_with(state, call, now));
        // Not every change is logged, for example a track.
        self.logged.send_modify(|_| {});
        reply
    }

    /// Reads the current state of the machine.
    pub fn inspect<T>(&self, read: impl FnOnce(&Server) -> T) -> T {
        self.with_state(|state, now| {
            state.server.handle_timeout(now);
            self.carry_out_all(state, now);
            read(&state.server)
        })
    }

    /// Joins a participant to a room; `auto_subscribe` decides which tracks of others it is sent.
    ///
    /// # Errors
    /// The reason for a refusal.
    pub fn join(&self, grant: Grant, auto_subscribe: AutoSubscribe) -> Result<Stay, Refusal> {
        // Under one lock, so that no event is missed.
        self.with_state(|state, now| {
            let member = state.next_id();
            let (sender, events) = mpsc::unbounded_channel();
            state.members.insert(member, sender);
            let join = Join { auto_subscribe, ..Join::new(member, grant) };
            let joined = self.call_with(state, join, now);
            if joined.is_err() {
                state.members.remove(&member);
            }
            Ok(Stay { member, connected: joined?, events })
        })
    }

    /// Calls a method of another participant. The future is ready when the call has its result; the call is
    /// made also if it is dropped.
    pub fn call_method(
        &self,
        member: MemberId,
        call: RpcCall,
    ) -> impl Future<Output = Result<String, RpcError>> + Send + 'static {
        let result = self.with_state(|state, now| {
            let id = state.next_id();
            let (sender, result) = oneshot::channel();
            state.calls.insert((member, id), sender);
            state.server.handle_input(Input::Called { member, id, call }, now);
            self.carry_out_all(state, now);
            result
        });
        async move {
            // The machine ends each call.
            result.await.unwrap_or_else(|_| Err(RpcErrorCode::RecipientDisconnected.into()))
        }
    }

    /// A number that no worker, participant or request of this server has.
    pub fn new_id(&self) -> u64 {
        self.lock().next_id()
    }

    /// Has the frames that a member is sent taken by `receiver`, until the member is out of its room.
    pub fn receive_frames(&self, member: MemberId, receiver: impl FrameReceiver) {
        let mut state = self.lock();
        if state.members.contains_key(&member) {
            state.receivers.insert(member, Arc::new(receiver));
            // Nothing was logged, but a task that waits for a reader has to check again.
            self.logged.send_modify(|_| {});
        }
    }

    /// Sends a frame of a participant's track to all who are sent that track. It has arrived when this
    /// returns.
    pub fn send_frame(&self, room: &str, publisher: &str, track_sid: &str, frame: impl Into<MediaFrame>) {
        let frame = frame.into();
        for receiver in self.receivers(room, publisher, track_sid) {
            receiver.receive(track_sid, frame.clone());
        }
    }

    /// Sends a frame of a track that a member has published with this command to all who are sent it. It has
    /// arrived when this returns.
    pub fn send_own_frame(&self, member: MemberId, track: CommandId, frame: OutgoingMedia) {
        let routed = self.with_state(|state, now| {
            state.server.handle_timeout(now);
            self.carry_out_all(state, now);
            state.server.route_frame(member, track, frame)
        });
        if let Some(routed) = routed {
            self.send_frame(&routed.room, &routed.publisher, &routed.track_sid, routed.frame);
            // Nothing was logged, but a task that waits for a frame has to check again.
            self.logged.send_modify(|_| {});
        }
    }

    /// Waits until a subscriber of this track reads it: frames that are sent from then on arrive.
    pub async fn wait_for_reader(&self, room: &str, publisher: &str, track_sid: &str) {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let receivers = self.receivers(room, publisher, track_sid);
            let mut readers: Vec<_> = receivers.iter().map(|receiver| receiver.reader(track_sid)).collect();
            let any = poll_fn(|cx| {
                let read = readers.iter_mut().any(|reader| reader.as_mut().poll(cx).is_ready());
                if read { Poll::Ready(()) } else { Poll::Pending }
            });
            tokio::select! {
                biased;
                () = any => return,
                // The sender is ours.
                _ = changes.changed() => {}
            }
        }
    }

    fn receivers(&self, room: &str, publisher: &str, track_sid: &str) -> Vec<Arc<dyn FrameReceiver>> {
        let state = self.lock();
        let members = state.server.receivers(room, publisher, track_sid);
        members.iter().filter_map(|member| state.receivers.get(member).cloned()).collect()
    }

    fn call_with<C: Call>(&self, state: &mut State, call: C, now: Time) -> Result<C::Reply, Refusal> {
        let id = state.next_id();
        state.server.handle_input(Input::Requested { id, request: call.into() }, now);
        self.carry_out_all(state, now);
        let reply = state.reply.take().filter(|(of, _)| *of == id).map(|(_, reply)| reply);
        C::reply(reply.unwrap_or(Err(Refusal::NoReply))?).ok_or(Refusal::NoReply)
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State, Time) -> T) -> T {
        let mut state = self.lock();
        change(&mut state, self.now())
    }

    fn carry_out_all(&self, state: &mut State, now: Time) {
        while let Some(output) = state.server.poll_output() {
            self.carry_out(state, output, now);
        }
        let wakes = state.server.poll_timeout();
        if wakes.is_some_and(|wake| state.clock_sleeps_until.is_none_or(|sleeps| wake < sleeps)) {
            self.earlier.notify_one();
        }
        self.announce_log(state);
    }

    fn announce_log(&self, state: &State) {
        let logged = state.log.count();
        self.logged.send_if_modified(|before| std::mem::replace(before, logged) != logged);
    }

    /// The newest log entries, with their times since the server was created.
    pub fn log(&self) -> Vec<(Time, ServerEvent)> {
        self.lock().log.to_vec()
    }

    /// Logs an event from outside the machine.
    pub fn note(&self, event: ServerEvent) {
        self.with_state(|state, now| {
            state.log.push(now, event);
            self.announce_log(state);
        });
    }

    /// A receiver that changes with every log entry, request and frame.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.logged.subscribe()
    }

    /// Waits until `look` returns a value. It is called again after every log entry and request.
    pub async fn until<T>(&self, mut look: impl FnMut(&Server) -> Option<T>) -> T {
        let mut logged = self.logged.subscribe();
        loop {
            logged.borrow_and_update();
            if let Some(found) = self.inspect(&mut look) {
                return found;
            }
            if logged.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns the first match of `pick` among past and future log entries; checks each entry once.
    pub async fn find<T>(&self, pick: impl FnMut(&ServerEvent) -> Option<T>) -> T {
        self.find_from(&mut 0, pick).await
    }

    /// As [`find`](Self::find), starting at entry `next`, which is then set to the entry after the match.
    pub async fn find_from<T>(&self, next: &mut u64, mut pick: impl FnMut(&ServerEvent) -> Option<T>) -> T {
        let mut logged = self.logged.subscribe();
        loop {
            // A copy, as the caller's function may call the hub.
            let events: Vec<ServerEvent> = {
                let state = self.lock();
                let (first, events) = state.log.from(*next);
                *next = first;
                events.cloned().collect()
            };
            for event in &events {
                *next += 1;
                if let Some(found) = pick(event) {
                    return found;
                }
            }
            let seen = *next;
            if logged.wait_for(|entries| *entries > seen).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(crate) fn connect_worker(&self) -> WorkerLink {
        self.with_state(|state, now| {
            let id = state.next_id();
            let (outbox, taken) = mpsc::unbounded_channel();
            let (frozen, is_frozen) = watch::channel(state.faults.frozen);
            state.workers.insert(id, WorkerConn { outbox, frozen });
            state.server.handle_input(Input::WorkerConnected { worker: id }, now);
            self.carry_out_all(state, now);
            WorkerLink { id, outbox: taken, frozen: is_frozen }
        })
    }

    pub(crate) fn disconnect_worker(&self, worker: WorkerId) {
        self.with_state(|state, now| {
            state.workers.remove(&worker);
            state.server.handle_input(Input::WorkerGone { worker }, now);
            self.carry_out_all(state, now);
        });
    }

    /// Sends a command to every connected worker.
    pub fn to_workers(&self, make: impl Fn() -> ToWorker) {
        for conn in self.lock().workers.values() {
            let _ = conn.outbox.send(make());
        }
    }

    /// Changes the faults.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut state = self.lock();
        change(&mut state.faults);
        let frozen = state.faults.frozen;
        for conn in state.workers.values() {
            conn.frozen.send_replace(frozen);
        }
    }

    /// Sets the URL that assignments name from now on.
    pub fn set_assigned_url(&self, url: String) {
        self.lock().assigned_url = Some(url);
    }

    /// The response that refuses a join now, which is logged; `None`: joins are not refused.
    pub fn refuse_join(&self) -> Option<JoinRefusal> {
        let refusal = self.faults().join_refusal?;
        self.note(ServerEvent::JoinRefused { status: refusal.status });
        Some(refusal)
    }

    /// The current faults.
    pub fn faults(&self) -> Faults {
        self.lock().faults
    }

    fn carry_out(&self, state: &mut State, output: Output, now: Time) {
        match output {
            Output::Send { worker, message } => state.write(worker, message),
            Output::Assign { worker, job, grant } => {
                let token = token::of_agent(*grant, &self.api_key, &self.api_secret);
                let url = state.assigned_url.clone();
                let assignment = wire::JobAssignment { job: Some(*job), token, url };
                let message = Some(server_message::Message::Assignment(assignment));
                state.write(worker, Box::new(wire::ServerMessage { message }));
            }
            Output::Close { worker, reason } => {
                if let Some(conn) = state.workers.get(&worker) {
                    let _ = conn.outbox.send(ToWorker::Close { code: 1000, reason: reason.to_owned() });
                }
            }
            Output::Notify { member, event } => {
                let is_last = matches!(event, RoomEvent::Disconnected { .. });
                state.notify(member, MemberEvent::Room(event));
                if is_last {
                    state.members.remove(&member);
                    state.receivers.remove(&member);
                }
            }
            Output::Stream { member, event } => state.notify(member, MemberEvent::Stream(event)),
            Output::DataFrame { member, sid, frame } => {
                state.notify(member, MemberEvent::DataFrame { sid, frame });
            }
            Output::LocalTrack { member, id, track } => {
                state.notify(member, MemberEvent::LocalTrack(id, track));
            }
            Output::Requested { member, request } => state.notify(member, MemberEvent::Requested(request)),
            Output::CallDone { member, id, result } => {
                if let Some(caller) = state.calls.remove(&(member, id)) {
                    // The caller may be gone.
                    let _ = caller.send(result);
                }
            }
            Output::Reply { id, reply } => state.reply = Some((id, reply)),
            Output::Log(event) => state.log.push(now, event),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Participants without an event channel receive nothing.
    fn notify(&self, member: MemberId, event: MemberEvent) {
        if let Some(sender) = self.members.get(&member) {
            let _ = sender.send(event);
        }
    }

    fn write(&self, worker: WorkerId, message: Box<wire::ServerMessage>) {
        let Some(conn) = self.workers.get(&worker) else { return };
        if self.faults.mute {
            return;
        }
        let due = Instant::now() + self.faults.delay;
        if self.faults.doubled {
            let _ = conn.outbox.send(ToWorker::Message { message: message.clone(), due });
        }
        let _ = conn.outbox.send(ToWorker::Message { message, due });
    }
}
