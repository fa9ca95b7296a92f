//! The store of checkpoints, and the store of leases with the candidates for one: calls take time, fail, and
//! are answered late.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::{
    AcquireResult, AttemptEnd, CheckpointChange, Election, ElectionInput, ElectionOutput, Generation,
    JobErrorKind, JobId, LeaseRecord, Slot, StoreError, StoreRequest, encode_checkpoint,
};
use agent_proto::Time;

use super::check::Check;
use super::event::{Event, Inside, LeaseCall, Place, StoreAnswer, StoreCall};
use super::fault::Fault;
use super::world::World;

/// How long a checkpoint is kept.
const KEEP: Duration = Duration::from_secs(3600);
/// The lease of the leader.
const LEASE: Duration = Duration::from_secs(8);
/// How often a leader writes.
const WRITES_EVERY: Duration = Duration::from_millis(700);

/// The stores that all workers share.
#[derive(Default)]
pub(super) struct Stores {
    slots: BTreeMap<String, Slot>,
    /// An older state, to which a failover goes back.
    older: BTreeMap<String, Slot>,
    /// The last claim of each key, as far as the store may still know it.
    claimed: BTreeMap<String, u64>,
    lease: LeaseRecord,
    /// The last token that was granted.
    granted: u64,
    /// By how much their clock is ahead.
    ahead: Duration,
    /// Whether it has jumped.
    pub(super) jumped: bool,
}

/// What a handler does with its checkpoint.
#[derive(Default)]
pub(super) struct Saving {
    change: Option<CheckpointChange>,
    since: Option<Generation>,
    /// Whether a call is in progress.
    waits: bool,
}

/// A candidate for the lease.
pub(super) struct Candidate {
    election: Election,
    /// A new one for each election, so that a late release of the last one is not mistaken.
    holder: String,
    born: Time,
    /// The number of the last call.
    call: u64,
    /// The token, and until when it leads.
    leads: Option<(u64, Time)>,
}

impl Candidate {
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.election.poll_timeout().map(|(at, _)| self.born + (at - Time::ZERO))
    }
}

impl Stores {
    fn millis(&self, now: Time) -> u64 {
        u64::try_from((now - Time::ZERO + self.ahead).as_millis()).unwrap_or(u64::MAX) + 1_000_000
    }

    fn micros(&self, now: Time) -> u64 {
        u64::try_from((now - Time::ZERO + self.ahead).as_micros()).unwrap_or(u64::MAX) + 1_000_000
    }

    /// Keeps the present state, for a failover.
    fn snapshot(&mut self) {
        self.older.clone_from(&self.slots);
    }

    /// Goes back to the kept state. What was promised about the lost part is void.
    pub(super) fn fail_over(&mut self) {
        self.slots = std::mem::take(&mut self.older);
        self.claimed.clear();
    }

    pub(super) const fn jump(&mut self, time: Duration) {
        self.ahead = self.ahead.saturating_add(time);
        self.jumped = true;
    }
}

// Checkpoints.
impl World {
    /// A handler loads its checkpoint.
    pub(super) fn load_checkpoint(&mut self, place: Place, job: &JobId, serial: u64) {
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        if running.session.begin_load().is_ok() {
            running.saving.waits = true;
            self.call_store(place, job, serial, StoreCall::Claim);
        }
    }

    /// It saves it.
    pub(super) fn save(&mut self, place: Place, job: &JobId, serial: u64) {
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        if !running.in_attempt || running.serial != serial || running.saving.waits {
            return;
        }
        let change = CheckpointChange::Save { since: running.saving.since };
        if running.session.begin(change).is_err() {
            return;
        }
        running.saving.change = Some(change);
        self.next_request(place, job, serial, change);
    }

    fn next_request(&mut self, place: Place, job: &JobId, serial: u64, change: CheckpointChange) {
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        let request = running.session.next_request(change);
        running.saving.waits = request.is_ok();
        match request {
            Ok(StoreRequest::Claim) => self.call_store(place, job, serial, StoreCall::Claim),
            Ok(StoreRequest::Write(writer)) => self.call_store(place, job, serial, StoreCall::Write(writer)),
            Err(_) => {
                self.is_superseded(place, job, serial);
            }
        }
    }

