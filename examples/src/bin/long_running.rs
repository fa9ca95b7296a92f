//! Stays in a room while people are in it: greets each of them, counts their messages, checks the health of
//! the archive that it writes to, and sends a goodbye.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent `host`
//! to a room.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::interval;

use agent_worker::room::ParticipantFilter;
use agent_worker::{Agent, JobContext, JobResult, Worker, cli};

/// How often progress is reported while nobody writes: less than `stale_after` of the worker.
const PERIOD: Duration = Duration::from_secs(20);

/// What the host depends on: a database in a real agent.
#[derive(Default)]
struct Archive {
    away: AtomicBool,
}

impl Archive {
    async fn ping(&self) -> Result<(), std::io::Error> {
        let away = self.away.load(Ordering::Relaxed);
        if away { Err(std::io::ErrorKind::NotConnected.into()) } else { Ok(()) }
    }
}

struct Host {
    archive: Archive,
}

impl Agent for Host {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        ctx.health_check(Duration::from_secs(30), async move || self.archive.ping().await);
        ctx.for_each_participant(ParticipantFilter::human(), async |ctx, person| {
            let _ = ctx.room().publish_data("chat", format!("Welcome, {}!", person.identity)).await;
        });
        ctx.on_cleanup(async |ctx| {
            if ctx.is_in_room() {
                let _ = ctx.room().publish_data("chat", "Goodbye!").await;
            }
        });
        let mut chat = ctx.room().data("chat");
        let mut messages = 0_u64;
        let mut period = interval(PERIOD);
        loop {
            tokio::select! {
                reason = ctx.cancelled() => {
                    tracing::info!(%reason, messages, "the host leaves");
                    return Ok(());
                }
                message = chat.next() => match message {
                    Some(Ok(_)) => messages += 1,
                    Some(Err(missed)) => messages += missed.count,
                    None => return Ok(()),
                },
                // A chat in which nobody writes is no failure.
                _ = period.tick() => {}
            }
            ctx.progress();
        }
    }
}

fn main() -> ExitCode {
    let host = Host { archive: Archive::default() };
    cli::main(Worker::builder(host).agent_name("host"))
}

#[cfg(test)]
mod tests {
    use agent_testkit::{JobSpec, MockServer, Run, run_job};

    use super::*;

    fn sent(run: &Run) -> Vec<String> {
        run.sent_by_agent().map(|sent| sent.text()).collect()
    }

    #[tokio::test]
    async fn the_host_stays_until_the_last_guest_has_left() {
        let host = Host { archive: Archive::default() };
        let spec = JobSpec::room("party").lasts(Duration::from_secs(24 * 3600)).script(|room| async move {
            room.wait_for_agent().await;
            let ada = room.join("ada");
            tokio::time::sleep(Duration::from_secs(3600)).await;
            let bob = room.join("bob");
            ada.leave();
            tokio::time::sleep(Duration::from_secs(3600)).await;
            bob.leave();
        });
        let run = run_job(host, spec).await;
        run.assert_success();
        assert_eq!(sent(&run), ["Welcome, ada!", "Welcome, bob!", "Goodbye!"]);
        // Two hours, plus the ten seconds of waiting for people to return.
        let minutes = run.duration.as_secs() / 60;
        assert_eq!(minutes, 120, "{:?}", run.duration);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_of_a_quiet_chat_is_not_reported_as_stale() {
        let server = MockServer::builder().start_in_process();
        let host = Host { archive: Archive::default() };
        let worker = server.worker(host).agent_name("host").build().unwrap();
        let handle = worker.handle();
        tokio::spawn(worker.run());
        let job = server.dispatch(JobSpec::room("party").agent_name("host")).await.unwrap();
        job.room().wait_for_agent().await;
        job.room().join("ada").send_data("chat", "hello");
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!((handle.stats().stale, handle.stats().succeeded), (0, 0));
        job.terminate();
        job.outcome().await.unwrap();
    }

    #[tokio::test]
    async fn an_archive_that_is_unavailable_for_a_while_costs_an_attempt_and_not_the_job() {
        let host = Arc::new(Host { archive: Archive::default() });
        let outside = Arc::clone(&host);
        let spec = JobSpec::room("party").lasts(Duration::from_secs(3600)).script(move |room| async move {
            room.wait_for_agent().await;
            outside.archive.away.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(35)).await;
            outside.archive.away.store(false, Ordering::Relaxed);
        });
        let run = run_job(host, spec).await;
        run.assert_success();
        assert_eq!(sent(&run), ["Goodbye!", "Goodbye!"], "each attempt has its cleanup");
    }
}
