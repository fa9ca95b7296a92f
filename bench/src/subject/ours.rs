//! Our worker as in a program: the public API, tokio's default runtime, no log.

use std::sync::Arc;

use anyhow::Result;

use agent_worker::{JobContext, JobResult, Worker};

use super::probe::Probe;
use super::task::Task;
use crate::load::AGENT_NAME;

pub(super) fn run(task: &Task, probe: &Arc<Probe>) -> Result<()> {
    let (probe, hold) = (Arc::clone(probe), task.hold);
    let agent = move |ctx: JobContext| {
        let probe = Arc::clone(&probe);
        async move { handle(&ctx, &probe, hold).await }
    };
    let mut builder = Worker::builder(agent)
        .url(&task.url)
        .credentials("bench", "a secret that the load server does not ask for")
        .agent_name(AGENT_NAME)
        .join_room(false)
        .max_jobs(task.max_jobs);
    if let Some(settling) = task.settling() {
        builder = builder.settling(settling);
    }
    let worker = builder.build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(worker.run_until_signal())?;
    Ok(())
}

async fn handle(ctx: &JobContext, probe: &Probe, hold: bool) -> JobResult {
    probe.began(&ctx.job().raw_metadata)?;
    if hold {
        ctx.cancelled().await;
    }
    Ok(())
}
