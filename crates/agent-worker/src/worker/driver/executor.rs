//! Where attempts run.

#[cfg(feature = "serde")]
#[cfg(test)]
mod tests;

use super::attempt::Attempt;
use crate::job::spec::AttemptSpec;

/// Starts attempts: as tasks of the worker's process; other executors may start processes.
///
/// An attempt reports its own end, exactly once: also if it panics, is aborted, or is dropped by the executor
/// before it has started. The room that it joins is used by later attempts, too, so the runtime must outlive
/// it. The machine reports an attempt as stuck if it does not end after an abort.
pub(crate) trait Executor: Send + Sync + 'static {
    /// Starts an attempt: [`Attempt::run`] with this description, or an equivalent.
    fn start(&self, spec: AttemptSpec, attempt: Attempt) -> RunningAttempt;
}

/// A started attempt.
pub(crate) struct RunningAttempt {
    abort: Box<dyn Fn() + Send + Sync>,
}

impl RunningAttempt {
    /// `abort` ends the attempt at its next await, and does nothing if it has ended.
    pub(crate) fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self { abort: Box::new(abort) }
    }

    pub(crate) fn abort(&self) {
        (self.abort)();
    }
}

/// Runs each attempt as a task of the runtime.
pub(crate) struct Tasks;

impl Executor for Tasks {
    fn start(&self, spec: AttemptSpec, attempt: Attempt) -> RunningAttempt {
        let task = tokio::spawn(attempt.run(spec)).abort_handle();
        RunningAttempt::new(move || task.abort())
    }
}
