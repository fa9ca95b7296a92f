//! The tasks of a worker that run the user's code: how many there are, as those that are left after the
//! worker has stopped block their threads, and which of them run at a moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Span;

/// The tasks, shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserTasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tasks: AtomicUsize,
    none: Notify,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    last: u64,
    tasks: BTreeMap<u64, WatchedTask>,
}

/// A task that is watched.
#[derive(Clone, Debug)]
pub(crate) struct WatchedTask {
    /// What it runs, for the log.
    pub(crate) what: Cow<'static, str>,
    /// The span of its job.
    pub(crate) span: Span,
    runs: Arc<AtomicU64>,
}

/// Ends the watch of a task.
struct Watch {
    tasks: UserTasks,
    number: u64,
}

/// Counts one task, for as long as its future holds this.
#[derive(Debug)]
pub(crate) struct Counted(UserTasks);

impl UserTasks {
    pub(crate) fn counted(&self) -> Counted {
        self.0.tasks.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }

    /// Runs code of the user, and counts when it begins to run and when it pauses.
    pub(crate) fn watched<F: Future>(
        &self,
        what: Cow<'static, str>,
        span: &Span,
        code: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let runs = Arc::<AtomicU64>::default();
        let task = WatchedTask { what, span: span.clone(), runs: Arc::clone(&runs) };
        let mut watched = self.lock();
        watched.last += 1;
        let number = watched.last;
        watched.tasks.insert(number, task);
        drop(watched);
        let watch = Watch { tasks: self.clone(), number };
        async move {
            let _watch = watch;
            let mut code = pin!(code);
            poll_fn(|cx| {
                runs.fetch_add(1, Ordering::Relaxed);
                let polled = code.as_mut().poll(cx);
                runs.fetch_add(1, Ordering::Relaxed);
                polled
            })
            .await
        }
    }

    /// Every watched task, with its number, and a count that is odd while it runs.
    pub(crate) fn runs(&self) -> Vec<(u64, u64)> {
        let watched = self.lock();
        watched.tasks.iter().map(|(number, task)| (*number, task.runs.load(Ordering::Relaxed))).collect()
    }

    pub(crate) fn task(&self, number: u64) -> Option<WatchedTask> {
        self.lock().tasks.get(&number).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at most this long until no task is left; returns the number of remaining tasks.
    pub(crate) async fn left_after(&self, within: Duration) -> usize {
        let none = async {
            loop {
                let none = self.0.none.notified();
                if self.now() == 0 {
                    return;
                }
                none.await;
            }
        };
        let _ = tokio::time::timeout(within, none).await;
        self.now()
    }

    fn now(&self) -> usize {
        self.0.tasks.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.lock().tasks.remove(&self.number);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Inner { tasks, none, .. } = &*self.0.0;
        if tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_is_seen_while_it_runs_and_while_it_waits() {
        let tasks = UserTasks::default();
        let (inside, (go, wait)) = (tasks.clone(), tokio::sync::oneshot::channel::<()>());
        let code = async move {
            assert_eq!(inside.runs(), [(1, 1)]);
            wait.await.unwrap();
            assert_eq!(inside.runs(), [(1, 3)]);
        };
        let running = tokio::spawn(tasks.watched("the handler".into(), &Span::none(), code));
        assert_eq!(tasks.runs(), [(1, 0)], "it has not begun");
        while tasks.runs() != [(1, 2)] {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.task(1).unwrap().what, "the handler");
        go.send(()).unwrap();
        running.await.unwrap();
        assert_eq!(tasks.runs(), []);
    }

    /// Neither one that panics, nor one that is dropped.
    #[tokio::test]
    async fn a_task_that_is_gone_is_not_seen() {
        let tasks = UserTasks::default();
        let panics = tasks.watched("it".into(), &Span::none(), async { panic!("planted") });
        assert!(tokio::spawn(panics).await.is_err_and(|error| error.is_panic()));
        drop(tasks.watched("other".into(), &Span::none(), async {}));
        assert_eq!(tasks.runs(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_task_up_to_the_limit() {
        let count = UserTasks::default();
        let second = Duration::from_secs(1);
        assert_eq!(count.left_after(second).await, 0);
        let (first, last) = (count.counted(), count.clone().counted());
        assert_eq!(count.left_after(second).await, 2);
        drop(first);
        let waiting = tokio::spawn(async move { count.left_after(second * 3600).await });
        tokio::task::yield_now().await;
        drop(last);
        assert_eq!(waiting.await.unwrap(), 0);
    }
}
