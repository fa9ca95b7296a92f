//! What belongs to one attempt of a job: callbacks to run at its end, and tasks to cancel then.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tracing::{Instrument, Span};

use agent_proto::text::line;
use agent_rtc::BoxFuture;

use crate::job::contain::{contain, contain_sync};
use crate::job::panics::log_caught;
use crate::job::user_tasks::UserTasks;
use crate::telemetry::AttemptTrace;
use crate::worker::redact::Redaction;

/// The callbacks and tasks of one attempt, shared by its context and its driver.
pub(crate) struct Scope {
    state: Mutex<State>,
    /// The span of the job.
    span: Span,
    trace: AttemptTrace,
    runtime: Handle,
    /// Time limit of a callback that is registered after the cleanup.
    late: Duration,
    tasks: UserTasks,
    redaction: Redaction,
    /// Notified when a task has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// In order of registration: the last one runs first.
    callbacks: Vec<BoxFuture<'static, ()>>,
    /// The cleanup is over: callbacks run at once.
    cleaned: bool,
    /// Running tasks, by number.
    tasks: BTreeMap<u64, Task>,
    last_task: u64,
    /// The attempt is over: tasks are cancelled at once.
    over: bool,
}

struct Task {
    name: Cow<'static, str>,
    /// `None` until it is spawned.
    abort: Option<AbortHandle>,
}

impl Scope {
    /// Must be called within the runtime.
    pub(crate) fn new(
        span: Span,
        trace: AttemptTrace,
        late: Duration,
        tasks: UserTasks,
        redaction: Redaction,
    ) -> Arc<Self> {
        let (runtime, ended) = (Handle::current(), Notify::new());
        Arc::new(Self { state: Mutex::default(), span, trace, runtime, late, tasks, redaction, ended })
    }

    pub(crate) fn tasks(&self) -> &UserTasks {
        &self.tasks
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) const fn trace(&self) -> &AttemptTrace {
        &self.trace
    }

    pub(crate) const fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Registers a callback for the cleanup; if that is over already, as for an attempt that could not be
    /// aborted, it runs at once.
    pub(crate) fn on_cleanup(&self, callback: BoxFuture<'static, ()>) {
        let mut state = self.lock();
        if !state.cleaned {
            return state.callbacks.push(callback);
        }
        drop(state);
        let limit = self.late;
        let late = async move {
            if run_callback(callback, limit).await == CallbackEnd::TookTooLong {
                tracing::warn!(
                    "a cleanup callback registered after the cleanup took more than {limit:?} and was dropped"
                );
            }
        };
        let late = self.tasks.watched("a cleanup callback".into(), &self.span, late);
        drop(self.runtime.spawn(self.redaction.scope(late).instrument(self.span.clone())));
    }

    /// Starts a task that is cancelled at the end of the attempt.
    pub(crate) fn spawn<F>(self: &Arc<Self>, name: Cow<'static, str>, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let what = format!("the task {name} of the handler");
        let mut state = self.lock();
        state.last_task += 1;
        let (number, over) = (state.last_task, state.over);
        if !over {
            state.tasks.insert(number, Task { name: name.clone(), abort: None });
        }
        drop(state);
        let (done, counted) = (Done { scope: Arc::clone(self), number }, self.tasks.counted());
        let task = async move {
            let (_done, _counted) = (done, counted);
            match contain(task).await {
                Ok(value) => value,
                Err(panic) => {
                    log_caught(&format!("the task {} of a job", line(&name)), panic.as_ref());
                    std::panic::resume_unwind(panic)
                }
            }
        };
        let task = self.tasks.watched(what.into(), &self.span, task);
        let handle = self.runtime.spawn(self.redaction.scope(task).instrument(self.span.clone()));
        let mut state = self.lock();
        if state.over {
            // Over before or since the task was spawned.
            handle.abort();
        } else if let Some(task) = state.tasks.get_mut(&number) {
            task.abort = Some(handle.abort_handle());
        }
        drop(state);
        handle
    }

