//! How many tasks of a worker's jobs there are: what is left of them when the worker has stopped blocks its
//! thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts tasks. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskCount(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tasks: AtomicUsize,
    none: Notify,
}

/// One task; to be held by its future.
#[derive(Debug)]
pub(crate) struct Counted(TaskCount);

impl TaskCount {
    pub(crate) fn counted(&self) -> Counted {
        self.0.tasks.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }

    /// Waits until none is left, at most this long; gives the number that is left.
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
    async fn waits_for_the_last_and_not_for_ever() {
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
