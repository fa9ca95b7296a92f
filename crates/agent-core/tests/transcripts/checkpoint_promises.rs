//! Model test of jobs that share a checkpoint, their store and an unreliable network, in any order of events,
//! against the promises of a checkpoint writer (I13).
//!
//! A claim arrives at once or never: one that arrives after a later claim of the same job was answered
//! supersedes it.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use agent_core::{
    CheckpointChange, CheckpointError, ClaimSession, Generation, Slot, StoreError, StoreRequest, Writer,
    encode_checkpoint,
};

const JOBS: usize = 3;
const KEEP: Duration = Duration::from_secs(3600);

/// The fate of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answered,
    /// It arrives, but its answer does not.
    Unanswered,
    Lost,
    /// It arrives some time after it was abandoned; writes only.
    Late,
}

#[derive(Clone, Debug)]
enum Op {
    /// Time passes, in minutes.
    Pass(u64),
    /// The job loads a value, which it may save later.
    Load(usize),
    /// Saves the last value that was loaded, one before it, or one made by hand.
    SaveLast(usize),
    SaveOlder(usize),
    SaveByHand(usize),
    Delete(usize),
    /// The job ends or is killed, and is replaced by another one.
    End(usize),
    Kill(usize),
    /// A late write arrives.
    Arrive(usize),
}

fn step(jobs: usize) -> impl Strategy<Value = (Op, Vec<Fate>)> {
    let who = 0..jobs;
    let op = prop_oneof![
        2 => (1u64..30).prop_map(Op::Pass),
        5 => who.clone().prop_map(Op::Load),
        5 => who.clone().prop_map(Op::SaveLast),
        2 => who.clone().prop_map(Op::SaveOlder),
        3 => who.clone().prop_map(Op::SaveByHand),
        2 => who.clone().prop_map(Op::Delete),
        1 => who.clone().prop_map(Op::End),
        1 => who.prop_map(Op::Kill),
        3 => any::<usize>().prop_map(Op::Arrive),
    ];
    let fate = prop_oneof![
        5 => Just(Fate::Answered),
        2 => Just(Fate::Unanswered),
        1 => Just(Fate::Lost),
        2 => Just(Fate::Late),
    ];
    (op, proptest::collection::vec(fate, 4))
}

/// One attempt of a job.
struct Job {
    id: usize,
    session: ClaimSession,
    /// The values that it has loaded, each with the time of its claim.
    values: Vec<(Generation, u64)>,
    /// A save by hand may replace what others had saved at this time.
    known: u64,
    claimed: bool,
}

impl Job {
    fn new(id: usize) -> Self {
        Self { id, session: ClaimSession::default(), values: Vec::new(), known: 0, claimed: false }
    }
}

/// A write in flight.
#[derive(Clone, Debug)]
struct Sent {
    job: usize,
    operation: u64,
    writer: Writer,
    record: Option<Vec<u8>>,
    /// It may replace what others had saved at this time.
    since: u64,
}

/// What an attempt did in the store.
#[derive(Default)]
struct Trace {
    /// When it claimed each epoch.
    claims: BTreeMap<u64, u64>,
    /// When it last changed something, and by which of its operations.
    changed: u64,
    operation: u64,
}

/// Why an operation ended without success.
#[derive(Debug)]
enum End {
    NoAnswer,
    Error(CheckpointError),
}

struct World {
    now: u64,
    /// Counts what arrives at the store.
    moment: u64,
    stored: Option<Slot>,
    /// Who saved the record, and when.
    saved: Option<(usize, u64)>,
    jobs: Vec<Job>,
    traces: Vec<Trace>,
    late: Vec<Sent>,
    operation: u64,
    /// How often a job was superseded.
    superseded: u32,
}

impl World {
    fn new(jobs: usize) -> Self {
        Self {
            now: 1_000_000,
            moment: 0,
            stored: None,
            saved: None,
            jobs: (0..jobs).map(Job::new).collect(),
            traces: (0..jobs).map(|_| Trace::default()).collect(),
            late: Vec::new(),
            operation: 0,
            superseded: 0,
        }
    }

    fn run(&mut self, op: &Op, fates: &[Fate]) {
        self.operation += 1;
        let mut fates = fates.iter().copied();
        let ended = match *op {
            Op::Pass(minutes) => {
                self.now += minutes * 60_000;
                return;
            }
            Op::Arrive(at) => {
                if !self.late.is_empty() {
                    let sent = self.late.remove(at % self.late.len());
                    let _ = self.write(&sent);
                }
                return;
            }
            Op::Kill(who) => return self.replace(who),
            Op::Load(who) => self.load(who, &mut fates),
            Op::SaveLast(who) | Op::SaveOlder(who) => {
                let values = &self.jobs[who].values;
                let skip = usize::from(matches!(op, Op::SaveOlder(_)));
                let Some(&(since, known)) = values.iter().rev().nth(skip) else { return };
                self.change(who, CheckpointChange::Save { since: Some(since) }, known, &mut fates)
            }
            Op::SaveByHand(who) => {
                let known = self.jobs[who].known;
                self.change(who, CheckpointChange::Save { since: None }, known, &mut fates)
            }
            Op::Delete(who) => {
                self.jobs[who].known = self.moment;
                self.change(who, CheckpointChange::Delete, u64::MAX, &mut fates)
            }
            Op::End(who) => {
                let ended = if self.jobs[who].session.close(true) {
                    let known = self.jobs[who].known;
                    self.change(who, CheckpointChange::Discard, known, &mut fates)
                } else {
                    Ok(())
                };
                let save = CheckpointChange::Save { since: None };
                assert!(matches!(self.jobs[who].session.begin(save), Err(CheckpointError::JobOver)));
                self.replace(who);
                ended
            }
        };
        match ended {
            Err(End::Error(CheckpointError::Superseded)) => self.superseded += 1,
            Err(End::Error(error)) => panic!("{error}"),
            Err(End::NoAnswer) | Ok(()) => {}
        }
    }

