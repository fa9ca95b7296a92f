//! Texts of the user's errors, before others see them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Makes of an error's text what the server and the log may see; see
/// [`WorkerBuilder::redact_errors`](crate::WorkerBuilder::redact_errors).
#[derive(Clone, Default)]
pub(crate) struct Redaction(Option<Arc<RedactFn>>);

type RedactFn = dyn Fn(&str) -> String + Send + Sync;

tokio::task_local! {
    /// That of the worker whose code runs: patterns and layers, which know no worker, write to its log, too.
    static CURRENT: Redaction;
}

/// What is shown when the user's function panics: its input must not be.
const FAILED: &str = "[redacted: the function of `redact_errors` panicked]";

impl Redaction {
    pub(crate) fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(redact)))
    }

    /// That of the task that runs.
    pub(crate) fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs code of the user, whose errors are redacted.
    pub(crate) fn scope<F: Future>(&self, code: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), code)
    }

    /// The same for code that does not wait.
    pub(crate) fn sync_scope<T>(&self, code: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), code)
    }
}

/// The text as others may see it.
pub(crate) fn shown(text: String) -> String {
    let Redaction(redact) = Redaction::current();
    match redact {
        Some(redact) => {
            catch_unwind(AssertUnwindSafe(|| redact(&text))).unwrap_or_else(|_| FAILED.to_owned())
        }
        None => text,
    }
}
