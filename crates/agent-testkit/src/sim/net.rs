//! The connections between workers and the server: messages in order in each direction, and what breaks them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use agent_core::LinkError;
use agent_proto::livekit::server_message::Message as ServerMessage;
use agent_proto::{Time, encode, livekit as wire};
use agent_server::WorkerId;

use super::event::{Event, FrameContent, Inside, Place};
use super::fault::Fault;
use super::world::World;

/// All connections so far.
pub(super) struct Net {
    conns: BTreeMap<WorkerId, Conn>,
    last: WorkerId,
    /// Until when connections are refused, how, and until when messages take long, or are doubled.
    pub(super) refuses_until: Time,
    pub(super) refuses_with: u16,
    pub(super) slow_until: Time,
    pub(super) doubled_until: Time,
}

/// One connection.
pub(super) struct Conn {
    pub(super) place: Place,
    /// Whether the server has it, and whether the worker does.
    pub(super) at_server: bool,
    pub(super) at_worker: bool,
    /// It carries nothing any more.
    pub(super) half_open: bool,
    /// Whether anything sent on it may be lost.
    pub(super) broken: bool,
    /// Frames of the worker that were sent, and those that the server has read.
    sent: u64,
    pub(super) read: u64,
    to_server_at: Time,
    to_worker_at: Time,
}

impl Net {
    pub(super) const fn new() -> Self {
        Self {
            conns: BTreeMap::new(),
            last: 0,
            refuses_until: Time::ZERO,
            refuses_with: 0,
            slow_until: Time::ZERO,
            doubled_until: Time::ZERO,
        }
    }

    pub(super) fn get(&self, conn: WorkerId) -> Option<&Conn> {
        self.conns.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: WorkerId) -> Option<&mut Conn> {
        self.conns.get_mut(&conn)
    }

    /// The connections that the server has.
    pub(super) fn at_server(&self) -> Vec<WorkerId> {
        self.conns.iter().filter(|(_, conn)| conn.at_server).map(|(id, _)| *id).collect()
    }

    /// How many frames of the worker the server has read.
    pub(super) fn read(&self, conn: Option<WorkerId>) -> u64 {
        conn.and_then(|conn| self.get(conn)).map_or(0, |conn| conn.read)
    }

    /// The number of the next frame that a worker sends on a connection.
    pub(super) fn next_number(&self, conn: WorkerId) -> u64 {
        self.get(conn).map_or(u64::MAX, |conn| conn.sent + 1)
    }

    /// Ends the faults.
    pub(super) fn heal(&mut self) {
        (self.refuses_until, self.slow_until, self.doubled_until) = (Time::ZERO, Time::ZERO, Time::ZERO);
    }

    /// Forgets a connection that neither end has.
    fn forget_if_over(&mut self, id: WorkerId) {
        if self.conns.get(&id).is_some_and(|conn| !conn.at_server && !conn.at_worker) {
            self.conns.remove(&id);
        }
    }
}

impl World {
    /// A worker opens a connection.
    pub(super) fn open(&mut self, place: Place) -> WorkerId {
        self.net.last += 1;
        let id = self.net.last;
        let conn = Conn {
            place,
            at_server: false,
            at_worker: true,
            half_open: false,
            broken: false,
            sent: 0,
            read: 0,
            to_server_at: self.now,
            to_worker_at: self.now,
        };
        self.net.conns.insert(id, conn);
        let refused = self.now < self.net.refuses_until;
        let result = if refused {
            self.swarm.count(Fault::Refused);
            Err(self.refusal())
        } else {
            Ok(())
        };
        let wait = self.latency() * 2;
        self.queue.add(self.now + wait, Event::Opened { conn: id, result });
        id
    }

    fn refusal(&mut self) -> LinkError {
        let message = "refused".to_owned();
        match self.net.refuses_with {
            0 => LinkError::Failed { message },
            status => {
                let retry_after = (status == 503).then(|| Duration::from_secs(self.rng.u64(0..=3)));
                LinkError::Refused { status, message, retry_after }
            }
        }
    }

    /// The server takes a connection, or it failed.
    pub(super) fn opened(&mut self, id: WorkerId, result: Result<(), LinkError>) {
        // One that broke meanwhile is never there for the server.
        let Some(conn) = self.net.conns.get_mut(&id).filter(|conn| conn.at_worker && !conn.broken) else {
            self.net.forget_if_over(id);
            return;
        };
        let place = conn.place;
        if result.is_ok() {
            conn.at_server = true;
            self.server_input(agent_server::Input::WorkerConnected { worker: id });
        } else {
            conn.at_worker = false;
            self.net.forget_if_over(id);
        }
        let wait = self.latency();
        self.inside_after(place, wait, Inside::Connected { conn: id, result });
        if self.swarm.strikes(Fault::EarlyCut, 0.2, &mut self.rng) {
            let wait = wait + self.up_to(Duration::from_millis(60));
            self.queue.add(self.now + wait, Event::Break { conn: id });
        }
    }

