//! The server machine with a clock, its workers' sockets and its members' rooms: what the parts of a mock server share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_net::{AccessToken, Secret, TokenKind};
use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message;
use agent_room::RoomEvent;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::event_log::EventLog;
use crate::front::{self, JoinRefusal, ToWorker, WorkerLink};
use crate::machine::{Grant, MemberId, NewMember, Output, Rules, Server, ServerEvent, WorkerId};

/// How long the token of an agent is good for, as on the real server.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// What every handle of one mock server holds.
pub struct Hub {
    /// The issuer that every token must have.
    pub api_key: String,
    /// What every token must be signed with.
    pub api_secret: Secret,
    started: Instant,
    state: Mutex<State>,
    /// The machine wants to be woken earlier than the clock sleeps.
    earlier: Notify,
    /// How many entries the log has had.
    logged: watch::Sender<u64>,
}

struct State {
    server: Server,
    workers: HashMap<WorkerId, Line>,
    members: HashMap<MemberId, mpsc::UnboundedSender<RoomEvent>>,
    log: EventLog,
    clock_sleeps_until: Option<Time>,
    faults: Faults,
    /// Names this server in assignments.
    assigned_url: Option<String>,
}

/// The way to one worker.
struct Line {
    outbox: mpsc::UnboundedSender<ToWorker>,
    frozen: watch::Sender<bool>,
}

/// What the server does wrong, on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Nothing is read or written.
    pub frozen: bool,
    /// Each message goes out twice.
    pub doubled: bool,
    /// New connections are ended at once.
    pub refusing: bool,
    /// No message goes out.
    pub mute: bool,
    /// How joins of rooms are refused.
    pub join_refusal: Option<JoinRefusal>,
    /// How much later each message goes out.
    pub delay: Duration,
}

