//! Counts the tasks of a worker's jobs: those that are left after the worker has stopped block their threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// A count of tasks, shared by its clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskCount(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tasks: AtomicUsize,
    none: Notify,
}

/// Counts one task, for as long as its future holds this.
#[derive(Debug)]
pub(crate) struct Counted(TaskCount);

impl TaskCount {
    pub(crate) fn counted(&self) -> Counted {
        self.0.tasks.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
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

impl Drop for Counted {
    fn drop(&mut self) {
        let Inner { tasks, none } = &*self.0.0;
        if tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_task_up_to_the_limit() {
        let count = TaskCount::default();
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
