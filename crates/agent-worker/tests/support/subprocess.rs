//! Processes of a test: each is the test's own program once more. It sends reports on its output, gets lines
//! on its input, and ends with the test, also when that is killed.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use agent_worker::{Agent, Secret, Worker, WorkerBuilder};

const GIVEN: &str = "AGENT_TEST_CHILD";
/// The test harness may have written something before it, in the same line.
const MARK: &str = "@report ";

/// In a process that [`Child::start`] made: what it was given, and the lines that it gets from now on.
/// Elsewhere nothing.
pub(crate) fn given<G: DeserializeOwned>() -> Option<(G, mpsc::UnboundedReceiver<String>)> {
    let given = serde_json::from_str(&std::env::var(GIVEN).ok()?).expect("what was given");
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
        // The process that started us is gone.
        std::process::exit(0);
    });
    Some((given, lines))
}

/// Sends a report to the test that started this process.
pub(crate) fn report(what: &impl Serialize) {
    println!("{MARK}{}", serde_json::to_string(what).expect("JSON"));
}

/// Where the worker of such a process registers, and as what.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Post {
    url: String,
    key: String,
    secret: String,
    agent_name: String,
}

impl Post {
    pub(crate) fn new(url: impl Into<String>, key: &str, secret: &Secret, agent_name: &str) -> Self {
        let (key, secret) = (key.to_owned(), secret.expose().to_owned());
        Self { url: url.into(), key, secret, agent_name: agent_name.to_owned() }
    }

    pub(crate) fn worker(self, agent: impl Agent) -> WorkerBuilder {
        Worker::builder(agent).url(self.url).credentials(self.key, self.secret).agent_name(self.agent_name)
    }
}

/// One process. Dropping it kills it.
pub(crate) struct Child(std::process::Child);

impl Child {
    /// Starts one that begins at the test of this name, which has to ask what it was [`given`]. Its reports
    /// go to the log.
    pub(crate) fn start<T: Reported>(entry: &str, given: &impl Serialize, log: &Log<T>) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this test is a program"))
            .args(["--exact", entry, "--nocapture", "--test-threads=1"])
            .env(GIVEN, serde_json::to_string(given).expect("JSON"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (out, log) = (process.stdout.take().expect("its output"), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some((_, report)) = line.split_once(MARK) {
                    log.add(serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {report}")));
                }
            }
        });
        Self(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The code that it ends with by itself; `None` when a signal killed it.
    pub(crate) async fn exit_code(&mut self, within: Duration) -> Option<i32> {
        let ended = async {
            loop {
                match self.0.try_wait().expect("it is ours") {
                    Some(status) => break status,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let status = tokio::time::timeout(within, ended).await;
        status.unwrap_or_else(|_| panic!("the process still runs after {within:?}")).code()
    }

    /// Sends it one line.
    pub(crate) fn send_line(&self, line: &str) {
        let mut input = self.0.stdin.as_ref().expect("its input");
        input.write_all(format!("{line}\n").as_bytes()).expect("it listens");
    }

    /// As `kill -NAME`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(status.expect("a kill command").success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A report of a process.
pub(crate) trait Reported: Clone + Debug + DeserializeOwned + Send + 'static {}

impl<T: Clone + Debug + DeserializeOwned + Send + 'static> Reported for T {}

/// All reports of the processes of a test, in the order in which they came. Cheap to clone; clones are the
/// same.
#[derive(Clone)]
pub(crate) struct Log<T> {
    reports: Arc<Mutex<Vec<T>>>,
    added: watch::Sender<()>,
}

impl<T: Reported> Log<T> {
    pub(crate) fn new() -> Self {
        Self { reports: Arc::default(), added: watch::Sender::new(()) }
    }

    fn add(&self, report: T) {
        self.lock().push(report);
        self.added.send_replace(());
    }

    /// The first report after the first `from` ones for which this holds, and the number of reports with it.
    pub(crate) async fn wait_for(
        &self,
        from: usize,
        within: Duration,
        holds: impl Fn(&T) -> bool,
    ) -> (usize, T) {
        let mut added = self.added.subscribe();
        let found = async {
            let mut at = from;
            loop {
                added.borrow_and_update();
                // Looked at once each: there may be thousands.
                while let Some(report) = self.get(at) {
                    at += 1;
                    if holds(&report) {
                        return (at, report);
                    }
                }
                added.changed().await.expect("it is ours");
            }
        };
        let found = tokio::time::timeout(within, found).await;
        found.unwrap_or_else(|_| panic!("no such report within {within:?}; the last: {:#?}", self.last(12)))
    }

    /// The number of reports until now.
    pub(crate) fn mark(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.reports.lock().expect("nothing fails in between")
    }

    fn get(&self, at: usize) -> Option<T> {
        self.lock().get(at).cloned()
    }

    fn last(&self, count: usize) -> Vec<T> {
        let reports = self.lock();
        reports.iter().skip(reports.len().saturating_sub(count)).cloned().collect()
    }
}
