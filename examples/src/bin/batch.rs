//! Collects the chat lines of a room and stores them in batches: 20 lines at once, or the lines of five
//! seconds. No line is lost when the job is cancelled.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `collector` to a room and send it data of the topic `chat`. Its test below does that without a server:
//! `cargo test -p examples --bin batch`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;

use agent_worker::patterns::Batches;
use agent_worker::{Agent, JobContext, JobResult, Worker, cli};

/// Where lines are stored: a database in a real agent.
#[derive(Clone, Default)]
struct Archive(Arc<Mutex<Vec<Vec<String>>>>);

impl Archive {
    async fn store(&self, lines: &[String]) -> JobResult {
        self.0.lock().map_err(|_| "the archive is broken")?.push(lines.to_vec());
        Ok(())
    }
}

struct Collector {
    archive: Archive,
}

impl Agent for Collector {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let lines = ctx.room().data("chat").map(|line| match line {
            Ok(line) => String::from_utf8_lossy(&line.payload).into_owned(),
            Err(missed) => format!("({missed})"), // the archive records its gaps
        });
        let mut batches = Batches::new(lines, 20, Duration::from_secs(5));
        batches.process(ctx.cancelled(), async |lines| self.archive.store(&lines).await).await?;
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    let agent = Collector { archive: Archive::default() };
    cli::main(Worker::builder(agent).agent_name("collector"))
}

#[cfg(test)]
mod tests {
    use agent_testkit::{JobSpec, run_job};

    use super::*;

    #[tokio::test]
    async fn lines_are_stored_by_number_by_time_and_at_the_end() {
        let archive = Archive::default();
        let agent = Collector { archive: archive.clone() };
        let spec = JobSpec::room("lobby").lasts(Duration::from_secs(1)).script(|room| async move {
            let ada = room.join("ada");
            room.wait_for_agent().await;
            let send = |n: u32| ada.send_data("chat", n.to_string());
            for n in 0..25 {
                send(n);
            }
            // In virtual time.
            tokio::time::sleep(Duration::from_secs(10)).await;
            send(25);
            tokio::time::sleep(Duration::from_secs(10)).await;
            send(26); // a second before the job is cancelled
        });
        let run = run_job(agent, spec).await;
        run.assert_success();
        assert!(run.duration < Duration::from_secs(22), "it stops when it is cancelled: {:?}", run.duration);
        let stored = archive.0.lock().unwrap().clone();
        assert_eq!(stored.iter().map(Vec::len).collect::<Vec<_>>(), [20, 5, 1, 1]);
        let all: Vec<String> = stored.into_iter().flatten().collect();
        assert_eq!(all, (0..27).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}
