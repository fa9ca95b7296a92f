//! Model test of candidates, a store and the network between them, in any order of faults, against the
//! promises of an election (I13).

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use agent_core::{AcquireResult, Election, ElectionInput, ElectionOutput, LeaseRecord, Time};

const CANDIDATES: usize = 3;
const LEASE: Duration = Duration::from_secs(2);
/// The time step of the model.
const TICK_MICROS: u64 = 5_000;
/// The store's clock at the start.
const EPOCH: u64 = 1_700_000_000_000_000;

#[derive(Clone, Debug)]
enum Op {
    /// Time passes, in ticks.
    Pass(u16),
    /// The process is paused, and continues.
    Stop(usize),
    Continue(usize),
    /// Requests stay in the network, and continue (late).
    Stall(usize),
    /// Answers stay in the network.
    Mute(usize),
    Flow(usize),
    /// What is in flight is lost, with an error.
    Break(usize),
    /// It resigns, and a new candidate starts.
    Resign(usize),
    /// It is killed, and replaced by another one.
    Kill(usize),
    /// The store becomes unreachable, and reachable again.
    StoreDown,
    StoreUp,
    /// The store loses its data.
    Wipe,
}

fn op(wipes: bool) -> impl Strategy<Value = Op> {
    let who = 0..CANDIDATES;
    prop_oneof![
        12 => (1u16..800).prop_map(Op::Pass),
        3 => who.clone().prop_map(Op::Stop),
        4 => who.clone().prop_map(Op::Continue),
        3 => who.clone().prop_map(Op::Stall),
        3 => who.clone().prop_map(Op::Mute),
        5 => who.clone().prop_map(Op::Flow),
        2 => who.clone().prop_map(Op::Break),
        1 => who.clone().prop_map(Op::Resign),
        1 => who.prop_map(Op::Kill),
        1 => Just(Op::StoreDown),
        3 => Just(Op::StoreUp),
        1 => Just(if wipes { Op::Wipe } else { Op::StoreUp }),
    ]
}

#[derive(Clone, Debug)]
enum Call {
    Try,
    Renew(u64),
    Release,
    Write(u64),
}

/// One candidate, its clock, and its connection.
struct Candidate {
    id: String,
    election: Election,
    /// When it was created, in ticks.
    born: u64,
    /// The speed of its clock, in percent.
    rate: u64,
    stopped: bool,
    stalled: bool,
    muted: bool,
    /// In flight to the store: the sender (perhaps its predecessor), the number of the call, and the call.
    under_way: Vec<(String, u64, Call)>,
    calls: u64,
    /// The call whose answer it waits for.
    waits_for: Option<u64>,
    /// The answers that were not read yet.
    answers: Vec<(u64, ElectionInput)>,
    /// The token, and until when it considers itself leader, by its own clock.
    leads: Option<(u64, Time)>,
}

struct World {
    tick: u64,
    record: LeaseRecord,
    down: bool,
    candidates: Vec<Candidate>,
    made: u64,
    last_granted: u64,
    /// Who wrote under a token.
    writers: BTreeMap<u64, String>,
    last_written: u64,
    wiped: bool,
}

impl World {
    fn new(seed: u64, rates: &[u64]) -> Self {
        let mut world = Self {
            tick: 0,
            record: LeaseRecord::default(),
            down: false,
            candidates: Vec::new(),
            made: seed,
            last_granted: 0,
            writers: BTreeMap::new(),
            last_written: 0,
            wiped: false,
        };
        for rate in rates {
            let candidate = world.candidate(*rate);
            world.candidates.push(candidate);
        }
        world
    }

    fn candidate(&mut self, rate: u64) -> Candidate {
        self.made = self.made.wrapping_add(1);
        Candidate {
            id: format!("c{}", self.made),
            election: Election::new(LEASE, self.made),
            born: self.tick,
            rate,
            stopped: false,
            stalled: false,
            muted: false,
            under_way: Vec::new(),
            calls: 0,
            waits_for: None,
            answers: Vec::new(),
            leads: None,
        }
    }

