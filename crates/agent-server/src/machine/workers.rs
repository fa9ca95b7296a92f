//! Workers: registration, messages, and the choice of the next one.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};

use super::entries::{Key, Registration, WorkerEntry};
use super::event::{ServerEvent, Violation};
use super::io::{Output, WorkerId};
use super::{Server, Timer};

/// The server version that the rules are taken from.
pub(super) const SERVER_VERSION: &str = "1.13.5";

/// How long the server relies on a lookup of its workers.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(60);

impl Server {
    pub(super) fn worker_connected(&mut self, worker: WorkerId) {
        if self.workers.contains_key(&worker) {
            return;
        }
        self.ids += 1;
        self.workers.insert(worker, WorkerEntry { number: self.ids, ..WorkerEntry::default() });
        self.wake(Timer::Register(worker), self.rules.register_timeout);
    }

    pub(super) fn worker_gone(&mut self, worker: WorkerId) {
        let Some(entry) = self.workers.remove(&worker) else { return };
        let worker_id = entry.registration.map(|registration| registration.id).unwrap_or_default();
        self.log(ServerEvent::Disconnected { worker_id, jobs: entry.running.len() });
        self.forget_jobs_of(worker);
    }

    pub(super) fn worker_message(&mut self, worker: WorkerId, message: wire::WorkerMessage) {
        use worker_message::Message;
        let Some(entry) = self.workers.get_mut(&worker) else { return };
        match (message.message, entry.registration.is_some()) {
            (Some(Message::Register(request)), false) => self.register(worker, request),
            (Some(Message::Register(_)), true) => self.expel(worker, "it registered twice"),
            // Allowed before the registration, too.
            (Some(Message::Ping(ping)), _) => {
                let timestamp = self.wall_ns() / 1_000_000;
                let pong = wire::WorkerPong { last_timestamp: ping.timestamp, timestamp };
                self.send(worker, server_message::Message::Pong(pong));
            }
            (Some(_), false) => self.expel(worker, "its first message was not a registration"),
            (None, _) => self.expel(worker, "it sent an empty message"),
            (Some(Message::Availability(answer)), true) => self.on_answer(worker, answer),
            (Some(Message::UpdateJob(update)), true) => self.on_status(worker, &update),
            (Some(Message::UpdateWorker(update)), true) => {
                entry.load = update.load;
                if let Some(status) = update.status {
                    let full = status == i32::from(wire::WorkerStatus::WsFull);
                    if std::mem::replace(&mut entry.full, full) != full {
                        let worker_id = self.worker_name(worker);
                        self.log(ServerEvent::Full { worker_id, full });
                    }
                }
            }
            (Some(Message::SimulateJob(request)), true) => match request.room {
                Some(room) => self.simulate(worker, room, request.participant),
                // The real server crashes.
                None => self.expel(worker, "it asked to simulate a job without a room"),
            },
            // The open-source server ignores this message.
            (Some(Message::MigrateJob(request)), true) => {
                let worker_id = self.worker_name(worker);
                self.log(ServerEvent::Migrated { worker_id, job_ids: request.job_ids });
            }
        }
    }

    pub(super) fn worker_garbage(&mut self, worker: WorkerId, problem: String) {
        if self.workers.contains_key(&worker) {
            self.violation(worker, "", Violation::Protocol(problem));
            self.send_away(worker, "unreadable message");
        }
    }

    /// The agent names of all registered workers.
    #[must_use]
    pub fn agent_names(&self) -> BTreeSet<String> {
        let registered = self.workers.values().filter_map(|entry| entry.registration.as_ref());
        registered
            .map(|registration| registration.agent_name.clone())
            .filter(|name| !name.is_empty())
            .collect()
    }

    pub(super) fn on_register_overdue(&mut self, worker: WorkerId) {
        if self.workers.get(&worker).is_some_and(|entry| entry.registration.is_none()) {
            self.expel(worker, "it did not register in time");
        }
    }

    /// Whether any worker is registered for jobs of this kind.
    pub(super) fn is_served(&self, key: Key<'_>) -> bool {
        self.workers.values().any(|entry| entry.registration.as_ref().is_some_and(|r| r.key() == key))
    }

    /// The delay until a room that starts a job now knows of it. The real server looks up workers if the last
    /// lookup is a minute old, or a new kind of worker has registered. It waits for the responses for a
    /// while, and the job has long begun by then.
    pub(super) fn room_knows_in(&mut self) -> Duration {
        if self.last_lookup.is_none_or(|at| self.now >= at + LOOKUP_INTERVAL) {
            self.last_lookup = Some(self.now);
        }
        self.last_lookup.unwrap_or(self.now) + self.rules.cold_cache - self.now
    }

