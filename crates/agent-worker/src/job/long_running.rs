//! `JobContext` methods for long-running jobs: progress reports, health checks, and a task for each
//! participant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{Input, JobError, JobErrorKind};
use agent_rtc::{Participant, ParticipantFilter};

use crate::job::contain::contain;
use crate::job::context::JobContext;
use crate::job::panics::log_caught;
use crate::worker::redact::Redaction;

/// Minimum interval of progress reports to the worker machine.
const PROGRESS_PACE: Duration = Duration::from_secs(1);

impl JobContext {
    /// Reports that the job makes progress. At most one report per second reaches the worker.
    ///
    /// From the first call on, further calls are expected. If none comes for
    /// [`stale_after`](crate::WorkerBuilder::stale_after) (60 s), a warning is logged and
    /// [`WorkerStats::stale`](crate::stats::WorkerStats::stale) counts it; the job continues. Call it where
    /// the work is done, not from a timer.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// # async fn next_item() -> Option<u32> { None }
    /// async fn work_off(ctx: JobContext) -> JobResult {
    ///     while let Some(item) = next_item().await {
    ///         println!("{item}");
    ///         ctx.progress();
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn progress(&self) {
        let now = Instant::now();
        let mut last = self.last_progress();
        if last.is_none_or(|last| now - last >= PROGRESS_PACE) {
            *last = Some(now);
            drop(last);
            self.send_input(Input::Progressed { job: self.job().id.clone() });
        }
    }

    /// Ends this attempt with an error, from any code that holds the context: the handler is dropped at its
    /// current await, its cleanup runs, and the error is handled as if the handler had returned it. The first
    /// error wins.
    pub fn fail(&self, error: impl Into<JobError>) {
        self.set_failure(error.into());
    }

    /// Runs a check periodically while the attempt lasts, the first time after one interval. If it fails, the
    /// attempt ends with a retryable error, as with [`fail`](Self::fail); a check that takes longer than the
    /// interval has failed, too. The retry follows after the backoff of the [retry
    /// policy](crate::RetryPolicy), plus the wait of the check's own error, if it has one.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult};
    /// use std::time::Duration;
    ///
    /// async fn model_answers() -> std::io::Result<()> { Ok(()) }
    ///
    /// async fn talk(ctx: JobContext) -> JobResult {
    ///     ctx.health_check(Duration::from_secs(30), model_answers);
    ///     ctx.cancelled().await;
    ///     Ok(())
    /// }
    /// ```
    pub fn health_check<F, Fut, E>(&self, every: Duration, check: F) -> JoinHandle<()>
    where
        F: FnOnce() -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<JobError> + Send + 'static,
    {
        let every = if every.is_zero() { Duration::from_secs(1) } else { every };
        let ctx = self.clone();
        self.spawn_named("health check", async move {
            let (failure, after) = loop {
                tokio::time::sleep(every).await;
                match tokio::time::timeout(every, check.clone()()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let error = error.into();
                        let after = match error.kind() {
                            JobErrorKind::Retryable { after } => *after,
                            _ => Duration::ZERO,
                        };
                        break (error.to_string(), after);
                    }
                    Err(_) => break (format!("no answer within {every:?}"), Duration::ZERO),
                }
            };
            ctx.fail(JobError::retryable(format!("the health check failed: {failure}"), after));
        })
    }

    /// Runs a task for each active participant that matches the filter, now and later; the task is cancelled
    /// when the participant leaves, and with the attempt. A participant that comes back gets a new task. A
    /// panic is logged, and ends only that task. Each task gets a clone of the closure.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, room::ParticipantFilter};
    ///
    /// async fn greet_everybody(ctx: JobContext) -> JobResult {
    ///     ctx.for_each_participant(ParticipantFilter::human(), async |ctx, person| {
    ///         let hello = format!("Hello, {}!", person.identity);
    ///         let _ = ctx.room().publish_data("chat", hello).to([&person.identity]).await;
    ///     });
    ///     ctx.cancelled().await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    /// As [`room`](Self::room), if the room is not joined.
    #[doc(alias = "add_participant_entrypoint")]
    pub fn for_each_participant<F, Fut>(&self, filter: ParticipantFilter, task: F) -> JoinHandle<()>
    where
        F: FnOnce(Self, Arc<Participant>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (ctx, room, changes) = (self.clone(), self.room().clone(), self.room_changes());
        self.spawn_named("tasks for participants", async move {
            // The room is joined, so there is a connection.
            let Some(mut changes) = changes else { return };
            let mut tasks = JoinSet::new();
            // By sid: a participant that comes back has a new one.
            let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
            loop {
                changes.mark_unchanged();
                let there = room.participants();
                running.retain(|sid, task| {
                    let stays = there.iter().any(|participant| participant.sid == *sid);
                    if !stays {
                        task.abort();
                    }
                    stays
                });
                for participant in there {
                    if participant.active
                        && filter.matches(&participant)
                        && !running.contains_key(&participant.sid)
                    {
                        let sid = participant.sid.clone();
                        let (task, ctx, counted) = (task.clone(), ctx.clone(), ctx.tasks().counted());
                        let task = async move {
                            let _counted = counted;
                            contained(async { task(ctx, participant).await }).await;
                        };
                        let task = Redaction::current().scope(task);
                        running.insert(sid, tasks.spawn(task.in_current_span()));
                    }
                }
                tokio::select! {
                    biased;
                    changed = changes.changed() => if changed.is_err() { return },
                    Some(_) = tasks.join_next() => {}
                }
            }
        })
    }
}

/// Contains a panic, which ends only this task.
async fn contained(task: impl Future<Output = ()>) {
    if let Err(panic) = contain(task).await {
        log_caught("the task of a participant", panic.as_ref());
    }
}