    /// Another candidate on the same machine. What its predecessor sent may still arrive; its answers are
    /// dropped.
    fn replace(&mut self, n: usize) {
        let next = self.candidate(self.candidates[n].rate);
        let before = std::mem::replace(&mut self.candidates[n], next);
        self.candidates[n].stalled = before.stalled;
        self.candidates[n].muted = before.muted;
        self.candidates[n].under_way.splice(0..0, before.under_way);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Pass(ticks) => self.pass(ticks.into()),
            Op::Stop(n) => self.candidates[n].stopped = true,
            Op::Continue(n) => self.candidates[n].stopped = false,
            Op::Stall(n) => self.candidates[n].stalled = true,
            Op::Mute(n) => self.candidates[n].muted = true,
            Op::Flow(n) => self.candidates[n].flow(),
            Op::Break(n) => {
                let candidate = &mut self.candidates[n];
                candidate.under_way.clear();
                let waits = candidate.waits_for;
                candidate.answers.extend(waits.map(|call| (call, ElectionInput::Failed)));
            }
            Op::Resign(n) => {
                if !self.candidates[n].stopped {
                    self.candidates[n].input(ElectionInput::Resigned, self.tick);
                    self.candidates[n].leads = None;
                }
            }
            Op::Kill(n) => {
                self.replace(n);
            }
            Op::StoreDown => self.down = true,
            Op::StoreUp => self.down = false,
            Op::Wipe => {
                self.record = LeaseRecord::default();
                self.wiped = true;
            }
        }
    }

    fn pass(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.tick += 1;
            for n in 0..CANDIDATES {
                if self.candidates[n].election.is_over() && !self.candidates[n].stopped {
                    // A candidate that lost or gave up starts again, as a handler would.
                    self.replace(n);
                }
                self.deliver(n);
                self.run(n);
            }
            self.check();
        }
    }

    /// Delivers requests to the store, unless the network stalls.
    fn deliver(&mut self, n: usize) {
        if self.candidates[n].stalled {
            return;
        }
        for (id, number, call) in std::mem::take(&mut self.candidates[n].under_way) {
            let answer = if self.down { Some(ElectionInput::Failed) } else { self.store(&id, &call) };
            let answer = answer.filter(|_| id == self.candidates[n].id);
            self.candidates[n].answers.extend(answer.map(|answer| (number, answer)));
        }
    }

    fn run(&mut self, n: usize) {
        let tick = self.tick;
        let candidate = &mut self.candidates[n];
        if candidate.stopped {
            return;
        }
        // The handler writes before anything else reads the clock: the worst order.
        if let Some((token, _)) = candidate.leads {
            candidate.send(Call::Write(token));
        }
        let read = if candidate.muted { Vec::new() } else { std::mem::take(&mut candidate.answers) };
        for (number, answer) in read {
            if candidate.waits_for == Some(number) {
                candidate.waits_for = None;
                candidate.input(answer, tick);
            }
        }
        let now = candidate.now(tick);
        candidate.election.handle_timeout(now);
        candidate.drain(tick);
    }

    fn store(&mut self, id: &str, call: &Call) -> Option<ElectionInput> {
        let now = EPOCH + self.tick * TICK_MICROS;
        match call {
            Call::Try => Some(match self.record.acquire(id, LEASE, now) {
                AcquireResult::Granted { token } => {
                    assert!(token >= self.last_granted, "tokens grow: {token} after {}", self.last_granted);
                    self.last_granted = token;
                    ElectionInput::Granted { token }
                }
                AcquireResult::Held { by, remaining } => ElectionInput::Held { by, remaining },
            }),
            Call::Renew(token) => Some(match self.record.renew(id, *token, LEASE, now) {
                true => ElectionInput::Renewed,
                false => ElectionInput::Refused,
            }),
            Call::Release => {
                self.record.release(id);
                None
            }
            Call::Write(token) => {
                if self.record.may_write(*token) {
                    assert!(
                        *token >= self.last_written,
                        "I13: {token} was written after {}",
                        self.last_written
                    );
                    self.last_written = *token;
                    let writer = self.writers.entry(*token).or_insert_with(|| id.to_owned());
                    assert_eq!(writer, id, "I13: two writers under {token}");
                }
                None
            }
        }
    }

    /// At most one candidate considers itself leader, by its own clock, even while paused.
    fn check(&self) {
        let leaders: Vec<&str> = self
            .candidates
            .iter()
            .filter(|c| c.leads.is_some_and(|(_, until)| until > c.now(self.tick)))
            .map(|c| c.id.as_str())
            .collect();
        assert!(leaders.len() <= 1 || self.wiped, "two leaders: {leaders:?}");
    }

    fn heal(&mut self) {
        self.down = false;
        for candidate in &mut self.candidates {
            candidate.stopped = false;
            candidate.flow();
        }
    }

    fn leader(&self) -> Option<&str> {
        self.candidates
            .iter()
            .find(|c| c.leads.is_some_and(|(_, u)| u > c.now(self.tick)))
            .map(|c| c.id.as_str())
    }
}

