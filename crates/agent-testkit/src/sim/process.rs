//! A worker's process: its machine, and the driver that carries out the machine's outputs.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::{Answer, Input, JobId, Output};
use agent_proto::livekit::worker_message;
use agent_proto::{MAX_FRAME_LEN, Time, decode_borrowed, livekit as wire};
use agent_server::WorkerId;

use super::attempts::Running;
use super::check::Check;
use super::event::{Event, FrameContent, Inside, Part, Place};
use super::fault::Fault;
use super::model::Model;
use super::stores::Candidate;
use super::subject::Subject;
use super::world::World;

/// One process, through all its restarts.
pub(super) struct Process {
    pub(super) worker: usize,
    life: u32,
    /// `None`: it is not running.
    pub(super) subject: Option<Subject>,
    pub(super) conn: Option<WorkerId>,
    /// Until when it is stopped, as by a signal or a suspended machine.
    paused_until: Time,
    /// What has happened in it since it was stopped, in order.
    waiting: Vec<Inside>,
    /// When it last continued.
    pub(super) continued_at: Time,
    /// The deadline for its end, if it is draining.
    ends: Option<Time>,
    /// Boxed, as they are large and a tree moves its entries.
    pub(super) jobs: BTreeMap<JobId, Box<Running>>,
    pub(super) model: Model,
    pub(super) candidate: Option<Candidate>,
}

impl Process {
    pub(super) fn new(worker: usize) -> Self {
        Self {
            worker,
            life: 0,
            subject: None,
            conn: None,
            paused_until: Time::ZERO,
            waiting: Vec::new(),
            continued_at: Time::ZERO,
            ends: None,
            jobs: BTreeMap::new(),
            model: Model::default(),
            candidate: None,
        }
    }

    /// Where it runs, if it does.
    pub(super) fn place(&self) -> Option<Place> {
        self.subject.as_ref().map(|_| Place { worker: self.worker, life: self.life })
    }

    pub(super) fn is_paused(&self, now: Time) -> bool {
        now < self.paused_until
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let machine = self.subject.as_ref()?.next_timeout();
        let election = self.candidate.as_ref().and_then(Candidate::next_timeout);
        let at = machine.into_iter().chain(election).min()?;
        Some(at.max(self.paused_until))
    }

    /// Whether its machine is registered.
    pub(super) fn is_registered(&self) -> bool {
        self.subject.as_ref().is_some_and(|subject| subject.worker().is_registered())
    }
}

impl World {
    pub(super) fn process(&mut self, worker: usize) -> Option<&mut Process> {
        self.processes.get_mut(worker)
    }

    /// The process of a place, if it still runs there.
    pub(super) fn process_at(&mut self, place: Place) -> Option<&mut Process> {
        self.processes.get_mut(place.worker).filter(|process| process.place() == Some(place))
    }

    pub(super) fn start_process(&mut self, worker: usize) {
        if !self.keeps_workers() {
            return;
        }
        let (seed, now, config) = (self.rng.u64(..), self.now, self.plan.config.clone());
        #[cfg(test)]
        let planted = super::planted::Planted::new(self.bug);
        let Some(process) = self.process(worker).filter(|process| process.subject.is_none()) else { return };
        process.life += 1;
        (process.conn, process.ends) = (None, None);
        (process.paused_until, process.continued_at) = (now, now);
        process.jobs.clear();
        process.waiting.clear();
        process.model = Model::new(&config);
        #[cfg(not(test))]
        let mut subject = Subject::new(config, seed, now);
        #[cfg(test)]
        let mut subject = Subject::new(config, seed, now, planted);
        let mut outputs = Vec::new();
        subject.take(&mut outputs);
        process.subject = Some(subject);
        self.timeline.note(now, || format!("worker {worker}: starts"));
        self.carry_out(worker, outputs);
        if self.has_elections()
            && let Some(place) = self.process(worker).and_then(|process| process.place())
        {
            self.inside_after(place, Duration::from_millis(100), Inside::Candidate);
        }
    }

