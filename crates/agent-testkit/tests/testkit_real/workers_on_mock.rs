//! LiveKit's own workers on the mock server, run as a program: it is faithful enough for other
//! implementations.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use agent_testkit::{OfficialApi, OfficialWorkerKind, OfficialWorkerOptions, official_host, official_worker};

use crate::long;

const KEY: &str = "testkey";
const SECRET: &str = "a secret for this test, long enough for every client";
const JOBS_TIMEOUT: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(30);

/// `livekit-testkit serve`, and the events that it prints.
struct Served {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Served {
    async fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_livekit-testkit"))
            .args(["serve", "--listen", "127.0.0.1:0", "--api-key", KEY, "--api-secret", SECRET])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut served = Self { url: String::new(), lines, child };
        served.url = served.next("listening").await["url"].as_str().unwrap().to_owned();
        served
    }

    /// The next event of this name.
    async fn next(&mut self, name: &str) -> Value {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the server still runs");
                let event: Value = serde_json::from_str(&line).unwrap();
                if event["event"] == name {
                    return event;
                }
            }
        };
        tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("no event {name:?}"))
    }
}

async fn runs_its_jobs(kind: OfficialWorkerKind, count: usize) {
    let Some(host) = official_host().await else { return };
    let mut served = Served::start().await;
    let agent_name = format!("{kind:?}");
    let options = OfficialWorkerOptions::new(&served.url, KEY, SECRET, &agent_name);
    let Some(worker) = official_worker(kind, &options).await else { return };
    assert_eq!(served.next("registered").await["agent_name"], agent_name.as_str());

    let api = OfficialApi::new(host, served.url.replace("ws://", "http://"), KEY, SECRET);
    let started = Instant::now();
    let dispatches = api.dispatch_many(&agent_name, "room", count).await.unwrap();
    let jobs = worker.wait_for_jobs(count, JOBS_TIMEOUT).await.unwrap();
    let wanted: BTreeSet<_> = dispatches.iter().map(|d| (d.room.clone(), d.metadata.clone())).collect();
    let received: BTreeSet<_> = jobs.iter().map(|job| (job.room.clone(), job.metadata.clone())).collect();
    assert_eq!((wanted.len(), jobs.len(), &received), (count, count, &wanted));
    let mut ends = BTreeMap::<String, usize>::new();
    // The Node.js worker reports no end.
    if kind != OfficialWorkerKind::Node {
        for _ in 0..count {
            let end = served.next("ended").await;
            *ends.entry(format!("{} {}", end["status"], end["error"])).or_default() += 1;
        }
        assert_eq!(ends.values().sum::<usize>(), count);
    }
    eprintln!("{kind:?}: {count} jobs ran in {:.1?}; recorded: {ends:?}", started.elapsed());
    worker.kill();
    served.child.kill().await.unwrap();
}

/// Sequentially: in parallel they would slow each other down.
#[tokio::test]
async fn each_kind_registers_and_runs_its_jobs() {
    let count = long::times("jobs of each kind of worker", 5, 20);
    for kind in OfficialWorkerKind::ALL {
        runs_its_jobs(kind, count).await;
    }
}
