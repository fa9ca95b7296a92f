//! One run: the clock, and what happens in which order.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use agent_core::{JobId, Outcome, Output};
use agent_proto::Time;
use agent_server::WorkerId;

use super::check::{Check, Checks};
use super::digest::Digest;
use super::event::{Event, Inside, Part, Place};
use super::fault::Swarm;
use super::net::Net;
use super::options::Options;
use super::plan::Plan;
use super::process::Process;
use super::queue::Queue;
use super::server::SimServer;
use super::stores::Stores;
use super::timeline::Timeline;
use super::traffic::Traffic;

/// The most events of one run: more means that something does not come to rest.
const MAX_EVENTS: u64 = 2_000_000;
/// The most timeouts of one machine at one moment.
const MAX_TIMEOUTS: u32 = 1_000;

/// After the faults: until all workers are registered again.
const BACK: Duration = Duration::from_secs(50);
/// Between the dispatches after that.
const FRESH: Duration = Duration::from_millis(300);
/// How many of them there are at least.
const FRESH_DISPATCHES: u32 = 5;
/// How many jobs a run has at least.
const MIN_JOBS: u32 = 55;
/// Until nothing happens any more.
const QUIET: Duration = Duration::from_secs(20);
/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(40);

/// Everything of one run.
pub(super) struct World {
    #[cfg(test)]
    pub(super) bug: Option<super::planted::Bug>,
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) swarm: Swarm,
    pub(super) queue: Queue<Event>,
    pub(super) net: Net,
    pub(super) server: SimServer,
    pub(super) processes: Vec<Process>,
    pub(super) stores: Stores,
    pub(super) traffic: Traffic,
    pub(super) checks: Checks,
    pub(super) timeline: Timeline,
    pub(super) digest: Digest,
    /// The outcomes of each job, by the connection on which it was reported.
    pub(super) outcomes: BTreeMap<(WorkerId, JobId), Vec<Outcome>>,
    /// The number of events that were delivered to machines.
    pub(super) delivered: u64,
    /// The number of the last attempt.
    pub(super) serial: u64,
    part: Option<Part>,
    timeouts_now: u32,
    /// An empty list for the outputs of the next input, so that each need not be allocated.
    pub(super) spare: Vec<Output>,
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::with_seed(seed);
        let swarm = Swarm::new(&mut rng);
        let plan = Plan::new(&mut rng, &swarm);
        let mut rules = plan.rules.clone();
        rules.seed = rng.u64(..);
        let processes = (0..plan.workers).map(Process::new).collect();
        let mut world = Self {
            now: Time::ZERO,
            queue: Queue::new(),
            net: Net::new(),
            server: SimServer::new(rules),
            processes,
            stores: Stores::default(),
            traffic: Traffic::default(),
            checks: Checks::new(options.checks),
            timeline: Timeline::new(options.record),
            digest: Digest::default(),
            outcomes: BTreeMap::new(),
            delivered: 0,
            serial: 0,
            part: None,
            timeouts_now: 0,
            spare: Vec::new(),
            #[cfg(test)]
            bug: options.bug,
            rng,
            plan,
            swarm,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for worker in 0..self.plan.workers {
            let at = self.now + self.up_to(Duration::from_millis(500));
            self.queue.add(at, Event::Start { worker });
        }
        self.queue.add(Time::ZERO + Duration::from_millis(600), Event::Traffic);
        self.queue.add(Time::ZERO + Duration::from_secs(1), Event::Strike);
        self.queue.add(self.plan.heals_at, Event::Part(Part::Heal));
    }

    fn next_part(&mut self, wait: Duration, part: Part) {
        self.queue.add(self.now + wait, Event::Part(part));
    }

    /// Runs to the end.
    pub(super) fn run(&mut self) {
        while self.part != Some(Part::Over) {
            if !self.step() {
                return;
            }
        }
    }

    /// Handles the next event; `false`: the run does not come to an end.
    fn step(&mut self) -> bool {
        let mut next = self.queue.next_at().unwrap_or(self.now);
        let mut timer = None;
        if let Some(at) = self.server.next_timeout()
            && at < next
        {
            (next, timer) = (at, Some(None));
        }
        for process in &self.processes {
            if let Some(at) = process.next_timeout()
                && at < next
            {
                (next, timer) = (at, Some(Some(process.worker)));
            }
        }
        if next > self.now {
            self.now = next;
            self.checks.set_time(next);
            self.timeouts_now = 0;
        }
        match timer {
            None => {
                if let Some(event) = self.queue.pop() {
                    self.happen(event);
                }
            }
            Some(None) => {
                self.delivered += 1;
                self.server_timeout();
                self.timeouts_now += 1;
            }
            Some(Some(worker)) => {
                self.process_timeout(worker);
                self.timeouts_now += 1;
            }
        }
        let rests = self.timeouts_now < MAX_TIMEOUTS && self.delivered < MAX_EVENTS;
        self.checks.that(Check::Progress, rests, || {
            "a machine sets timers again and again, without time passing".to_owned()
        });
        rests
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Opened { conn, result } => self.opened(conn, result),
            Event::ToServer { conn, number, message } => self.message_at_server(conn, number, message),
            Event::GarbageToServer { conn } => self.garbage_at_server(conn),
            Event::ServerSeesEnd { conn } => self.end_at_server(conn),
            Event::MemberLeaves { member, reason } => self.member_leaves(member, reason),
            Event::StoreCall { place, job, serial, key, call } => {
                self.store_call(place, job, serial, &key, call);
            }
            Event::LeaseCall { place, number, holder, call } => {
                self.lease_call(place, number, &holder, &call);
            }
            Event::Inside { place, what } => self.inside(place, what),
            Event::Start { worker } => self.start_process(worker),
            Event::Continue { place } => self.continue_process(place),
            Event::Traffic => self.traffic(),
            Event::PersonLeaves { member } => self.person_leaves(member),
            Event::Strike => self.strike(),
            Event::Break { conn } => self.break_conn(conn),
            Event::Part(part) => self.begin_part(part),
            Event::Fresh => self.fresh_dispatch(),
        }
    }

    fn begin_part(&mut self, part: Part) {
        self.part = Some(part);
        self.timeline.note(self.now, || format!("── {part:?} ──"));
        match part {
            Part::Heal => {
                self.heal();
                self.next_part(BACK, Part::Back);
            }
            Part::Back => {
                self.check_all_back();
                // The rest is about jobs.
                self.processes.iter_mut().for_each(|process| process.candidate = None);
                let jobs = u32::try_from(self.server.records.offered).unwrap_or(u32::MAX);
                let fresh = MIN_JOBS.saturating_sub(jobs).max(FRESH_DISPATCHES);
                for number in 0..fresh {
                    self.queue.add(self.now + FRESH * number, Event::Fresh);
                }
                self.next_part(FRESH * fresh + QUIET, Part::Quiet);
            }
            Part::Quiet => {
                self.check_quiet();
                self.next_part(Duration::ZERO, Part::Drain);
            }
            Part::Drain => {
                self.next_part(DRAIN, Part::Over);
                for worker in 0..self.processes.len() {
                    let within = Duration::from_secs(self.rng.u64(0..=10));
                    if let Some(place) = self.processes.get(worker).and_then(Process::place) {
                        self.queue.add(self.now, Event::Inside { place, what: Inside::Drain { within } });
                    }
                }
            }
            Part::Over => self.check_over(),
        }
    }

    /// Whether faults still happen.
    pub(super) const fn is_faulty(&self) -> bool {
        self.part.is_none()
    }

    /// Whether workers elect a leader.
    pub(super) fn has_elections(&self) -> bool {
        self.plan.leases && matches!(self.part, None | Some(Part::Heal))
    }

    /// Whether the workers are to stay up.
    pub(super) fn keeps_workers(&self) -> bool {
        !matches!(self.part, Some(Part::Drain | Part::Over))
    }

    /// A random time up to this one.
    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.rng.u64(0..=nanos))
    }

    /// A random time between these two.
    pub(super) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        shortest + self.up_to(longest.saturating_sub(shortest))
    }

    /// How long a message takes.
    pub(super) fn latency(&mut self) -> Duration {
        let (shortest, longest) = self.plan.latency;
        Duration::from_micros(self.rng.u64(shortest..=longest))
    }

    /// Lets something happen in a process.
    pub(super) fn inside_after(&mut self, place: Place, wait: Duration, what: Inside) {
        self.queue.add(self.now + wait, Event::Inside { place, what });
    }
}