impl Candidate {
    fn now(&self, tick: u64) -> Time {
        Time::ZERO + Duration::from_micros((tick - self.born) * TICK_MICROS * self.rate / 100)
    }

    fn input(&mut self, input: ElectionInput, tick: u64) {
        let now = self.now(tick);
        self.election.handle_input(input, now);
        self.drain(tick);
    }

    fn flow(&mut self) {
        self.stalled = false;
        self.muted = false;
    }

    fn send(&mut self, call: Call) {
        self.calls += 1;
        self.under_way.push((self.id.clone(), self.calls, call));
    }

    fn ask(&mut self, call: Call) {
        assert_eq!(self.waits_for, None, "one call at a time");
        self.send(call);
        self.waits_for = Some(self.calls);
    }

    fn drain(&mut self, tick: u64) {
        while let Some(output) = self.election.poll_output() {
            match output {
                ElectionOutput::Try => self.ask(Call::Try),
                ElectionOutput::Renew { token } => self.ask(Call::Renew(token)),
                ElectionOutput::Abandon => self.waits_for = None,
                ElectionOutput::Release => self.send(Call::Release),
                ElectionOutput::Lead { token, until } => self.leads = Some((token, until)),
                ElectionOutput::Extended { until } => {
                    self.leads = self.leads.map(|(token, _)| (token, until));
                }
                ElectionOutput::Lost(_) => self.leads = None,
                ElectionOutput::Follow { .. } | ElectionOutput::GaveUp => {}
            }
        }
        if let Some((at, timer)) = self.election.poll_timeout() {
            assert!(at > self.now(tick), "I9: {timer:?} at {at} is not later than now");
        }
    }
}

fn any_order(seed: u64, rates: &[u64], ops: Vec<Op>) {
    let mut world = World::new(seed, rates);
    for op in ops {
        world.apply(op);
    }
    // Then all faults end, and there is a leader within a lease (on the slowest clock of a candidate) and a
    // second.
    world.heal();
    let limit = (LEASE + Duration::from_secs(1)).as_micros() * 104 / 100;
    world.pass(u64::try_from(limit).unwrap() / TICK_MICROS);
    assert!(world.leader().is_some(), "no leader after lease + 1 s");
}

/// Clocks with up to 4 % of drift; quartz is a thousand times better.
fn rates() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(96u64..=104, CANDIDATES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn never_two_leaders(seed: u64, rates in rates(), ops in proptest::collection::vec(op(false), 1..60)) {
        any_order(seed, &rates, ops);
    }

    /// When a store loses its data, two candidates may consider themselves leader for a while; still only the
    /// later one can write.
    #[test]
    fn a_store_that_loses_its_records_still_fences(
        seed: u64,
        rates in rates(),
        ops in proptest::collection::vec(op(true), 1..60),
    ) {
        any_order(seed, &rates, ops);
    }
}
