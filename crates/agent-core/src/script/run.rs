//! Runs a script on a machine.

use super::broken::BrokenPromise;
use super::driver::Driver;
use super::machine::{ScriptReport, WorkerMachine};
use super::steps::Script;
use crate::config::Config;
use crate::worker::Worker;

impl Script {
    /// Runs the script on a new machine, and checks its promises. After the last step the worker drains, and
    /// everything has to end.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn run(&self, machine: &mut impl WorkerMachine) -> Result<ScriptReport, BrokenPromise> {
        Driver::new(machine).run(&self.steps)
    }

    /// Runs the script on a new worker with these settings, whose jitter has the seed 0.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn check(&self, config: Config) -> Result<ScriptReport, BrokenPromise> {
        self.run(&mut Worker::new(config, 0))
    }
}