    /// Whether this server takes part in the search for a worker: a server whose workers are all near their
    /// limit does not respond.
    pub(super) fn has_affinity(&self, key: Key<'_>) -> bool {
        let room = |entry: &WorkerEntry| (self.rules.target_load - entry.load).max(0.0);
        self.available(key).map(|(_, entry)| room(entry)).sum::<f32>() > 0.0
    }

    /// The workers that can be asked next, with their free capacity.
    pub(super) fn candidates(&self, key: Key<'_>, asked: &BTreeSet<WorkerId>) -> Vec<(WorkerId, f32)> {
        self.available(key)
            .filter(|(id, _)| !asked.contains(id))
            .map(|(id, entry)| (id, (1.0 - entry.load).max(0.0)))
            .collect()
    }

    /// One of them: random, weighted by free capacity.
    pub(super) fn select(&mut self, candidates: &[(WorkerId, f32)]) -> Option<WorkerId> {
        let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        if total <= 0.0 {
            return None;
        }
        let mut left = self.rng.f32() * total;
        let chosen = candidates.iter().find(|(_, weight)| {
            left -= weight;
            left <= 0.0
        });
        chosen.or(candidates.last()).map(|(id, _)| *id)
    }

    pub(super) fn worker_name(&self, worker: WorkerId) -> String {
        let registration = self.workers.get(&worker).and_then(|entry| entry.registration.as_ref());
        registration.map(|registration| registration.id.clone()).unwrap_or_default()
    }

    pub(super) fn violation(&mut self, worker: WorkerId, job: &str, violation: Violation) {
        let worker_id = self.worker_name(worker);
        self.log(ServerEvent::Violation { worker_id, job_id: job.to_owned(), violation });
    }

    pub(super) fn send(&mut self, worker: WorkerId, message: server_message::Message) {
        let message = Box::new(wire::ServerMessage { message: Some(message) });
        self.out.push_back(Output::Send { worker, message });
    }

    fn available(&self, key: Key<'_>) -> impl Iterator<Item = (WorkerId, &WorkerEntry)> {
        let matches = move |entry: &WorkerEntry| {
            !entry.full && entry.registration.as_ref().is_some_and(|registration| registration.key() == key)
        };
        self.workers.iter().filter(move |(_, entry)| matches(entry)).map(|(id, entry)| (*id, entry))
    }

    fn register(&mut self, worker: WorkerId, request: wire::RegisterWorkerRequest) {
        let Ok(job_type) = wire::JobType::try_from(request.r#type) else {
            return self.expel(worker, "its job type is unknown");
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if request.deployment.len() > 64 || !request.deployment.chars().all(allowed) {
            return self
                .expel(worker, "its deployment is not a name of at most 64 letters, digits, '-' and '.'");
        }
        let id = self.new_id("AW_");
        let permissions = request.allowed_permissions.unwrap_or(wire::ParticipantPermission {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            can_update_metadata: true,
            ..Default::default()
        });
        let registration = Registration {
            id: id.clone(),
            agent_name: request.agent_name.clone(),
            namespace: request.namespace.unwrap_or_default(),
            job_type: request.r#type,
            deployment: request.deployment.clone(),
            permissions,
        };
        if !self.is_served(registration.key()) {
            self.last_lookup = None;
        }
        if let Some(entry) = self.workers.get_mut(&worker) {
            entry.registration = Some(registration);
        }
        let server_info =
            wire::ServerInfo { version: SERVER_VERSION.to_owned(), protocol: 16, ..Default::default() };
        self.send(
            worker,
            server_message::Message::Register(wire::RegisterWorkerResponse {
                worker_id: id.clone(),
                server_info: Some(server_info),
            }),
        );
        self.log(ServerEvent::Registered {
            worker_id: id,
            agent_name: request.agent_name,
            job_type: job_type.as_str_name().to_owned(),
            deployment: request.deployment,
        });
    }

    fn expel(&mut self, worker: WorkerId, reason: &'static str) {
        self.violation(worker, "", Violation::Protocol(reason.to_owned()));
        self.send_away(worker, reason);
    }

    /// Closes a worker. Its messages are ignored from here on, and it is offered nothing, however long its
    /// connection takes to close.
    fn send_away(&mut self, worker: WorkerId, reason: &'static str) {
        self.out.push_back(Output::Close { worker, reason });
        self.worker_gone(worker);
    }
}
