//! Code of jobs that blocks its thread is named in the log while it does.

use std::time::{Duration, Instant};

use tracing::Level;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{JobContext, JobResult};

use crate::support::captured_log::CapturedLog;
use crate::support::within;

/// Blocks its thread until the log says so.
fn block_until(read: &impl Fn() -> String, line: &str) {
    let begun = Instant::now();
    while !read().contains(line) {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time: {}", read());
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn logged(log: &CapturedLog, line: &str) -> String {
    within(async {
        while log.lines_with(line).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    log.lines_with(line).remove(0)
}

#[tokio::test]
async fn what_blocks_is_named_with_its_job_while_it_blocks() {
    let log = CapturedLog::start(Level::INFO);
    let read = log.reader();
    let agent = move |ctx: JobContext| {
        let read = read.clone();
        async move {
            block_until(&read, "the handler blocks a thread of the runtime");
            let task = ctx.spawn_named("model", async move {
                block_until(&read, "the task model of the handler blocks a thread of the runtime");
            });
            task.await.expect("it returns");
            JobResult::Ok(())
        }
    };
    let server = MockServer::start().await.unwrap();
    let builder = server.worker(agent).agent_name("greeter").blocked_after(Duration::from_millis(50));
    let worker = builder.build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let job = server.dispatch(JobSpec::room("lobby").agent_name("greeter")).await.unwrap();
    assert_eq!(within(job.outcome()).await.unwrap().to_string(), "success");

    for what in ["the handler", "the task model of the handler"] {
        let line = logged(&log, &format!("{what} blocks a thread")).await;
        assert!(line.contains(" WARN ") && line.contains("room=lobby") && line.contains("lasted="), "{line}");
        logged(&log, &format!("{what} no longer blocks its thread")).await;
    }
    handle.stop();
    running.await.unwrap().unwrap();
}
