//! The machine, its clock, what there is so far, and the models.

use std::time::Duration;

use agent_proto::Time;
use agent_proto::recording::Recorder;
use agent_room::DisconnectReason;

use super::inputs::{Known, NO_ID, input, room_name};
use super::jobs::{Checked, Jobs, check};
use super::kinds::{self, About, InputKind, State};
use super::rooms::Rooms;
use crate::machine::{Input, Request, Rules, Server};

/// More timers, or outputs of one input, than any script needs.
const SPINNING: usize = 10_000;
/// Longer than any timeout.
const FOREVER: Duration = Duration::from_secs(2_000);

/// What happens next.
#[derive(Clone, Debug)]
pub(in super::super) enum Op {
    /// An input of this kind. The number chooses what it is about, and its content.
    Input(InputKind, u64),
    /// This many milliseconds pass; timers fire at their times.
    Pass(u32),
}

pub(in super::super) struct World {
    pub(in super::super) server: Recorder<Rules, Server>,
    now: Time,
    known: Known,
    jobs: Jobs,
    rooms: Rooms,
    /// The inputs, each with the states in which it came.
    pub(super) hits: Vec<(State, InputKind)>,
}

impl World {
    pub(in super::super) fn new(rules: Rules) -> Self {
        let (jobs, rooms) = (Jobs::new(&rules), Rooms::default());
        let server = Recorder::new(rules, Server::new);
        Self { server, now: Time::ZERO, known: Known::default(), jobs, rooms, hits: Vec::new() }
    }

    /// The states that there are now, those of what does not exist included.
    pub(super) fn states(&self) -> Vec<State> {
        self.states_of(&About::default())
    }

    fn states_of(&self, about: &About) -> Vec<State> {
        let server: &Server = &self.server;
        let all =
            |of: Option<u64>, known: &[u64]| of.map_or_else(|| [known, &[NO_ID]].concat(), |one| vec![one]);
        let workers = all(about.worker, &self.known.workers);
        let mut states: Vec<_> = workers.iter().map(|worker| kinds::of_worker(server, *worker)).collect();
        let none = ["AJ_none".to_owned()];
        let jobs =
            about.job.clone().map_or_else(|| [self.known.jobs.as_slice(), &none].concat(), |job| vec![job]);
        states.extend(jobs.iter().flat_map(|job| kinds::of_job(server, job, about.worker)));
        let members = all(about.member, &self.known.members);
        states.extend(members.iter().flat_map(|member| kinds::of_member(server, *member)));
        let rooms = about.room.clone().map_or_else(|| (0..3).map(room_name).collect(), |room| vec![room]);
        states.extend(rooms.iter().map(|room| kinds::of_room(server, room)));
        states
    }

    pub(in super::super) fn step(&mut self, op: &Op) -> Checked {
        match *op {
            Op::Input(InputKind::Timeout, _) => {
                let at = self.server.poll_timeout();
                self.timeout(at.unwrap_or(self.now + Duration::from_secs(1)))
            }
            Op::Input(InputKind::EarlyTimeout, _) => {
                self.count(InputKind::EarlyTimeout, &About::default());
                self.server.handle_timeout(self.now);
                let output = self.server.poll_output();
                check(output.is_none(), || format!("an early timeout has the output {output:?}"))
            }
            Op::Input(kind, number) => match input(kind, number, &mut self.known, &self.server) {
                Some(input) => self.input(input),
                None => Err(format!("no input of the kind {kind:?} is made")),
            },
            Op::Pass(millis) => self.pass(Duration::from_millis(millis.into())),
        }
    }

    /// Everybody leaves: then every job is over, every room closes, and nothing is left.
    pub(in super::super) fn finish(&mut self) -> Checked {
        for member in self.known.members.clone() {
            self.input(Input::MemberLeft { member, reason: DisconnectReason::ClientInitiated })?;
        }
        // A job that waits for the answer of one is offered to the next of those that are still there.
        for worker in self.known.workers.clone() {
            self.input(Input::WorkerGone { worker })?;
        }
        self.pass(FOREVER)?;
        self.jobs.finished()?;
        self.rooms.finished()?;
        let server: &Server = &self.server;
        let Rules { empty_timeout, departure_timeout, .. } = &server.rules;
        let stays = [empty_timeout, departure_timeout].contains(&&Duration::MAX);
        check(server.timers.is_empty(), || "timers are left".to_owned())?;
        check(stays || server.rooms.is_empty(), || "rooms are left".to_owned())?;
        check(server.streams.is_empty() && server.calls.is_empty() && server.kept_of_streams == 0, || {
            "streams or calls are left".to_owned()
        })?;
        let tracks = server.own_tracks.tracks.len();
        let data = server.data_tracks.published.len() + server.data_tracks.subscribed.len();
        check(server.methods.is_empty() && tracks + data == 0, || "methods or tracks are left".to_owned())?;
        // Nothing is kept twice, or forever.
        let (over, most) = (&server.over, server.rules.history);
        let kept = over.len() <= most && over.len() == server.jobs.len();
        check(kept && over.iter().all(|(id, _)| server.jobs.contains_key(id)), || "jobs are left".to_owned())
    }

    fn count(&mut self, kind: InputKind, about: &About) {
        let states = self.states_of(about);
        self.hits.extend(states.into_iter().map(|state| (state, kind)));
    }

    fn input(&mut self, input: Input) -> Checked {
        let (kind, about) = InputKind::of(&input);
        self.count(kind, &about);
        if let Input::Requested { request: Request::CreateDispatch(create), .. } = &input
            && let Some(job) = create.job_id.as_ref().filter(|job| !self.server.jobs.contains_key(*job))
        {
            self.jobs.forget(job);
        }
        self.jobs.input(Some(&input), self.now);
        self.rooms.input(Some(&input));
        self.server.handle_input(input, self.now);
        self.drain()
    }

    fn timeout(&mut self, at: Time) -> Checked {
        self.count(InputKind::Timeout, &About::default());
        self.now = at;
        self.jobs.input(None, at);
        self.rooms.input(None);
        self.server.handle_timeout(at);
        self.drain()
    }

    fn pass(&mut self, time: Duration) -> Checked {
        let until = self.now + time;
        for _ in 0..SPINNING {
            match self.server.poll_timeout().filter(|at| *at <= until) {
                Some(at) => self.timeout(at)?,
                None => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err(format!("{SPINNING} timers fire in {time:?}"))
    }

    fn drain(&mut self) -> Checked {
        for _ in 0..SPINNING {
            let Some(output) = self.server.poll_output() else {
                let next = self.server.poll_timeout();
                check(next.is_none_or(|at| at > self.now), || format!("at {next:?} a timer is due already"))?;
                self.known.requests.clone_from(&self.rooms.requests);
                let known = &mut self.known.jobs;
                let new: Vec<String> =
                    self.server.jobs.keys().filter(|job| !known.contains(job)).cloned().collect();
                known.extend(new);
                self.jobs.settled()?;
                return self.rooms.settled(&self.server);
            };
            self.jobs.output(&output)?;
            self.rooms.output(&output)?;
        }
        Err(format!("one input has {SPINNING} outputs"))
    }
}
