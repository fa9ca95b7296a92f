//! Whether a worker works, and whether it gets jobs: what its probes report.

use super::Worker;
use super::entries::Link;
use super::view::HealthProblem;

impl Worker {
    /// Whether it can run jobs without being restarted. A lost connection, a drain and a worker that is full
    /// are no reasons to restart it, as its jobs continue.
    ///
    /// # Errors
    /// [`HealthProblem::Stopped`] or [`HealthProblem::AllStuck`].
    pub fn liveness(&self) -> Result<(), HealthProblem> {
        let stuck = self.slots().stuck;
        match self.link {
            Link::Stopped => Err(HealthProblem::Stopped),
            _ if stuck > 0 && stuck >= self.capacity() => Err(HealthProblem::AllStuck),
            _ => Ok(()),
        }
    }

    /// Whether the server dispatches to it: it is [confirmed](Self::is_confirmed), does not drain and is not
    /// [quiet](Self::is_quiet). A worker that is full is ready, as it will take jobs again by itself.
    ///
    /// # Errors
    /// What is in the way.
    pub fn readiness(&self) -> Result<(), HealthProblem> {
        self.liveness()?;
        if self.is_draining() {
            Err(HealthProblem::Draining)
        } else if self.link == Link::Preparing {
            Err(HealthProblem::Preparing)
        } else if !self.is_registered() {
            Err(HealthProblem::Disconnected)
        } else if !self.is_confirmed() {
            Err(HealthProblem::Unconfirmed)
        } else if self.is_quiet() {
            Err(HealthProblem::Quiet)
        } else {
            Ok(())
        }
    }
}