    /// Cancels the remaining tasks, and returns their names. Later ones are cancelled at once.
    pub(crate) fn cancel_tasks(&self) -> Vec<Cow<'static, str>> {
        let mut state = self.lock();
        state.over = true;
        let names = state.tasks.values().map(|task| task.name.clone()).collect();
        let handles: Vec<_> = state.tasks.values().filter_map(|task| task.abort.clone()).collect();
        drop(state);
        // Not under the lock: what a task drops may call into this scope.
        handles.iter().for_each(AbortHandle::abort);
        names
    }

    /// Waits at most this long until all tasks have ended, and returns the names of those that have not: they
    /// block and cannot be cancelled.
    pub(crate) async fn tasks_ended(&self, within: Duration) -> Vec<Cow<'static, str>> {
        let all = async {
            let mut ended = std::pin::pin!(self.ended.notified());
            loop {
                ended.as_mut().enable();
                if self.lock().tasks.is_empty() {
                    return;
                }
                ended.as_mut().await;
                ended.set(self.ended.notified());
            }
        };
        let _ = tokio::time::timeout(within, all).await;
        self.lock().tasks.values().map(|task| task.name.clone()).collect()
    }

    /// The next callback to run, and the number of waiting callbacks, this one included. `None` ends the
    /// cleanup.
    pub(crate) fn next_callback(&self) -> Option<(BoxFuture<'static, ()>, usize)> {
        let mut state = self.lock();
        let waiting = state.callbacks.len();
        let next = state.callbacks.pop();
        state.cleaned = next.is_none();
        Some((next?, waiting))
    }

    /// Ends the cleanup; returns the number of callbacks that had no time to run.
    pub(crate) fn drop_callbacks(&self) -> usize {
        let callbacks = {
            let mut state = self.lock();
            state.cleaned = true;
            mem::take(&mut state.callbacks)
        };
        callbacks.len()
    }

    /// Whether nothing is left to clean up; if so, this call ends the cleanup.
    pub(crate) fn end_if_clean(&self) -> bool {
        let mut state = self.lock();
        let clean = state.callbacks.is_empty() && state.tasks.is_empty();
        state.over |= clean;
        state.cleaned |= clean;
        clean
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallbackEnd {
    Done,
    Panicked,
    /// It exceeded its limit and was dropped.
    TookTooLong,
}

/// Runs a callback with a time limit. Contains its panics, including those of its drop.
pub(crate) async fn run_callback(mut callback: BoxFuture<'static, ()>, limit: Duration) -> CallbackEnd {
    let result = tokio::time::timeout(limit, contain(&mut callback)).await;
    let dropped = contain_sync(|| drop(callback));
    let (end, panic) = match (result, dropped) {
        (Ok(Err(panic)), _) => (CallbackEnd::Panicked, Some(panic)),
        (Ok(Ok(())), Err(panic)) => (CallbackEnd::Panicked, Some(panic)),
        (Ok(Ok(())), Ok(())) => (CallbackEnd::Done, None),
        (Err(_), dropped) => (CallbackEnd::TookTooLong, dropped.err()),
    };
    if let Some(panic) = panic {
        log_caught("a cleanup callback", panic.as_ref());
    }
    end
}

/// Removes a task from the list when it has returned, was cancelled or panicked.
struct Done {
    scope: Arc<Scope>,
    number: u64,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.scope.lock().tasks.remove(&self.number);
        self.scope.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn scope() -> Arc<Scope> {
        let (trace, late) = (AttemptTrace::default(), Duration::from_secs(10));
        Scope::new(Span::none(), trace, late, UserTasks::default(), Redaction::default())
    }

    #[tokio::test]
    async fn a_task_that_is_done_is_not_left_over() {
        let scope = scope();
        let done = scope.spawn("done".into(), async { 7 });
        assert_eq!(done.await.ok(), Some(7));
        let panics = scope.spawn("panics".into(), async { assert_eq!(1, 2, "a panic of a task") });
        assert!(panics.await.is_err_and(|error| error.is_panic()));
        let waits = scope.spawn("waits".into(), std::future::pending::<()>());
        assert!(!scope.end_if_clean(), "one task is left");
        assert_eq!(scope.cancel_tasks(), ["waits"]);
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        let late = scope.spawn("late".into(), std::future::pending::<()>());
        assert!(late.await.is_err_and(|error| error.is_cancelled()));
        assert!(scope.cancel_tasks().is_empty() && scope.end_if_clean());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_that_blocks_still_runs_after_it_was_cancelled() {
        let scope = scope();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let blocked = scope.spawn("blocked".into(), async move {
            let _ = begin.send(());
            released.recv().is_err()
        });
        scope.spawn("waits".into(), std::future::pending::<()>());
        assert!(begun.await.is_ok());
        assert_eq!(scope.cancel_tasks(), ["blocked", "waits"]);
        assert_eq!(scope.tasks_ended(Duration::from_millis(200)).await, ["blocked"]);
        drop(release);
        assert_eq!(scope.tasks_ended(Duration::from_secs(60)).await, [""; 0]);
        assert!(blocked.await.is_ok());
    }

    #[tokio::test]
    async fn a_callback_registered_after_the_cleanup_runs_once() {
        let scope = scope();
        assert!(scope.next_callback().is_none());
        let ran = Arc::new(AtomicUsize::new(0));
        let (done, is_done) = tokio::sync::oneshot::channel();
        let count = Arc::clone(&ran);
        scope.on_cleanup(Box::pin(async move {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = done.send(());
        }));
        assert!(is_done.await.is_ok());
        assert_eq!((ran.load(Ordering::Relaxed), scope.drop_callbacks()), (1, 0));
    }

    #[tokio::test]
    async fn a_callback_of_a_callback_runs_too() {
        let scope = scope();
        let inner = Arc::clone(&scope);
        scope.on_cleanup(Box::pin(async move { inner.on_cleanup(Box::pin(async {})) }));
        let mut ran = 0;
        while let Some((callback, waiting)) = scope.next_callback() {
            assert_eq!(waiting, 1);
            assert_eq!(run_callback(callback, Duration::from_secs(1)).await, CallbackEnd::Done);
            ran += 1;
        }
        assert_eq!(ran, 2);
    }
}