    /// Ends a process without a shutdown, as `kill -9` does.
    pub(super) fn kill_process(&mut self, worker: usize) {
        let Some(process) = self.process(worker).filter(|process| process.subject.is_some()) else { return };
        process.subject = None;
        process.candidate = None;
        let conn = process.conn.take();
        let jobs = std::mem::take(&mut process.jobs);
        self.timeline.note(self.now, || format!("worker {worker}: is killed"));
        if let Some(conn) = conn {
            self.close_by_worker(conn);
        }
        for member in jobs.values().filter_map(|job| job.member) {
            let wait = self.between(Duration::from_secs(5), Duration::from_secs(30));
            let reason = agent_room::DisconnectReason::ConnectionTimeout;
            self.queue.add(self.now + wait, Event::MemberLeaves { member, reason });
        }
        let wait = self.between(Duration::from_secs(1), Duration::from_secs(5));
        self.queue.add(self.now + wait, Event::Start { worker });
    }

    /// Stops a process for a while: its events wait, and its timers fire late.
    pub(super) fn pause_process(&mut self, worker: usize, time: Duration) {
        let until = self.now + time;
        let Some(process) = self.process(worker) else { return };
        process.paused_until = process.paused_until.max(until);
        if let Some(place) = process.place() {
            self.timeline.note(self.now, || format!("worker {worker}: is paused until {until}"));
            self.queue.add(until, Event::Continue { place });
        }
    }

    pub(super) fn continue_process(&mut self, place: Place) {
        let now = self.now;
        let Some(process) = self.process_at(place) else { return };
        process.paused_until = process.paused_until.min(now);
        process.continued_at = now;
        process.model.continued(now);
        for what in std::mem::take(&mut process.waiting) {
            self.inside(place, what);
        }
    }

    pub(super) fn process_timeout(&mut self, worker: usize) {
        let now = self.now;
        self.delivered += 1;
        let mut outputs = std::mem::take(&mut self.spare);
        let Some(process) = self.process(worker) else { return };
        if process.candidate.as_ref().and_then(Candidate::next_timeout).is_some_and(|at| at <= now) {
            return self.candidate_timeout(worker);
        }
        let Some(subject) = &mut process.subject else { return };
        subject.timeout(now, &mut outputs);
        self.carry_out(worker, outputs);
    }

    /// Passes an input to the machine of a process, and carries out what follows.
    pub(super) fn input(&mut self, worker: usize, input: Input) {
        let now = self.now;
        self.delivered += 1;
        let mut outputs = std::mem::take(&mut self.spare);
        let Some(subject) = self.process(worker).and_then(|process| process.subject.as_mut()) else { return };
        subject.input(input, now, &mut outputs);
        self.carry_out(worker, outputs);
    }

