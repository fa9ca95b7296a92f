//! A worker whose jobs wait until they are cancelled, as started by the benchmark of a scrape.

use std::process::ExitCode;

use agent_worker::{JobContext, JobResult, Worker, cli};

async fn hold(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

fn main() -> ExitCode {
    cli::main(Worker::builder(hold).agent_name("held").join_room(false).max_jobs(100_000))
}
