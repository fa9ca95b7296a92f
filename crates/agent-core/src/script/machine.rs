//! What a script runs on, and what it came to.

use agent_proto::recording::{Machine, Recorder};

use crate::worker::{Input, Output, Worker};

/// A worker machine that a script can drive: a [`Worker`], or one inside of something else, such as a fault
/// that a test plants.
pub trait WorkerMachine: Machine<Input = Input, Output = Output> {
    /// The worker: its state is compared with the outputs.
    fn worker(&self) -> &Worker;
}

/// What a script came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptReport {
    /// Offers that were to be answered.
    pub offers: usize,
    /// Answers that were sent.
    pub answers: usize,
    /// Attempts that began.
    pub attempts: usize,
    /// Outcomes of assignments.
    pub outcomes: usize,
    /// Final statuses that were sent, repeated ones included.
    pub statuses: usize,
}

impl WorkerMachine for Worker {
    fn worker(&self) -> &Worker {
        self
    }
}

impl<S: Clone, M: WorkerMachine> WorkerMachine for Recorder<S, M> {
    fn worker(&self) -> &Worker {
        (**self).worker()
    }
}