    /// Something happens in a process.
    pub(super) fn inside(&mut self, place: Place, what: Inside) {
        let now = self.now;
        let Some(process) = self.process_at(place) else { return };
        if process.is_paused(now) {
            return process.waiting.push(what);
        }
        let worker = place.worker;
        match what {
            Inside::Connected { conn, result } => {
                if process.conn == Some(conn) {
                    if result.is_err() {
                        process.conn = None;
                    }
                    self.timeline.note(now, || format!("worker {worker}: connection {conn}: {result:?}"));
                    self.input(
                        worker,
                        match result {
                            Ok(()) => Input::Connected,
                            Err(error) => Input::ConnectFailed(error),
                        },
                    );
                }
            }
            Inside::Frame { conn, frame, content } => {
                let arrives = self.net.get(conn).is_some_and(|conn| conn.at_worker && !conn.half_open);
                if arrives && self.process(worker).is_some_and(|process| process.conn == Some(conn)) {
                    self.frame(worker, frame, &content);
                }
            }
            Inside::Disconnected { conn } => self.disconnected(worker, conn),
            Inside::Prepared => self.input(worker, Input::Prepared(Ok(()))),
            Inside::Asked { offer, job, answer } => self.input(
                worker,
                match answer {
                    Some(answer) => Input::Answered { offer, job, answer },
                    None => Input::RequestPanicked { offer, job },
                },
            ),
            Inside::Join { job, serial } => self.join_room(place, &job, serial),
            Inside::End { job, serial, end } => self.attempt_ends(worker, &job, serial, end),
            Inside::Cleaned { job, attempt } => self.input(worker, Input::Cleaned { job, attempt }),
            Inside::Room { job, member, event } => self.room_event(worker, &job, member, &event),
            Inside::RoomLost { job, member } => self.room_is_lost(worker, &job, member),
            Inside::RoomBack { job, member } => self.room_is_back(place, &job, member),
            Inside::EmptyDue { job, since } => self.empty_due(worker, &job, since),
            Inside::HalfOpenDue { conn, since } => {
                let (has, ran) = (process.conn == Some(conn), process.continued_at <= since);
                if ran && self.is_faulty() {
                    self.checks.that(Check::HalfOpenNoticed, !has, || {
                        format!(
                            "worker {worker} has not noticed that its connection is half open since {since}"
                        )
                    });
                }
            }
            Inside::Save { job, serial } => self.save(place, &job, serial),
            Inside::StoreAnswer { job, serial, answer } => self.store_answered(place, &job, serial, answer),
            Inside::LeaseAnswer { number, answer } => self.lease_answered(worker, number, answer),
            Inside::LeaderWrites => self.leader_writes(place),
            Inside::Candidate => self.new_candidate(place),
            Inside::Quiet(quiet) => {
                self.model_of(worker, |model, _| model.quiet = quiet);
                self.input(worker, if quiet { Input::QuietRequested } else { Input::UndrainRequested });
            }
            Inside::Drain { within } => {
                let limits = within + self.plan.config.grace + self.plan.config.abort_timeout;
                let process = self.process(worker);
                if let Some(process) = process.filter(|process| process.ends.is_none()) {
                    process.ends = Some(now + limits);
                }
                self.model_of(worker, |model, _| model.draining = true);
                self.input(worker, Input::DrainRequested { within });
            }
            Inside::Stop => {
                let limit = self.plan.config.abort_timeout;
                if let Some(process) = self.process(worker) {
                    process.ends = Some(now + limit);
                }
                self.model_of(worker, |model, _| model.draining = true);
                self.input(worker, Input::StopRequested);
            }
        }
    }

    /// Looks at the model of a process, with the checks.
    pub(super) fn model_of(
        &mut self,
        worker: usize,
        look: impl FnOnce(&mut Model, &mut super::check::Checks),
    ) {
        if let Some(process) = self.processes.get_mut(worker) {
            look(&mut process.model, &mut self.checks);
        }
    }

    fn frame(&mut self, worker: usize, frame: bytes::Bytes, content: &FrameContent) {
        self.timeline.note(self.now, || format!("worker {worker}: ← {content:?}"));
        let now = self.now;
        let Some(process) = self.processes.get_mut(worker) else { return };
        let registered = process.is_registered();
        if registered && let Some(subject) = &process.subject {
            process.model.before_frame(content, subject.worker(), now);
        }
        self.input(worker, Input::FrameReceived(frame));
        if registered {
            self.model_of(worker, |model, checks| model.after_frame(content, now, checks));
        }
    }

