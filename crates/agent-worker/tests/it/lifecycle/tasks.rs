//! Tasks that belong to an attempt.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_worker::room::ParticipantFilter;
use agent_worker::{JobContext, JobError, JobResult, Outcome, RetryPolicy};

use super::stage::Stage;

struct Count(Arc<AtomicU32>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn remaining_tasks_are_cancelled_before_the_cleanup_and_not_counted() {
    let cancelled = Arc::new(AtomicU32::new(0));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let count = Arc::clone(&cancelled);
    let agent = move |ctx: JobContext| {
        let (count, sender) = (Arc::clone(&count), sender.clone());
        async move {
            let sum = ctx.spawn(async { 1 + 1 }).await?;
            for n in 0..3 {
                let count = Count(Arc::clone(&count));
                ctx.spawn_named(format!("task {n}"), async move {
                    let _count = count;
                    std::future::pending::<()>().await;
                });
            }
            ctx.on_cleanup(async move |ctx| {
                tokio::task::yield_now().await;
                let late = ctx.spawn(std::future::pending::<()>()).await;
                let cancelled = late.is_err_and(|error| error.is_cancelled());
                sender.send((sum, count.load(Ordering::SeqCst), cancelled)).unwrap();
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
    assert_eq!(receiver.recv().await, Some((2, 3, true)), "the first attempt");
    assert_eq!(receiver.recv().await, Some((2, 6, true)), "the second attempt");
    let worker = stage.worker.clone();
    stage.drain(Duration::ZERO).await;
    assert_eq!(worker.stats().leftover_tasks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_ends_only_itself() {
    let agent = |ctx: JobContext| async move {
        let panicked = ctx.spawn(async { assert_eq!(1, 2, "in a task") }).await;
        if !panicked.is_err_and(|error| error.is_panic()) {
            return JobResult::Err("the panic is reported to the task that awaits it".into());
        }
        Ok(())
    };
    let mut stage = Stage::new(agent, |builder| builder);
    assert_eq!(stage.run().await.outcome, Outcome::Success);
    assert_eq!(stage.worker.stats().leftover_tasks, 0);
    stage.drain(Duration::ZERO).await;
}

/// Takes what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_task_names_its_job_and_that_of_a_leftover_its_name() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    // As in `data`: threads without a subscriber must not decide which lines are enabled.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let _here = tracing::subscriber::set_default(subscriber);
    let agent = |ctx: JobContext| async move {
        ctx.spawn(async { tracing::info!("from the task") }).await?;
        ctx.spawn_named("heartbeat", std::future::pending::<()>());
        ctx.spawn(std::future::pending::<()>());
        ctx.health_check(Duration::from_secs(30), || std::future::ready(Ok::<_, JobError>(())));
        ctx.for_each_participant(ParticipantFilter::human(), |_, _| std::future::pending());
        ctx.on_cleanup(async |_| tracing::info!("from the callback"));
        JobResult::Ok(())
    };
    let mut stage = Stage::new(agent, |builder| builder);
    let job = stage.run().await.job;
    stage.drain(Duration::ZERO).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let span = format!("job{{job_id={} room=room agent=tester attempt=1}}", job.id);
    for text in ["from the task", "from the callback", "cancelled the tasks"] {
        let line =
            log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text} in\n{log}"));
        assert!(line.contains(&span), "{line}");
    }
    let leftovers = log.lines().find(|line| line.contains("cancelled the tasks")).unwrap();
    assert!(!log.contains(" WARN ") && leftovers.contains(" DEBUG "), "{log}");
    assert!(
        leftovers.contains("heartbeat, ")
            && leftovers.contains("tasks.rs:")
            && leftovers.contains("health check"),
        "{leftovers}"
    );
}
