//! Pipelines in a job: what becomes of the items that they have taken when the job is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent_worker::patterns::Pipeline;
use agent_worker::room::{DataReceived, Missed};
use agent_worker::{JobContext, JobResult};

use super::stage::{Stage, text};

/// Two stages with a full queue each, when the last participant has left.
#[tokio::test(start_paused = true)]
async fn a_pipeline_that_is_bounded_by_time_logs_what_it_dropped() {
    const ITEM: Duration = Duration::from_millis(40);
    let run = async |bounded: bool| {
        let stored = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&stored);
        let agent = move |ctx: JobContext| {
            let count = Arc::clone(&counting);
            async move {
                let limit = if bounded { ctx.grace() / 2 } else { Duration::MAX };
                let quick = async |line| Ok(line);
                let store = async |_: Result<DataReceived, Missed>| {
                    tokio::time::sleep(ITEM).await;
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                };
                let pipeline = Pipeline::new(ctx.room().data("line"), ctx.cancelled()).flush_within(limit);
                pipeline.stage("parse", quick).stage("store", store).run().await?;
                JobResult::Ok(())
            }
        };
        let mut stage = Stage::new(agent, |builder| builder.grace(Duration::from_secs(5)));
        let job = stage.dispatch("room").await;
        job.room().wait_for_agent().await;
        let ada = job.room().join("ada");
        (0..500).for_each(|n| ada.send_data("line", n.to_string()));
        ada.leave();
        let ended = stage.ended().await;
        stage.drain(Duration::ZERO).await;
        (text(&ended.outcome), stored.load(Ordering::Relaxed))
    };
    let (error, _) = run(false).await;
    assert!(error.starts_with("aborted: "), "{error}");
    let (error, stored) = run(true).await;
    let numbers =
        error.strip_prefix("stage flush failed: ").and_then(|rest| rest.split_once(" items dropped"));
    let (dropped, taken) = numbers.and_then(|(numbers, _)| numbers.split_once(" of ")).expect(&error);
    let (dropped, taken): (u64, u64) = (dropped.parse().unwrap(), taken.parse().unwrap());
    assert_eq!(stored + dropped, taken, "{error}");
    assert!(dropped > 50 && taken > 400, "{error}");
    assert!(error.ends_with("not done within 2.5s of the stop: flush_timeout"), "{error}");
}
