//! Where attempts are made.

#[cfg(feature = "serde")]
#[cfg(test)]
mod tests;

use super::attempt::Attempt;
use crate::job::spec::AttemptSpec;

/// Starts attempts: as tasks of the worker's own process, and later perhaps as processes.
///
/// The end of an attempt is reported by the attempt itself, once, whatever becomes of it: also when it
/// panics, when it is aborted, and when an executor drops it before it began. The room that it joins is that
/// of later attempts, too, so the runtime must outlive it. One that does not end though it was aborted is one
/// that the machine reports as stuck.
pub(crate) trait Executor: Send + Sync + 'static {
    /// Starts an attempt: [`Attempt::run`] with this description, or something else that does what it
    /// describes.
    fn start(&self, spec: AttemptSpec, attempt: Attempt) -> RunningAttempt;
}

/// An attempt that was started.
pub(crate) struct RunningAttempt {
    abort: Box<dyn Fn() + Send + Sync>,
}

impl RunningAttempt {
    /// With what ends the attempt where it waits next; nothing when it has ended.
    pub(crate) fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self { abort: Box::new(abort) }
    }

    pub(crate) fn abort(&self) {
        (self.abort)();
    }
}

/// A task of the runtime for each attempt.
pub(crate) struct Tasks;

impl Executor for Tasks {
    fn start(&self, spec: AttemptSpec, attempt: Attempt) -> RunningAttempt {
        let task = tokio::spawn(attempt.run(spec)).abort_handle();
        RunningAttempt::new(move || task.abort())
    }
}