    fn replace(&mut self, who: usize) {
        self.jobs[who] = Job::new(self.traces.len());
        self.traces.push(Trace::default());
    }

    fn load(&mut self, who: usize, fates: &mut impl Iterator<Item = Fate>) -> Result<(), End> {
        self.jobs[who].session.begin_load().map_err(End::Error)?;
        self.claim(who, fates)?;
        let moment = self.moment;
        let job = &mut self.jobs[who];
        job.values.push((job.session.loaded(), moment));
        job.known = moment;
        job.session.mark_deletable();
        Ok(())
    }

    fn claim(&mut self, who: usize, fates: &mut impl Iterator<Item = Fate>) -> Result<(), End> {
        let fate = fates.next().unwrap_or(Fate::Answered);
        if matches!(fate, Fate::Lost | Fate::Late) {
            return Err(End::NoAnswer);
        }
        self.moment += 1;
        let (slot, claim) = Slot::claim(self.stored.take(), self.now, KEEP);
        self.saved = self.saved.filter(|_| slot.record.is_some());
        self.stored = Some(slot);
        let job = &mut self.jobs[who];
        self.traces[job.id].claims.insert(claim.writer.epoch.0, self.moment);
        if fate == Fate::Unanswered {
            return Err(End::NoAnswer);
        }
        job.session.claimed(&claim);
        if !std::mem::replace(&mut job.claimed, true) {
            job.known = self.moment;
        }
        Ok(())
    }

    /// Saves or deletes like the driver.
    fn change(
        &mut self,
        who: usize,
        change: CheckpointChange,
        known: u64,
        fates: &mut impl Iterator<Item = Fate>,
    ) -> Result<(), End> {
        let is_first = !self.jobs[who].claimed && change != CheckpointChange::Delete;
        self.jobs[who].session.begin(change).map_err(End::Error)?;
        loop {
            let job = &mut self.jobs[who];
            let writer = match job.session.next_request(change).map_err(End::Error)? {
                StoreRequest::Claim => {
                    self.claim(who, fates)?;
                    continue;
                }
                StoreRequest::Write(writer) => writer,
            };
            // The first claim by hand takes over the record.
            let since = if is_first { job.known } else { known };
            let record = matches!(change, CheckpointChange::Save { .. })
                .then(|| encode_checkpoint(&self.operation, 1, writer.epoch, self.now).unwrap());
            let sent = Sent { job: job.id, operation: self.operation, writer, record, since };
            match fates.next().unwrap_or(Fate::Answered) {
                Fate::Lost => return Err(End::NoAnswer),
                Fate::Late => {
                    self.late.push(sent);
                    return Err(End::NoAnswer);
                }
                Fate::Unanswered => {
                    let _ = self.write(&sent);
                    return Err(End::NoAnswer);
                }
                Fate::Answered => {}
            }
            let written = self.write(&sent);
            let session = &mut self.jobs[who].session;
            match written {
                Ok(writer) => {
                    session.written(change, writer);
                    return Ok(());
                }
                Err(error) => session.write_failed(error).map_err(End::Error)?,
            }
        }
    }

    /// A write arrives at the store.
    fn write(&mut self, sent: &Sent) -> Result<Writer, StoreError> {
        if !Slot::may_write(self.stored.as_ref(), sent.writer, self.now, KEEP) {
            return Err(StoreError::Superseded);
        }
        let trace = &self.traces[sent.job];
        let claimed = trace.claims[&sent.writer.epoch.0];
        for (other, its) in self.traces.iter().enumerate().filter(|(other, _)| *other != sent.job) {
            assert!(its.changed < claimed, "{sent:?}, claimed at {claimed}, came after a change by {other}");
        }
        assert!(trace.operation < sent.operation, "{sent:?} came after a later operation of its job");
        let live = self.stored.as_ref().is_some_and(|slot| self.now < slot.record_until);
        if let Some((by, at)) = self.saved.filter(|_| live) {
            assert!(by == sent.job || at <= sent.since, "{sent:?} replaced what {by} had saved at {at}");
        }
        self.moment += 1;
        self.stored = Some(Slot::written(sent.writer, sent.record.clone(), self.now, KEEP));
        self.saved = sent.record.is_some().then_some((sent.job, self.moment));
        let trace = &mut self.traces[sent.job];
        (trace.changed, trace.operation) = (self.moment, sent.operation);
        Ok(sent.writer.seen_at(self.now))
    }
}

proptest! {
    /// A stale writer changes nothing, a write never replaces a later one of the same job, an earlier write
    /// does not restore a deleted record, and no job saves over, or deletes at its end, progress of others
    /// that it has not read.
    #[test]
    fn no_job_overwrites_a_record_that_it_has_not_read(steps in proptest::collection::vec(step(JOBS), 1..60)) {
        let mut world = World::new(JOBS);
        for (op, fates) in &steps {
            world.run(op, fates);
        }
    }

    /// Only other jobs supersede a job, however its requests end.
    #[test]
    fn a_job_alone_is_never_superseded(steps in proptest::collection::vec(step(1), 1..40)) {
        let mut world = World::new(1);
        let steps = steps.iter().filter(|(op, _)| !matches!(op, Op::Kill(_)));
        for (op, fates) in steps {
            world.run(op, fates);
            prop_assert_eq!(world.superseded, 0, "{:?}", op);
        }
    }
}
