//! What must hold after the faults.

use agent_server::RecordedStatus;

use super::check::Check;
use super::process::Process;
use super::world::World;

impl World {
    /// All workers are registered again.
    pub(super) fn check_all_back(&mut self) {
        self.check_server_table();
        for process in &self.processes {
            let (worker, registered) = (process.worker, process.is_registered());
            self.checks.that(Check::ComesBack, registered, || {
                format!("worker {worker} is not registered, long after the faults have ended")
            });
        }
    }

    /// Nothing is on its way.
    pub(super) fn check_quiet(&mut self) {
        self.check_server_table();
        self.check_recorded();
        for dispatch in std::mem::take(&mut self.traffic.fresh) {
            let mut jobs = self.server.records.jobs.values().filter(|record| record.dispatch == dispatch);
            let served = jobs.any(|record| record.held_by.is_some() || record.ended.is_some());
            self.checks.that(Check::Served, served, || format!("dispatch {dispatch} was not served"));
        }
    }

    /// The workers are done.
    pub(super) fn check_over(&mut self) {
        let now = self.now;
        for process in &self.processes {
            let (worker, over) = (process.worker, process.subject.is_none());
            self.checks.that(Check::DrainInTime, over, || {
                format!("worker {worker} has not ended its drain at {now}")
            });
        }
    }

    /// Each worker has the jobs that the server thinks it has.
    fn check_server_table(&mut self) {
        for process in &self.processes {
            let Some(subject) = &process.subject else { continue };
            let listed = self.server.records.jobs.iter().filter(|(_, record)| {
                record.held_by.is_some() && record.held_by == process.conn && !record.assignment_lost
            });
            let mut foreign =
                listed.map(|(job, _)| job).filter(|job| subject.worker().lifecycle(job).is_none());
            let foreign = foreign.next();
            self.checks.that(Check::ServerTable, foreign.is_none(), || {
                format!("the server lists {foreign:?}, and worker {} does not have it", process.worker)
            });
        }
    }

    /// The server has recorded what the workers have reported.
    fn check_recorded(&mut self) {
        for (job, record) in &self.server.records.jobs {
            let Some((status, recorded)) = &record.ended else { continue };
            // A server that ends a job by itself takes no status any more.
            if record.terminated || recorded == "agent worker left the room" {
                continue;
            }
            let Some(owner) = record.owner else { continue };
            let Some(outcomes) = self.outcomes.get(&(owner, job.clone())) else { continue };
            // It may have had the job before, without being asked.
            let same = outcomes.iter().any(|outcome| {
                outcome.is_success() == (*status == RecordedStatus::Success)
                    && outcome.error().unwrap_or_default() == recorded
            });
            self.checks.that(Check::Recorded, same, || {
                format!("{job} ended as {outcomes:?}; the server has recorded {status:?} {recorded:?}")
            });
        }
    }
}

pub(super) fn free_slots(process: &Process) -> usize {
    let subject = process.subject.as_ref();
    subject.map_or(0, |subject| subject.worker().capacity().saturating_sub(subject.worker().used_slots()))
}