    fn call_store(&mut self, place: Place, job: &JobId, serial: u64, call: StoreCall) {
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get(job)) else {
            return;
        };
        let key = running.job.room.name.clone();
        let mut wait = self.latency();
        if self.swarm.strikes(Fault::StoreFails, 0.1, &mut self.rng) {
            match self.rng.u8(..3) {
                // Slow, so that it arrives when another worker has the job.
                0 => wait = self.up_to(Duration::from_secs(20)),
                // It never arrives.
                1 => return self.no_answer(place, job, serial),
                // It arrives, and its answer does not.
                _ => {
                    self.no_answer(place, job, serial);
                    let serial = 0;
                    let event = Event::StoreCall { place, job: job.clone(), serial, key, call };
                    return self.queue.add(self.now + wait, event);
                }
            }
        }
        let event = Event::StoreCall { place, job: job.clone(), serial, key, call };
        self.queue.add(self.now + wait, event);
    }

    /// The caller gives up, as it gets no answer.
    fn no_answer(&mut self, place: Place, job: &JobId, serial: u64) {
        let problem = StoreError::Unavailable { problem: "no answer".to_owned(), source: None };
        let (wait, answer) = (Duration::from_secs(2), StoreAnswer::Failed(problem));
        self.inside_after(place, wait, Inside::StoreAnswer { job: job.clone(), serial, answer });
    }

    /// Another worker has taken the checkpoint over: the handler ends.
    fn is_superseded(&mut self, place: Place, job: &JobId, serial: u64) {
        let kind = JobErrorKind::Fatal { reason: "checkpoint_superseded".into() };
        let end = AttemptEnd::Error { kind, text: "superseded".to_owned() };
        self.inside_after(place, Duration::ZERO, Inside::End { job: job.clone(), serial, end });
    }

    /// A call reaches the store.
    pub(super) fn store_call(&mut self, place: Place, job: JobId, serial: u64, key: &str, call: StoreCall) {
        let now = self.stores.millis(self.now);
        if self.rng.u8(..16) == 0 {
            self.stores.snapshot();
        }
        let answer = match call {
            StoreCall::Claim => {
                let (slot, claim) = Slot::claim(self.stores.slots.remove(key), now, KEEP);
                self.stores.slots.insert(key.to_owned(), slot);
                self.stores.claimed.insert(key.to_owned(), claim.writer.epoch.0);
                StoreAnswer::Claimed(claim)
            }
            StoreCall::Write(writer) => {
                let may = Slot::may_write(self.stores.slots.get(key), writer, now, KEEP);
                #[cfg(test)]
                let may = super::planted::may_write(self.bug, may);
                if may {
                    let last = self.stores.claimed.get(key).copied().unwrap_or_default();
                    self.checks.that(Check::CheckpointFenced, writer.epoch.0 >= last, || {
                        format!("{job} has written {key} with epoch {}, claimed is {last}", writer.epoch.0)
                    });
                    let record = encode_checkpoint(&serial, 1, writer.epoch, now).ok();
                    self.stores.slots.insert(key.to_owned(), Slot::written(writer, record, now, KEEP));
                    StoreAnswer::Written(writer.seen_at(now))
                } else {
                    StoreAnswer::Failed(StoreError::Superseded)
                }
            }
        };
        let wait = self.latency();
        self.inside_after(place, wait, Inside::StoreAnswer { job, serial, answer });
    }

    /// The store has answered.
    pub(super) fn store_answered(&mut self, place: Place, job: &JobId, serial: u64, answer: StoreAnswer) {
        self.delivered += 1;
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        if running.serial != serial || !running.in_attempt || !running.saving.waits {
            return;
        }
        running.saving.waits = false;
        let every = running.script.saves_every;
        let next = Inside::Save { job: job.clone(), serial };
        match (answer, running.saving.change) {
            (StoreAnswer::Claimed(claim), change) => {
                running.session.claimed(&claim);
                if let Some(change) = change {
                    return self.next_request(place, job, serial, change);
                }
                running.saving.since = Some(running.session.loaded());
                self.inside_after(place, every, next);
            }
            (StoreAnswer::Written(writer), Some(change)) => {
                running.session.written(change, writer);
                running.saving.change = None;
                self.inside_after(place, every, next);
            }
            (StoreAnswer::Failed(error), Some(change)) => match running.session.write_failed(error) {
                Ok(()) => self.next_request(place, job, serial, change),
                Err(agent_core::CheckpointError::Superseded) => {
                    self.is_superseded(place, job, serial);
                }
                Err(_) => {
                    running.saving.change = None;
                    self.inside_after(place, every, next);
                }
            },
            (StoreAnswer::Written(_) | StoreAnswer::Failed(_), None) => {}
        }
    }
}

// Leases.
impl World {
    pub(super) fn new_candidate(&mut self, place: Place) {
        if !self.has_elections() {
            return;
        }
        let (seed, now) = (self.rng.u64(..), self.now);
        let Some(process) = self.process_at(place) else { return };
        let before = process.candidate.as_ref().map_or(0, |candidate| candidate.call);
        let election = Election::new(LEASE, seed);
        let holder = format!("worker-{}/{seed:x}", place.worker);
        process.candidate = Some(Candidate { election, holder, born: now, call: before, leads: None });
        self.candidate_outputs(place.worker);
    }

    pub(super) fn candidate_timeout(&mut self, worker: usize) {
        let now = self.now;
        if let Some(candidate) = self.process(worker).and_then(|process| process.candidate.as_mut()) {
            candidate.election.handle_timeout(Time::ZERO + (now - candidate.born));
        }
        self.candidate_outputs(worker);
    }

    pub(super) fn lease_answered(&mut self, worker: usize, number: u64, answer: ElectionInput) {
        let now = self.now;
        self.delivered += 1;
        if let Some(candidate) = self.process(worker).and_then(|process| process.candidate.as_mut())
            && candidate.call == number
        {
            candidate.election.handle_input(answer, Time::ZERO + (now - candidate.born));
            self.candidate_outputs(worker);
        }
    }

