//! The worker machine of a run, and the only place between it and the world.

use agent_core::{Config, Input, Output, SlotCounts, Worker};
use agent_proto::Time;

#[cfg(test)]
use super::planted::Planted;

/// A worker machine on the time of the run.
pub(super) struct Subject {
    worker: Worker,
    born: Time,
    /// When to pass time, on its own clock. Kept, as it is read before each event of the run.
    next_timeout: Option<Time>,
    #[cfg(test)]
    planted: Planted,
}

impl Subject {
    #[cfg(not(test))]
    pub(super) fn new(config: Config, seed: u64, born: Time) -> Self {
        Self { worker: Worker::new(config, seed), born, next_timeout: None }
    }

    #[cfg(test)]
    pub(super) fn new(mut config: Config, seed: u64, born: Time, planted: Planted) -> Self {
        planted.configure(&mut config);
        Self { worker: Worker::new(config, seed), born, next_timeout: None, planted }
    }

    /// Passes an input, and takes the outputs.
    pub(super) fn input(&mut self, input: Input, now: Time, outputs: &mut Vec<Output>) {
        let local = self.local(now);
        #[cfg(test)]
        let input = self.planted.input(input, &self.worker);
        #[cfg(not(test))]
        let input = Some(input);
        match input {
            Some(input) => self.worker.handle_input(input, local),
            None => self.worker.handle_timeout(local),
        }
        self.take(outputs);
    }

    /// Passes time.
    pub(super) fn timeout(&mut self, now: Time, outputs: &mut Vec<Output>) {
        let local = self.local(now);
        self.worker.handle_timeout(local);
        self.take(outputs);
    }

    /// Takes the outputs of a new machine.
    pub(super) fn take(&mut self, outputs: &mut Vec<Output>) {
        while let Some(output) = self.worker.poll_output() {
            outputs.push(output);
        }
        self.next_timeout = self.worker.poll_timeout().map(|(at, _)| at);
        #[cfg(test)]
        self.planted.outputs(outputs, &self.worker);
    }

    /// When to pass time.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let at = self.next_timeout;
        #[cfg(test)]
        let at = self.planted.next_timeout(at);
        at.map(|at| self.born + (at - Time::ZERO))
    }

    pub(super) fn slots(&self) -> SlotCounts {
        let slots = self.worker.slots();
        #[cfg(test)]
        let slots = self.planted.slots(slots);
        slots
    }

    /// The machine, to look at.
    pub(super) const fn worker(&self) -> &Worker {
        &self.worker
    }

    fn local(&self, now: Time) -> Time {
        Time::ZERO + (now - self.born)
    }
}
