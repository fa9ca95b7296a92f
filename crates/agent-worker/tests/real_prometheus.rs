//! A Prometheus that scrapes a worker: every query of the dashboard has a result, and every rule can be
//! evaluated. A program of its own, as `start` installs the recorder of its process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod support;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tracing::Level;
use url::form_urlencoded::byte_serialize;

use agent_testkit::{JobSpec, MockServer, program};
use agent_worker::checkpoint::MemoryStore;
use agent_worker::coordination::{Leadership, MemoryCoordinator, MemoryPubSub};
use agent_worker::{Agent, Answer, Job, JobContext, JobError, JobResult, RetryPolicy, cli};

use support::captured_log::CapturedLog;
use support::http_reply::send;

const SOON: Duration = Duration::from_secs(60);

/// Does what the name of its job's room says.
struct Everything;

impl Agent for Everything {
    async fn on_request(&self, job: &Job) -> Answer {
        if job.room.name == "declined" { Answer::Decline } else { Answer::accept() }
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        match ctx.job().room.name.as_str() {
            "fails" => return Err(JobError::fatal("no_model")),
            "retried" if ctx.attempt() == 1 => {
                return Err(JobError::retryable("once more", Duration::ZERO));
            }
            "saves" => {
                let checkpoint = ctx.checkpoint::<u32>();
                checkpoint.load().await?;
                checkpoint.save(&7).await?;
                ctx.channel("news").await?.publish("hello").await?;
                let Leadership::Leader(lease) = ctx.elect("leader").await? else { panic!("the only one") };
                lease.release().await;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A Prometheus that scrapes one target. Dropping it kills it.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(program: &Path, target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prometheus.yml");
        let rules = deploy("prometheus/alerts.yml");
        let text = format!(
            "global:\n  scrape_interval: 250ms\n  evaluation_interval: 250ms\nrule_files: [{:?}]\nscrape_configs:\n  - job_name: \
             workers\n    static_configs:\n      - targets: [{target:?}]\n",
            rules.display(),
        );
        std::fs::write(&config, text).expect("written");
        let mut process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log")).lines().map_while(Result::ok);
        let line = log.find(|line| line.contains("\"Listening on\"")).expect("it listens");
        let address = line.rsplit_once("address=").expect("an address").1.parse().expect("an address");
        // Its log is read to the end: nothing waits for us.
        std::thread::spawn(move || log.for_each(drop));
        Self { process, address, _folder: folder }
    }

    /// The `data` of a request that succeeded.
    async fn get(&self, path: &str) -> Option<Value> {
        // With this version an answer is not in chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        let mut json: Value = serde_json::from_str(&send(self.address, &request).await.body).ok()?;
        // A query with a wrong syntax will not improve.
        assert_ne!(json["errorType"], "bad_data", "{path}: {json}");
        (json["status"] == "success").then(|| json["data"].take())
    }

    /// The numbers that a query has as its result now.
    async fn query(&self, query: &str) -> Vec<f64> {
        let encoded: String = byte_serialize(query.as_bytes()).collect();
        let Some(data) = self.get(&format!("/api/v1/query?query={encoded}")).await else { return Vec::new() };
        let series = data["result"].as_array().cloned().unwrap_or_default();
        let number =
            |series: &Value| series["value"][1].as_str()?.parse().ok().filter(|n: &f64| n.is_finite());
        series.iter().filter_map(number).collect()
    }

    /// Waits until a query has a result that is a number.
    async fn wait_for(&self, what: &str, query: &str) -> Vec<f64> {
        let found = async {
            loop {
                let numbers = self.query(query).await;
                if !numbers.is_empty() {
                    return numbers;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(SOON, found).await;
        found.unwrap_or_else(|_| panic!("{what} has no result: {query}"))
    }
}

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file).canonicalize().expect("it is there")
}

/// Title and query of every panel of the dashboard, for all agents.
fn queries() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(deploy("grafana/dashboard.json")).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            let query = query.replace("$agent_name", ".*").replace("$__rate_interval", "1m");
            assert!(!query.contains('$'), "a variable that this test does not know: {query}");
            found.push((title.to_owned(), query));
        }
    }
    found
}

/// Runs `start`, and returns the address of its HTTP server, which is on loopback.
async fn start(server: &MockServer) -> String {
    let log = CapturedLog::start(Level::INFO);
    let retry = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let worker = server.worker(Everything).agent_name("everything").retry(retry);
    let worker = worker.checkpoints(MemoryStore::default()).coordinator(MemoryCoordinator::new());
    let worker = worker.pubsub(MemoryPubSub::default());
    let line = ["everything", "start", "--http-host", "127.0.0.1", "--http-port", "0"];
    tokio::spawn(cli::run(worker, line.map(OsString::from)));
    let address = async {
        loop {
            if let Some(line) = log.lines_with("serving health and status").pop() {
                let (_, rest) = line.split_once("address=").expect("an address");
                return rest.split_whitespace().next().expect("an address").to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    support::within(address).await
}

#[tokio::test]
async fn every_query_of_the_dashboard_has_a_result() {
    let Some(prometheus) = program("prometheus", "Debian: apt-get install prometheus") else { return };
    let server = MockServer::start().await.expect("a server");
    let worker = start(&server).await;
    let prometheus = Prometheus::start(&prometheus, &worker);
    // A rate is known from the second scrape on, and an increase only from what was there before.
    prometheus.wait_for("the worker", "sum(lk_agents_worker_registered) == 1").await;
    prometheus.wait_for("a second scrape", "count_over_time(up[1m]) >= 2").await;
    for room in ["works", "fails", "retried", "saves", "declined"] {
        let job = server.dispatch(JobSpec::room(room).agent_name("everything")).await;
        // There is no other worker for the one that is declined.
        if let Ok(job) = job {
            let _ = job.outcome_within(SOON).await;
        }
    }

    let queries = queries();
    assert!(queries.len() > 40, "{queries:#?}");
    for (title, query) in &queries {
        prometheus.wait_for(title, query).await;
    }
    // They are of what has happened.
    for (query, expected) in [
        ("sum(lk_agents_jobs_total{outcome=\"success\"})", 3.0),
        ("sum(lk_agents_jobs_total{outcome=\"failed\"})", 1.0),
        ("sum(lk_agents_job_retries_total)", 1.0),
        ("sum(lk_agents_offers_total{answer=\"declined\", reason=\"handler\"})", 1.0),
        ("sum(lk_agents_checkpoint_save_seconds_count)", 1.0),
    ] {
        prometheus.wait_for("what has happened", &format!("{query} == {expected}")).await;
    }

    let rules = async {
        loop {
            let data = prometheus.get("/api/v1/rules").await.unwrap_or_default();
            let rules = data["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
            if !rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown") {
                return rules;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    for rule in support::within(rules).await {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