    fn disconnected(&mut self, worker: usize, conn: WorkerId) {
        if let Some(gone) = self.net.get_mut(conn) {
            gone.at_worker = false;
        }
        let Some(process) = self.process(worker).filter(|process| process.conn == Some(conn)) else { return };
        process.conn = None;
        process.model.cut();
        self.timeline.note(self.now, || format!("worker {worker}: connection {conn} is lost"));
        self.input(worker, Input::Disconnected { reason: "cut".to_owned() });
        if let Some(process) = self.processes.get(worker)
            && let Some(subject) = &process.subject
        {
            let slots = subject.slots();
            self.checks.that(Check::Slots, slots.offered + slots.accepted == 0, || {
                format!("worker {worker} holds slots of offers after the cut: {slots:?}")
            });
        }
    }

    /// Carries out the outputs of a machine, in order.
    pub(super) fn carry_out(&mut self, worker: usize, mut outputs: Vec<Output>) {
        let Some(place) = self.processes.get(worker).and_then(Process::place) else { return };
        let context = super::model::Drained::of(&outputs);
        for output in outputs.drain(..) {
            self.timeline.note(self.now, || format!("worker {worker}: {}", super::shown::output(&output)));
            self.note_digest(worker, &output);
            let message = match &output {
                Output::Send(frame) => {
                    decode_borrowed::<wire::WorkerMessage>(frame, MAX_FRAME_LEN).ok().map(Box::new)
                }
                _ => None,
            };
            if let Some(process) = self.processes.get_mut(worker) {
                let read = self.net.read(process.conn);
                let registered = process.is_registered();
                let at = super::model::At { now: self.now, worker, read, registered };
                let message = message.as_ref().and_then(|message| message.message.as_ref());
                process.model.output(&output, message, &context, at, &mut self.checks);
            }
            match message {
                Some(message) => self.send(worker, message),
                None => self.carry_out_one(place, output),
            }
        }
        self.spare = outputs;
        self.after_outputs(worker);
    }

    fn carry_out_one(&mut self, place: Place, output: Output) {
        let worker = place.worker;
        match output {
            Output::Prepare => {
                let wait = self.up_to(Duration::from_secs(1));
                self.inside_after(place, wait, Inside::Prepared);
            }
            Output::Connect => {
                let conn = self.open(place);
                if let Some(process) = self.process(worker) {
                    process.conn = Some(conn);
                    process.model.cut();
                }
            }
            Output::Disconnect => {
                if let Some(process) = self.process(worker) {
                    process.model.cut();
                    if let Some(conn) = process.conn.take() {
                        self.close_by_worker(conn);
                    }
                }
            }
            Output::Ask { offer, job } => self.ask(place, offer, job.id.clone()),
            Output::Start { job, .. } => self.start_attempt(place, job),
            Output::Retry { job, attempt } => self.retry_attempt(place, &job, attempt),
            Output::Cancel { job, .. } => self.cancel_attempt(place, &job),
            Output::Abort { job, .. } => self.abort_attempt(place, &job),
            Output::Clean { job, attempt, within } => self.clean(place, job, attempt, within),
            Output::Leave { job } => self.leave_room(worker, &job),
            Output::Stopped(result) => self.process_stopped(worker, result.is_err()),
            Output::Ended(ended) => {
                if let Some(conn) = self.process(worker).and_then(|process| process.conn) {
                    self.outcomes.entry((conn, ended.job.id.clone())).or_default().push(ended.outcome);
                }
            }
            Output::Send(_) | Output::Moved { .. } | Output::Notice(_) => {}
        }
    }

    /// Sends a message on the connection of a worker, if it has one.
    fn send(&mut self, worker: usize, message: Box<wire::WorkerMessage>) {
        let Some(conn) = self.process(worker).and_then(|process| process.conn) else { return };
        if let Some(worker_message::Message::UpdateJob(update)) = &message.message {
            let (now, number) = (self.now, self.net.next_number(conn));
            self.model_of(worker, |model, checks| model.status_sent(update, now, number, checks));
        }
        self.send_to_server(conn, message);
    }

