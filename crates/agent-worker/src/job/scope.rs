//! What one attempt of a job may leave behind: callbacks to run when it is over, and tasks to cancel then.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tracing::{Instrument, Span};

use agent_proto::text::line;
use agent_rtc::BoxFuture;

use crate::job::panics::caught;
use crate::job::task_count::TaskCount;
use crate::worker::redact::Redaction;

/// One attempt's callbacks and tasks. Its context and its driver share it.
pub(crate) struct Scope {
    state: Mutex<State>,
    /// The span of the job, for everything that belongs to it.
    span: Span,
    runtime: Handle,
    /// How long a callback may take that comes when the cleanup is over.
    late: Duration,
    task_count: TaskCount,
    redaction: Redaction,
    /// A cancelled task has ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// The last one runs first.
    callbacks: Vec<BoxFuture<'static, ()>>,
    /// No callback is taken any more: the cleanup is over.
    cleaned: bool,
    /// Tasks that are not done, by number.
    tasks: BTreeMap<u64, Task>,
    last_task: u64,
    /// No task is kept any more: the attempt is over.
    over: bool,
}

struct Task {
    name: Cow<'static, str>,
    /// Missing for the moment in which it is spawned.
    abort: Option<AbortHandle>,
}

impl Scope {
    /// Must be made within the runtime.
    pub(crate) fn new(span: Span, late: Duration, task_count: TaskCount, redaction: Redaction) -> Arc<Self> {
        let (runtime, ended) = (Handle::current(), Notify::new());
        Arc::new(Self { state: Mutex::default(), span, runtime, late, task_count, redaction, ended })
    }

    pub(crate) fn task_count(&self) -> &TaskCount {
        &self.task_count
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) const fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Keeps a callback for the cleanup; when that is over already, as for an attempt that could not be
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
                tracing::warn!("a cleanup callback that came late took more than {limit:?} and was dropped");
            }
        };
        drop(self.runtime.spawn(self.redaction.scope(late).instrument(self.span.clone())));
    }

    /// Starts a task that is cancelled when the attempt is over.
    pub(crate) fn spawn<F>(self: &Arc<Self>, name: Cow<'static, str>, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let mut state = self.lock();
        state.last_task += 1;
        let (number, over) = (state.last_task, state.over);
        if !over {
            state.tasks.insert(number, Task { name: name.clone(), abort: None });
        }
        drop(state);
        let (done, counted) = (Done { scope: Arc::clone(self), number }, self.task_count.counted());
        let task = async move {
            let (_done, _counted) = (done, counted);
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(value) => value,
                Err(panic) => {
                    let panicked = caught(panic.as_ref());
                    tracing::error!("the task {} of a job panicked: {panicked}", line(&name));
                    std::panic::resume_unwind(panic)
                }
            }
        };
        let handle = self.runtime.spawn(self.redaction.scope(task).instrument(self.span.clone()));
        let mut state = self.lock();
        if state.over {
            // It is over since, or was before.
            handle.abort();
        } else if let Some(task) = state.tasks.get_mut(&number) {
            task.abort = Some(handle.abort_handle());
        }
        drop(state);
        handle
    }

    /// Cancels the tasks that are left, and returns their names. Later ones are cancelled at once.
    pub(crate) fn cancel_tasks(&self) -> Vec<Cow<'static, str>> {
        let mut state = self.lock();
        state.over = true;
        let names = state.tasks.values().map(|task| task.name.clone()).collect();
        let handles: Vec<_> = state.tasks.values().filter_map(|task| task.abort.clone()).collect();
        drop(state);
        // What a task drops may come back to this scope.
        handles.iter().for_each(AbortHandle::abort);
        names
    }

    /// Waits until all tasks have ended, at most this long, and returns the names of those that have not:
    /// they cannot be cancelled.
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

    /// The callback that is to run next, and how many there are with it. After `None` no more are kept.
    pub(crate) fn next_callback(&self) -> Option<(BoxFuture<'static, ()>, usize)> {
        let mut state = self.lock();
        let waiting = state.callbacks.len();
        let next = state.callbacks.pop();
        state.cleaned = next.is_none();
        Some((next?, waiting))
    }

    /// Ends the cleanup; gives the number of callbacks that had no time to run.
    pub(crate) fn drop_callbacks(&self) -> usize {
        let callbacks = {
            let mut state = self.lock();
            state.cleaned = true;
            mem::take(&mut state.callbacks)
        };
        callbacks.len()
    }

    /// Whether nothing is left to clean up: then the cleanup is over with this call.
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

