//! A long job that another worker resumes after a `kill -9`: nothing is skipped, and at most one interval's
//! work is repeated.
//!
//! Without a server it demonstrates this with a mock server: it starts a worker as another process, kills it
//! in the middle of its job, starts a second one with the same file, and dispatches the job again.
//!
//! With `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set it is such a worker of that server:
//! start it, `lk dispatch create --agent-name counter --room hall --metadata '{"items":10000}'`, `kill -9`
//! it, and repeat.

#![allow(clippy::print_stdout, reason = "an example prints to its terminal")]

use std::error::Error;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use agent_testkit::{JobSpec, MockServer, ServerEvent};
use agent_worker::checkpoint::EmbeddedStore;
use agent_worker::{JobContext, JobResult, Worker};

const ITEMS: u64 = 300;
/// Interval of automatic saves; the default of 30 s would be long to watch.
const INTERVAL: Duration = Duration::from_millis(200);

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
    // The last value that any worker has saved. From now on it is saved automatically.
    let progress = ctx.checkpoint::<Progress>().resume().await?;
    println!("begins at {}", progress.get().done);
    while progress.get().done < items {
        tokio::select! {
            _ = ctx.cancelled() => return Ok(()),
            value = process(progress.get().done) => progress.update(|progress| {
                progress.done += 1;
                progress.sum += value;
            }),
        }
    }
    println!("the sum is {}", progress.get().sum);
    Ok(())
}

async fn process(item: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(5)).await;
    println!("item {item}");
    item
}

/// A worker of the server that the environment names.
async fn work() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
    let store = EmbeddedStore::open("checkpoints.redb")?;
    let worker = Worker::builder(count).from_env().agent_name("counter");
    let worker = worker.checkpoints(store).checkpoint_interval(INTERVAL).join_room(false);
    worker.build()?.run_until_signal().await?;
    Ok(())
}

/// Kills one worker in the middle of its job, and lets another one resume it. `command` starts a worker.
async fn kill_and_resume(command: impl Fn() -> Command) -> Result<[Counted; 2], Box<dyn Error>> {
    let server = MockServer::builder().credentials("devkey", "secret").start().await?;
    let folder = tempfile::tempdir()?;
    let job = || JobSpec::room("hall").agent_name("counter").metadata(format!(r#"{{"items":{ITEMS}}}"#));
    let start = || {
        let mut worker = command();
        worker.env("LIVEKIT_URL", server.url()).env("LIVEKIT_API_KEY", "devkey");
        worker.env("LIVEKIT_API_SECRET", "secret").current_dir(folder.path());
        WorkerProcess::start(worker)
    };
    let registered = |event: &ServerEvent| matches!(event, ServerEvent::Registered { .. });

    let mut first = start()?;
    server.wait_for_count(1, registered).await;
    server.dispatch(job()).await?;
    let mut counted = [first.read_to("item 120")?, Counted::default()];
    first.child.kill()?; // SIGKILL: no time for cleanup
    counted[0].items.extend(first.read_to("(it is dead)")?.items);
    server.wait_for(|event| matches!(event, ServerEvent::Disconnected { .. })).await;

    let mut second = start()?;
    server.wait_for_count(2, registered).await;
    let again = server.dispatch(job()).await?;
    counted[1] = second.read_to("the sum is")?;
    again.outcome().await?;
    Ok(counted)
}

/// The output of one worker.
#[derive(Debug, Default)]
struct Counted {
    items: Vec<u64>,
    last_line: String,
}

struct WorkerProcess {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl WorkerProcess {
    fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        Ok(Self { child, output })
    }

    /// Reads up to a line that contains this, or to the end. The mock server runs on other threads meanwhile.
    fn read_to(&mut self, mark: &str) -> Result<Counted, Box<dyn Error>> {
        let mut counted = Counted::default();
        for line in self.output.by_ref() {
            counted.last_line = line?;
            let item = counted.last_line.strip_prefix("item ").and_then(|item| item.parse::<u64>().ok());
            counted.items.extend(item);
            if counted.last_line.contains(mark) {
                break;
            }
        }
        Ok(counted)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may be dead already
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os("LIVEKIT_URL").is_some_and(|url| !url.is_empty()) {
        return work().await;
    }
    let this = std::env::current_exe()?;
    let [first, second] = kill_and_resume(|| Command::new(&this)).await?;
    let ends = |counted: &Counted| counted.items.first().copied().zip(counted.items.last().copied());
    let (Some((from, killed)), Some((again, to))) = (ends(&first), ends(&second)) else {
        return Err("a worker did nothing".into());
    };
    println!("the first worker did the items {from} to {killed}, and was killed");
    println!("the second one resumed with {again} to {to}: {}", second.last_line);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use super::*;

    const WORKER: &str = "CHECKPOINTED_WORKER";

    /// Started by the test below, in separate processes.
    #[tokio::test]
    async fn a_worker() {
        if std::env::var_os(WORKER).is_some() {
            work().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_resumes_after_its_worker_was_killed() {
        let this = std::env::current_exe().unwrap();
        let command = || {
            let mut command = Command::new(&this);
            command.args(["--exact", "tests::a_worker", "--nocapture"]).env(WORKER, "");
            command
        };
        let [first, second] = kill_and_resume(command).await.unwrap();
        let (begin, end) = (second.items[0], *first.items.last().unwrap());
        assert!(begin > 0 && begin <= end + 1, "it resumes, and skips nothing: {end}, then {begin}");
        // The work of one interval, with a margin for a machine that is busy with other tests.
        assert!(end - begin < 120, "{end}, then {begin}");
        assert_eq!(second.items, (begin..ITEMS).collect::<Vec<_>>());
        assert!(second.last_line.ends_with(&(0..ITEMS).sum::<u64>().to_string()), "{}", second.last_line);
    }
}
