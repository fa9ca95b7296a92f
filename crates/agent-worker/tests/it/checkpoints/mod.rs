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
use agent_worker::checkpoint::CheckpointStore;
use agent_worker::{JobContext, JobResult};

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

/// What the next job would begin with.
async fn left_in(store: &(impl CheckpointStore + Clone)) -> Option<Progress> {
    let found = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&found);
    let look = move |ctx: JobContext| {
        let tell = Arc::clone(&tell);
        async move {
            let value = ctx.checkpoint::<Progress>().load().await?;
            *tell.lock().expect("no panic") = value;
            // Told to stop: what it has looked at is kept.
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