    fn ask(&mut self, place: Place, offer: agent_core::OfferId, job: JobId) {
        if self.swarm.strikes(Fault::RequestSilent, 0.2, &mut self.rng) {
            return;
        }
        let panics = self.swarm.strikes(Fault::RequestPanics, 0.2, &mut self.rng);
        let faulty = self.is_faulty();
        let answer = match self.rng.u8(..40) {
            _ if panics => None,
            _ if !faulty => Some(Answer::accept()),
            0 => Some(Answer::Dismiss),
            1..4 => Some(Answer::Decline),
            4 => Some(Answer::accept().identity("")),
            _ => Some(Answer::accept()),
        };
        let wait = if faulty && self.rng.u8(..10) == 0 {
            Duration::from_millis(1_200)
        } else {
            Duration::from_millis(2)
        };
        let wait = self.up_to(wait);
        self.inside_after(place, wait, Inside::Asked { offer, job, answer });
    }

    fn process_stopped(&mut self, worker: usize, refused: bool) {
        let now = self.now;
        let Some(process) = self.process(worker) else { return };
        let (ends, paused) = (process.ends.take(), process.continued_at);
        let (never_registered, life) = (!process.model.was_registered, process.life);
        process.subject = None;
        process.candidate = None;
        if let Some(conn) = process.conn.take() {
            self.close_by_worker(conn);
        }
        self.timeline.note(now, || format!("worker {worker}: has stopped"));
        self.model_of(worker, |model, checks| model.stopped(checks));
        match ends {
            // While it was paused it could not stop.
            Some(deadline) if paused < deadline => {
                self.checks.that(Check::DrainInTime, now <= deadline, || {
                    format!("worker {worker}, life {life}, has ended at {now} instead of {deadline}")
                });
            }
            Some(_) => {}
            None => self.checks.that(Check::ComesBack, refused && never_registered, || {
                format!("worker {worker} has stopped without a request")
            }),
        }
        // Those that are done leave their rooms.
        let members: Vec<_> = self
            .process(worker)
            .map(|process| {
                std::mem::take(&mut process.jobs).into_values().filter_map(|job| job.member).collect()
            })
            .unwrap_or_default();
        for member in members {
            self.member_leaves(member, agent_room::DisconnectReason::ClientInitiated);
        }
        if self.keeps_workers() {
            let wait = self.between(Duration::from_secs(1), Duration::from_secs(5));
            self.queue.add(now + wait, Event::Start { worker });
        } else if self.processes.iter().all(|process| process.subject.is_none()) {
            self.queue.add(now, Event::Part(Part::Over));
        }
    }

    fn note_digest(&mut self, worker: usize, output: &Output) {
        self.digest.number(self.now.as_nanos());
        self.digest.number(worker as u64);
        match output {
            Output::Send(frame) => self.digest.bytes(frame),
            Output::Start { job, .. } | Output::Ask { job, .. } => self.digest.bytes(job.id.as_bytes()),
            Output::Clean { attempt, .. } | Output::Retry { attempt, .. } => {
                self.digest.number(u64::from(*attempt));
            }
            Output::Prepare => self.digest.number(0),
            Output::Connect => self.digest.number(1),
            Output::Disconnect => self.digest.number(2),
            Output::Cancel { .. } => self.digest.number(3),
            Output::Abort { .. } => self.digest.number(4),
            Output::Leave { job } => self.digest.bytes(job.as_bytes()),
            Output::Ended(_) | Output::Moved { .. } | Output::Notice(_) | Output::Stopped(_) => {
                self.digest.number(5);
            }
        }
    }

    /// What must hold after the outputs were drained.
    fn after_outputs(&mut self, worker: usize) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(worker) else { return };
        let Some(subject) = &process.subject else { return };
        if let Some(at) = subject.next_timeout() {
            self.checks.that(Check::Progress, at > now, || {
                format!("after the outputs of worker {worker} its next timeout is at {at}, now is {now}")
            });
        }
        process.model.after(subject, worker, now, &mut self.checks);
    }
}
