//! Redaction of the texts of the user's errors.

use std::sync::Arc;

use crate::job::contain::contain_sync;

/// Turns an error's text into what the server and the log may see; see
/// [`WorkerBuilder::redact_errors`](crate::WorkerBuilder::redact_errors).
#[derive(Clone, Default)]
pub(crate) struct Redaction(Option<Arc<RedactFn>>);

type RedactFn = dyn Fn(&str) -> String + Send + Sync;

tokio::task_local! {
    /// The redaction of the current worker, for patterns and layers, which log without knowing a worker.
    static CURRENT: Redaction;
}

/// Shown if the user's function panics, instead of its input.
const FAILED: &str = "[redacted: the function of `redact_errors` panicked]";

impl Redaction {
    pub(crate) fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(redact)))
    }

    /// The redaction of the current task.
    pub(crate) fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs the user's code, whose errors are redacted.
    pub(crate) fn scope<F: Future>(&self, code: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), code)
    }

    /// Like [`scope`](Self::scope), for synchronous code.
    pub(crate) fn sync_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), code)
    }
}

/// The redacted text.
pub(crate) fn shown(text: String) -> String {
    let Redaction(redact) = Redaction::current();
    match redact {
        Some(redact) => contain_sync(|| redact(&text)).unwrap_or_else(|_| FAILED.to_owned()),
        None => text,
    }
}
