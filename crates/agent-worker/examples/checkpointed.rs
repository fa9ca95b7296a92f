//! A long job that another worker can go on with: kill this one in the middle, dispatch the agent again, and nothing is skipped.
//!
//! Run it twice with `--features embedded-store` and `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set (both processes share the
//! file `checkpoints.redb`), then dispatch it: `lk dispatch create --agent-name counter --room hall --metadata '{"items":10000}'`.

use agent_worker::{EmbeddedStore, JobContext, JobResult, Worker};
use std::time::Duration;

#[derive(Default, serde::Deserialize)]
struct Work {
    items: u64,
}

#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
struct Progress {
    done: u64,
    sum: u64,
}

async fn count(ctx: JobContext) -> JobResult {
    let Work { items } = ctx.metadata()?;
    // What was saved last, by whatever worker; saved every 30 s, when the job is told to stop, and when it has stopped.
    let progress = ctx.checkpoint::<Progress>().resume().await?;
    tracing::info!("beginning at item {}", progress.get().done);
    while progress.get().done < items {
        tokio::select! {
            reason = ctx.cancelled() => {
                tracing::info!("stopped ({reason}) at item {}", progress.get().done);
                return Ok(());
            }
            value = process(progress.get().done) => progress.update(|progress| {
                progress.done += 1;
                progress.sum += value;
            }),
        }
    }
    ctx.room().publish_data("result", progress.get().sum.to_string()).await?;
    Ok(())
}

async fn process(item: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(10)).await;
    item
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let store = EmbeddedStore::open("checkpoints.redb")?;
    let worker = Worker::builder(count).from_env().agent_name("counter").checkpoints(store);
    worker.build()?.run_until_signal().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_testkit::{JobSpec, run_job};
    use agent_worker::MemoryStore;

    #[tokio::test]
    async fn the_next_job_goes_on_where_this_one_stopped() {
        let store = MemoryStore::new();
        let spec = || {
            let store = store.clone();
            JobSpec::room("hall").metadata(r#"{"items":1000}"#).worker(|builder| builder.checkpoints(store))
        };
        let first = run_job(count, spec().lasts(Duration::from_secs(4))).await;
        assert!(first.sent.is_empty() && store.len() == 1, "stopped in the middle");
        let second = run_job(count, spec().lasts(Duration::from_secs(9))).await;
        assert_eq!(second.sent[0].text(), (0..1000).sum::<u64>().to_string());
        assert!(second.duration < Duration::from_secs(8), "it did not begin anew");
        assert!(store.is_empty(), "done");
    }
}
