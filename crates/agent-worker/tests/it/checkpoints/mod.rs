//! Checkpoints: of jobs, on virtual time and in memory, and in stores.

mod failing_stores;
mod saving;
#[cfg(all(unix, feature = "embedded-store"))]
mod stores;
mod takeovers;
mod unwritable_values;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{FaultyStore, JobSpec, Run, StoreOperation, run_job};
use agent_worker::checkpoint::{AutoSaved, CheckpointStore};
use agent_worker::{Agent, JobContext, JobResult};

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Progress {
    done: u64,
}

fn spec(store: impl CheckpointStore) -> JobSpec {
    JobSpec::room("lobby").lasts(Duration::from_secs(3600)).worker(|builder| builder.checkpoints(store))
}

/// Runs a job with this store.
async fn run<F: Future<Output = JobResult> + Send + 'static>(
    store: &(impl CheckpointStore + Clone),
    handler: impl FnOnce(JobContext) -> F + Clone + Send + Sync + 'static,
) -> Run {
    run_job(handler, spec(store.clone())).await
}

/// Runs a job that resumes its progress first. The handler also gets the store, to make it fail or to look
/// into it.
async fn run_resumed<S, F>(
    store: &S,
    handler: impl FnOnce(JobContext, S, AutoSaved<Progress>) -> F + Clone + Send + Sync + 'static,
) -> Run
where
    S: CheckpointStore + Clone,
    F: Future<Output = JobResult> + Send + 'static,
{
    run_job(resumed(store, handler), spec(store.clone())).await
}

/// The agent of [`run_resumed`].
fn resumed<S, F>(
    store: &S,
    handler: impl FnOnce(JobContext, S, AutoSaved<Progress>) -> F + Clone + Send + Sync + 'static,
) -> impl Agent
where
    S: CheckpointStore + Clone,
    F: Future<Output = JobResult> + Send + 'static,
{
    let store = store.clone();
    async move |ctx: JobContext| {
        let progress = ctx.checkpoint().resume().await?;
        handler(ctx, store, progress).await
    }
}

/// The value with which the next job would begin.
async fn left_in(store: &(impl CheckpointStore + Clone)) -> Option<Progress> {
    let found = Arc::new(Mutex::new(None));
    let sender = Arc::clone(&found);
    let look = move |ctx: JobContext| {
        let sender = Arc::clone(&sender);
        async move {
            let value = ctx.checkpoint::<Progress>().load().await?;
            *sender.lock().expect("no panic") = value;
            // A cancelled job keeps the record that it has loaded.
            ctx.shutdown("seen");
            ctx.cancelled().await;
            Ok(())
        }
    };
    run(store, look).await.assert_success();
    found.lock().expect("no panic").take()
}

fn error(run: &Run) -> &str {
    run.outcome.error().unwrap_or("success")
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

/// How many records the store has saved.
fn saves(store: &FaultyStore) -> usize {
    store.carried_out(StoreOperation::Save)
}
