//! Tasks that belong to an attempt.

use crate::stage::Stage;
use agent_worker::{JobContext, JobError, JobResult, Outcome, RetryPolicy};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

struct Count(Arc<AtomicU32>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_cancelled_before_the_cleanup_and_counted() {
    let cancelled = Arc::new(AtomicU32::new(0));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let count = Arc::clone(&cancelled);
    let agent = move |ctx: JobContext| {
        let (count, tell) = (Arc::clone(&count), tell.clone());
        async move {
            let sum = ctx.spawn(async { 1 + 1 }).await?;
            for n in 0..3 {
                let count = Count(Arc::clone(&count));
                ctx.spawn_named(format!("task {n}"), async move {
                    let _count = count;
                    std::future::pending::<()>().await;
                });
            }
            let late = ctx.clone();
            ctx.on_cleanup(async move {
                tokio::task::yield_now().await;
                let late = late.spawn(std::future::pending::<()>()).await;
                let cancelled = late.is_err_and(|error| error.is_cancelled());
                tell.send((sum, count.load(Ordering::SeqCst), cancelled)).unwrap();
            });
            // The tasks begin before the handler ends.
            tokio::time::sleep(Duration::from_secs(1)).await;
            match ctx.attempt() {
                1 => Err(JobError::retryable("once more", Duration::ZERO)),
                _ => JobResult::Ok(()),
            }
        }
    };
    let mut stage = Stage::new(agent, |builder| builder.retry(RetryPolicy::attempts(2)));
    assert_eq!(stage.run().await.outcome, Outcome::Success);
    assert_eq!(told.recv().await, Some((2, 3, true)), "the first attempt");
    assert_eq!(told.recv().await, Some((2, 6, true)), "the second attempt");
    assert_eq!(stage.worker.stats().leftover_tasks, 6);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_ends_only_itself() {
    let agent = |ctx: JobContext| async move {
        let panicked = ctx.spawn(async { assert_eq!(1, 2, "in a task") }).await;
        if !panicked.is_err_and(|error| error.is_panic()) {
            return JobResult::Err("the panic is told to who awaits it".into());
        }
        Ok(())
    };
    let mut stage = Stage::new(agent, |builder| builder);
    assert_eq!(stage.run().await.outcome, Outcome::Success);
    assert_eq!(stage.worker.stats().leftover_tasks, 0);
    stage.drain(Duration::ZERO).await;
}