    fn candidate_outputs(&mut self, worker: usize) {
        while let Some(process) = self.processes.get_mut(worker)
            && let Some(place) = process.place()
            && let Some(candidate) = &mut process.candidate
            && let Some(output) = candidate.election.poll_output()
        {
            let (now, born) = (self.now, candidate.born);
            #[cfg(test)]
            let output = super::planted::election(self.bug, output);
            self.timeline.note(now, || format!("worker {worker}: election: {output:?}"));
            match output {
                ElectionOutput::Try => self.call_lease(place, LeaseCall::Try),
                ElectionOutput::Renew { token } => self.call_lease(place, LeaseCall::Renew { token }),
                ElectionOutput::Release => self.call_lease(place, LeaseCall::Release),
                // The answer to an abandoned call has an older number.
                ElectionOutput::Abandon => candidate.call += 1,
                ElectionOutput::Lead { token, until } => {
                    candidate.leads = Some((token, born + (until - Time::ZERO)));
                    self.leads(worker);
                    self.inside_after(place, Duration::ZERO, Inside::LeaderWrites);
                }
                ElectionOutput::Extended { until } => {
                    if let Some((_, leads_until)) = &mut candidate.leads {
                        *leads_until = born + (until - Time::ZERO);
                    }
                }
                ElectionOutput::Follow { .. } => {}
                ElectionOutput::Lost(_) | ElectionOutput::GaveUp => {
                    candidate.leads = None;
                    let wait = self.between(Duration::from_millis(500), Duration::from_secs(2));
                    self.inside_after(place, wait, Inside::Candidate);
                }
            }
        }
    }

    /// A candidate leads: by their clocks no other one does.
    fn leads(&mut self, worker: usize) {
        let now = self.now;
        let other = self.processes.iter().find(|process| {
            let leads = process.candidate.as_ref().and_then(|candidate| candidate.leads);
            process.worker != worker && leads.is_some_and(|(_, until)| until > now)
        });
        let other = other.map(|process| process.worker);
        if !self.stores.jumped {
            self.checks.that(Check::OneLeader, other.is_none(), || {
                format!("worker {worker} leads while worker {other:?} does")
            });
        }
    }

    fn call_lease(&mut self, place: Place, call: LeaseCall) {
        let Some(candidate) = self.process(place.worker).and_then(|process| process.candidate.as_mut())
        else {
            return;
        };
        candidate.call += 1;
        let (number, holder) = (candidate.call, candidate.holder.clone());
        let mut wait = self.latency();
        if self.swarm.strikes(Fault::LeaseFails, 0.2, &mut self.rng) {
            if self.rng.bool() {
                wait = self.up_to(Duration::from_secs(12));
            } else {
                let answer = ElectionInput::Failed;
                return self.inside_after(place, wait, Inside::LeaseAnswer { number, answer });
            }
        }
        self.queue.add(self.now + wait, Event::LeaseCall { place, number, holder, call });
    }

    /// A leader writes, as long as it leads.
    pub(super) fn leader_writes(&mut self, place: Place) {
        let now = self.now;
        let Some(candidate) = self.process(place.worker).and_then(|process| process.candidate.as_ref())
        else {
            return;
        };
        let Some((token, until)) = candidate.leads else { return };
        let holder = candidate.holder.clone();
        if until <= now {
            return;
        }
        // It may have looked at its clock long before the write arrives.
        let late = self.rng.u8(..10) == 0;
        let wait = if late { self.up_to(Duration::from_secs(12)) } else { self.latency() };
        let call = LeaseCall::Write { token };
        self.queue.add(now + wait, Event::LeaseCall { place, number: 0, holder, call });
        self.inside_after(place, WRITES_EVERY, Inside::LeaderWrites);
    }

    /// A call reaches the store of leases.
    pub(super) fn lease_call(&mut self, place: Place, number: u64, id: &str, call: &LeaseCall) {
        let now = self.stores.micros(self.now);
        let answer = match *call {
            LeaseCall::Try => match self.stores.lease.acquire(id, LEASE, now) {
                AcquireResult::Granted { token } => {
                    self.stores.granted = token;
                    ElectionInput::Granted { token }
                }
                AcquireResult::Held { by, remaining } => ElectionInput::Held { by, remaining },
            },
            LeaseCall::Renew { token } => {
                if self.stores.lease.renew(id, token, LEASE, now) {
                    ElectionInput::Renewed
                } else {
                    ElectionInput::Refused
                }
            }
            LeaseCall::Release => return self.stores.lease.release(id),
            LeaseCall::Write { token } => {
                let may = self.stores.lease.may_write(token);
                #[cfg(test)]
                let may = super::planted::may_lead(self.bug, may);
                let granted = self.stores.granted;
                return self.checks.that(Check::LeaderFenced, !may || token == granted, || {
                    format!("{id} has written with token {token}, though {granted} was granted since")
                });
            }
        };
        let wait = self.latency();
        self.inside_after(place, wait, Inside::LeaseAnswer { number, answer });
    }
}