/// How one callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallbackEnd {
    Done,
    Panicked,
    /// It was dropped.
    TookTooLong,
}

/// Runs one callback for at most this long. A panic in it is contained, also one in its drop.
pub(crate) async fn run_callback(mut callback: BoxFuture<'static, ()>, limit: Duration) -> CallbackEnd {
    let result = tokio::time::timeout(limit, AssertUnwindSafe(&mut callback).catch_unwind()).await;
    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(callback)));
    let (end, panic) = match (result, dropped) {
        (Ok(Err(panic)), _) => (CallbackEnd::Panicked, Some(panic)),
        (Ok(Ok(())), Err(panic)) => (CallbackEnd::Panicked, Some(panic)),
        (Ok(Ok(())), Ok(())) => (CallbackEnd::Done, None),
        (Err(_), dropped) => (CallbackEnd::TookTooLong, dropped.err()),
    };
    if let Some(panic) = panic {
        tracing::error!("a cleanup callback panicked: {}", caught(panic.as_ref()));
    }
    end
}

/// Takes a task off the list when it is done, cancelled or has panicked.
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
        Scope::new(Span::none(), Duration::from_secs(10), TaskCount::default(), Redaction::default())
    }

    #[tokio::test]
    async fn a_task_that_is_done_is_not_left_over() {
        let scope = scope();
        let done = scope.spawn("done".into(), async { 7 });
        assert_eq!(done.await.ok(), Some(7));
        let panics = scope.spawn("panics".into(), async { assert_eq!(1, 2, "a panic of a task") });
        assert!(panics.await.is_err_and(|error| error.is_panic()));
        let waits = scope.spawn("waits".into(), std::future::pending::<()>());
        assert!(!scope.end_if_clean(), "one is left");
        assert_eq!(scope.cancel_tasks(), ["waits"]);
        assert!(waits.await.is_err_and(|error| error.is_cancelled()));
        let late = scope.spawn("late".into(), std::future::pending::<()>());
        assert!(late.await.is_err_and(|error| error.is_cancelled()));
        assert!(scope.cancel_tasks().is_empty() && scope.end_if_clean());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_that_blocks_is_the_one_that_is_still_there_after_it_was_cancelled() {
        let scope = scope();
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let blocked = scope.spawn("blocked".into(), async move {
            let _ = begin.send(());
            told.recv().is_err()
        });
        scope.spawn("waits".into(), std::future::pending::<()>());
        assert!(begun.await.is_ok());
        assert_eq!(scope.cancel_tasks(), ["blocked", "waits"]);
        assert_eq!(scope.tasks_ended(Duration::from_millis(200)).await, ["blocked"]);
        drop(tell);
        assert_eq!(scope.tasks_ended(Duration::from_secs(60)).await, [""; 0]);
        assert!(blocked.await.is_ok());
    }

    #[tokio::test]
    async fn a_callback_that_comes_when_the_cleanup_is_over_still_runs_once() {
        let scope = scope();
        assert!(scope.next_callback().is_none());
        let ran = Arc::new(AtomicUsize::new(0));
        let (tell, told) = tokio::sync::oneshot::channel();
        let count = Arc::clone(&ran);
        scope.on_cleanup(Box::pin(async move {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = tell.send(());
        }));
        assert!(told.await.is_ok());
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