    /// Sends a message of a worker.
    pub(super) fn send_to_server(&mut self, id: WorkerId, message: Box<wire::WorkerMessage>) {
        let wait = self.message_time();
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.sent += 1;
        let number = conn.sent;
        conn.to_server_at = conn.to_server_at.max(self.now + wait);
        self.queue.add(conn.to_server_at, Event::ToServer { conn: id, number, message });
    }

    /// Sends a message of the server, twice perhaps.
    pub(super) fn send_to_worker(
        &mut self,
        id: WorkerId,
        message: wire::ServerMessage,
        content: FrameContent,
        extra: Duration,
    ) {
        let frame = encode(&message);
        let doubled = self.now < self.net.doubled_until;
        if doubled {
            self.send_bytes(id, frame.clone(), content.clone(), extra);
        }
        self.send_bytes(id, frame, content, extra);
    }

    pub(super) fn send_bytes(&mut self, id: WorkerId, frame: Bytes, content: FrameContent, extra: Duration) {
        let wait = self.message_time() + extra;
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.to_worker_at = conn.to_worker_at.max(self.now + wait);
        let (at, place) = (conn.to_worker_at, conn.place);
        self.queue.add(at, Event::Inside { place, what: Inside::Frame { conn: id, frame, content } });
    }

    /// Sends a message that may overtake others, as it takes this long by itself.
    pub(super) fn send_late(
        &mut self,
        id: WorkerId,
        message: ServerMessage,
        content: FrameContent,
        wait: Duration,
    ) {
        let frame = encode(&wire::ServerMessage { message: Some(message) });
        let Some(place) = self.net.conns.get(&id).map(|conn| conn.place) else { return };
        self.inside_after(place, wait, Inside::Frame { conn: id, frame, content });
    }

    fn message_time(&mut self) -> Duration {
        let slow = self.now < self.net.slow_until;
        let extra = if slow { self.up_to(Duration::from_secs(3)) } else { Duration::ZERO };
        self.latency() + extra
    }

    /// A message reaches the server, if the server has the connection.
    pub(super) fn message_at_server(&mut self, id: WorkerId, number: u64, message: Box<wire::WorkerMessage>) {
        let Some(conn) = self.net.conns.get_mut(&id).filter(|conn| conn.at_server && !conn.half_open) else {
            return;
        };
        conn.read = number;
        self.server_input(agent_server::Input::WorkerMessage { worker: id, message });
    }

    pub(super) fn garbage_at_server(&mut self, id: WorkerId) {
        if self.net.get(id).is_some_and(|conn| conn.at_server && !conn.half_open) {
            let problem = "garbage".to_owned();
            self.server_input(agent_server::Input::WorkerGarbage { worker: id, problem });
        }
    }

    /// The server learns of the end of a connection.
    pub(super) fn end_at_server(&mut self, id: WorkerId) {
        if let Some(conn) = self.net.conns.get_mut(&id)
            && std::mem::take(&mut conn.at_server)
        {
            self.server_input(agent_server::Input::WorkerGone { worker: id });
        }
        self.net.forget_if_over(id);
    }

    /// The worker closes a connection.
    pub(super) fn close_by_worker(&mut self, id: WorkerId) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.at_worker = false;
        // What was sent before the close arrives before it, and the close of a half-open one does not.
        let wait = if conn.half_open { Duration::from_secs(30) } else { Duration::ZERO };
        let at = conn.to_server_at.max(self.now + wait);
        let at = at + self.latency();
        self.queue.add(at, Event::ServerSeesEnd { conn: id });
    }

    /// The server closes a connection.
    pub(super) fn close_by_server(&mut self, id: WorkerId) {
        let wait = self.latency();
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.at_server = false;
        let (at, place) = (conn.to_worker_at.max(self.now + wait), conn.place);
        self.queue.add(at, Event::Inside { place, what: Inside::Disconnected { conn: id } });
    }

    /// A connection breaks, and both ends learn of it.
    pub(super) fn break_conn(&mut self, id: WorkerId) {
        let late = self.swarm.strikes(Fault::LateBytes, 0.5, &mut self.rng);
        let at_worker = self.up_to(Duration::from_millis(100));
        let at_server = self.up_to(if late { Duration::from_secs(20) } else { Duration::from_millis(500) });
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.broken = true;
        let place = conn.place;
        self.inside_after(place, at_worker, Inside::Disconnected { conn: id });
        self.queue.add(self.now + at_server, Event::ServerSeesEnd { conn: id });
    }

    /// A connection carries nothing from now on; the server notices that much later.
    pub(super) fn half_open(&mut self, id: WorkerId) {
        let at_server = self.between(Duration::from_secs(20), Duration::from_secs(60));
        let now = self.now;
        let Some(conn) = self.net.conns.get_mut(&id).filter(|conn| !conn.half_open) else { return };
        (conn.half_open, conn.broken) = (true, true);
        let place = conn.place;
        self.inside_after(place, Duration::from_millis(25_100), Inside::HalfOpenDue { conn: id, since: now });
        self.queue.add(now + at_server, Event::ServerSeesEnd { conn: id });
    }
}