impl Hub {
    /// One with these credentials, by these rules. [`keep_time`](Self::keep_time) has to run beside it.
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
                clock_sleeps_until: None,
                faults: Faults::default(),
                assigned_url: None,
            }),
            earlier: Notify::new(),
            logged: watch::Sender::new(0),
        })
    }

    /// Serves one stream of bytes (TCP, or a pipe in memory) until it ends; dropping the future cuts it.
    pub async fn serve<IO>(self: Arc<Self>, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        front::serve(io, self).await;
    }

    /// Keeps the machine's time. Runs until it is dropped.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            // Under one lock: what another thread adds is either seen here, or wakes this sleep.
            let next = self.with_state(|state| {
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
                () = sleep => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// The time since it was made.
    pub fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    /// Does something to the machine, then what the machine wants of it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Server) -> T) -> T {
        self.with_state(|state| change(&mut state.server))
    }

    /// Lets somebody into a room; gives the events of the stay.
    pub fn join(
        &self,
        grant: Grant,
    ) -> Result<(NewMember, mpsc::UnboundedReceiver<RoomEvent>), &'static str> {
        // Under one lock, so that nothing happens unheard between the two steps.
        self.with_state(|state| {
            let joined = state.server.join(grant)?;
            let (tell, told) = mpsc::unbounded_channel();
            state.members.insert(joined.id, tell);
            Ok((joined, told))
        })
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        state.server.handle_timeout(now);
        let result = change(state);
        while let Some(output) = state.server.poll_output() {
            self.carry_out(state, output, now);
        }
        let wakes = state.server.poll_timeout();
        if wakes.is_some_and(|wake| state.clock_sleeps_until.is_none_or(|sleeps| wake < sleeps)) {
            self.earlier.notify_one();
        }
        let logged = state.log.count();
        self.logged.send_if_modified(|before| std::mem::replace(before, logged) != logged);
        result
    }

    /// What happened, with its time since the server was made: the newest entries.
    pub fn log(&self) -> Vec<(Time, ServerEvent)> {
        self.lock().log.to_vec()
    }

    /// Something happened that is no matter of the machine.
    pub fn note(&self, event: ServerEvent) {
        self.with(|server| server.log(event));
    }

    /// Changes whenever something was logged.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.logged.subscribe()
    }

    /// Waits until there is what `look` looks for. It looks again whenever something was logged.
    pub async fn until<T>(&self, mut look: impl FnMut(&Server) -> Option<T>) -> T {
        let mut logged = self.logged.subscribe();
        loop {
            logged.borrow_and_update();
            if let Some(found) = self.with(|server| look(server)) {
                return found;
            }
            if logged.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The first thing in the log that `pick` takes, now or later; looks at each entry once.
    pub async fn find<T>(&self, pick: impl FnMut(&ServerEvent) -> Option<T>) -> T {
        self.find_from(&mut 0, pick).await
    }

    /// As [`find`](Self::find), from an entry on; that is then the one after what was found.
    pub async fn find_from<T>(&self, next: &mut u64, mut pick: impl FnMut(&ServerEvent) -> Option<T>) -> T {
        let mut logged = self.logged.subscribe();
        loop {
            {
                let state = self.lock();
                let (first, events) = state.log.from(*next);
                *next = first;
                for event in events {
                    *next += 1;
                    if let Some(found) = pick(event) {
                        return found;
                    }
                }
            }
            let seen = *next;
            if logged.wait_for(|entries| *entries > seen).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(crate) fn connect_worker(&self) -> WorkerLink {
        self.with_state(|state| {
            let id = state.server.worker_connected();
            let (outbox, taken) = mpsc::unbounded_channel();
            let (frozen, is_frozen) = watch::channel(state.faults.frozen);
            state.workers.insert(id, Line { outbox, frozen });
            WorkerLink { id, outbox: taken, frozen: is_frozen }
        })
    }

    pub(crate) fn disconnect_worker(&self, worker: WorkerId) {
        self.with_state(|state| {
            state.workers.remove(&worker);
            state.server.worker_gone(worker);
        });
    }

    /// Writes something to every worker that is connected.
    pub fn to_workers(&self, make: impl Fn() -> ToWorker) {
        for line in self.lock().workers.values() {
            let _ = line.outbox.send(make());
        }
    }

    /// Changes what the server does wrong.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut state = self.lock();
        change(&mut state.faults);
        let frozen = state.faults.frozen;
        for line in state.workers.values() {
            line.frozen.send_replace(frozen);
        }
    }

    /// Assignments name this server from now on.
    pub fn set_assigned_url(&self, url: String) {
        self.lock().assigned_url = Some(url);
    }

    /// How the join of a room is refused now, which is written to the log; `None`: it is not.
    pub fn refuse_join(&self) -> Option<JoinRefusal> {
        let refusal = self.faults().join_refusal?;
        self.note(ServerEvent::JoinRefused { status: refusal.status });
        Some(refusal)
    }

    /// What the server does wrong now.
    pub fn faults(&self) -> Faults {
        self.lock().faults
    }

    fn carry_out(&self, state: &mut State, output: Output, now: Time) {
        match output {
            Output::Send { worker, message } => state.write(worker, message),
            Output::Assign { worker, job, grant } => {
                let token = self.token(*grant);
                let url = state.assigned_url.clone();
                let assignment = wire::JobAssignment { job: Some(*job), token, url };
                let message = Some(server_message::Message::Assignment(assignment));
                state.write(worker, Box::new(wire::ServerMessage { message }));
            }
            Output::Close { worker, reason } => {
                if let Some(line) = state.workers.get(&worker) {
                    let _ = line.outbox.send(ToWorker::Close { code: 1000, reason: reason.to_owned() });
                }
            }
            Output::Tell { member, event } => {
                let is_last = matches!(event, RoomEvent::Disconnected { .. });
                // Participants that only a test plays hear nothing.
                if let Some(tell) = state.members.get(&member) {
                    let _ = tell.send(event);
                }
                if is_last {
                    state.members.remove(&member);
                }
            }
            Output::Log(event) => state.log.push(now, event),
        }
    }

    fn token(&self, grant: Grant) -> String {
        let may = grant.permissions;
        let mut token = AccessToken::new(&self.api_key, self.api_secret.clone())
            .identity(grant.identity)
            .name(grant.name)
            .metadata(grant.metadata)
            .kind(TokenKind::Agent)
            .agent()
            .ttl(TOKEN_LIFE)
            .join_room(grant.room)
            .can_publish(may.can_publish)
            .can_publish_data(may.can_publish_data)
            .can_subscribe(may.can_subscribe)
            .can_update_own_metadata(may.can_update_metadata);
        for (key, value) in grant.attributes {
            token = token.attribute(key, value);
        }
        if may.hidden {
            token = token.hidden();
        }
        // An answer without an identity is refused when joining, as on the real server.
        token.sign().map(|token| token.expose().to_owned()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&self, worker: WorkerId, message: Box<wire::ServerMessage>) {
        let Some(line) = self.workers.get(&worker) else { return };
        if self.faults.mute {
            return;
        }
        let due = Instant::now() + self.faults.delay;
        if self.faults.doubled {
            let _ = line.outbox.send(ToWorker::Message { message: message.clone(), due });
        }
        let _ = line.outbox.send(ToWorker::Message { message, due });
    }
}
