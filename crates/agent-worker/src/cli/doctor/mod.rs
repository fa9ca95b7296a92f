//! `doctor`: examines step by step what a worker needs, and reports for each step that it works or what to
//! do.
//!
//! [`examine`] does it for programs that show the findings themselves:
//!
//! ```no_run
//! use agent_worker::cli::doctor::{Verdict, examine};
//! use agent_worker::{JobContext, JobResult, Worker};
//!
//! async fn agent(_: JobContext) -> JobResult { Ok(()) }
//!
//! # async fn example() {
//! let findings = examine(Worker::builder(agent).from_env(), |check| println!("{}…", check.as_str())).await;
//! for problem in findings.iter().filter(|found| found.verdict == Verdict::Failed) {
//!     println!("{}: {}", problem.check.as_str(), problem.text);
//! }
//! # }
//! ```

mod credentials;
mod finding;
mod machine;
mod media;
mod server;
mod text;
mod trial;

use std::io::{self, IsTerminal, Write};

use agent_net::ServerApi;

use crate::cli::doctor::credentials::Answer;
use crate::cli::doctor::server::Answered;
use crate::cli::doctor::trial::Trial;
use crate::cli::error::DoctorError;
use crate::cli::http::HttpAddress;
use crate::worker::builder::WorkerBuilder;
use crate::worker::server::Server;

pub use finding::{Check, Finding, Verdict};

/// Examines the settings of a worker, this machine, the server, and a job of its own; `begin` is called
/// before each check.
///
/// The worker's agent is not called. The job is one of a worker with a name of its own, in a room of its own,
/// which is deleted afterwards. It connects as the worker would: with its server, credentials, proxies,
/// certificates and relays. Every step has a time limit; all together take 90 s at most, and less than 2 s
/// if everything works. The checks of stores save something under keys of their own and delete it.
pub async fn examine(worker: WorkerBuilder, begin: impl FnMut(Check)) -> Vec<Finding> {
    let skipped = Finding::skipped(Check::HttpPort, "only the command line serves health by itself");
    examine_with(worker, async || skipped, begin).await
}

async fn examine_with(
    worker: WorkerBuilder,
    http_port: impl AsyncFnOnce() -> Finding,
    begin: impl FnMut(Check),
) -> Vec<Finding> {
    let mut report = Report { begin, findings: Vec::new(), skip: None };
    report.examine(worker, http_port).await;
    report.findings
}

/// What follows a check that failed is skipped if it cannot work.
struct Report<F> {
    begin: F,
    findings: Vec<Finding>,
    /// Why further checks are skipped.
    skip: Option<&'static str>,
}

impl<F: FnMut(Check)> Report<F> {
    async fn examine(&mut self, mut worker: WorkerBuilder, http_port: impl AsyncFnOnce() -> Finding) {
        let trial = Trial::of(&worker);
        let (checkpoints, leases) = (worker.take_checkpoints(), worker.take_coordinator());
        let (max_jobs, per_job) = worker.descriptor_use();

        (self.begin)(Check::Settings);
        let built = worker.build();
        self.findings.push(machine::settings(built.as_ref()));
        self.run(Check::Version, async || machine::version()).await;
        self.run(Check::Descriptors, async || machine::descriptors(max_jobs, per_job)).await;
        self.run(Check::Checkpoints, async || machine::checkpoints(checkpoints).await).await;
        self.run(Check::Leases, async || machine::leases(leases).await).await;
        self.run(Check::HttpPort, http_port).await;

        let Ok(worker) = built else { return self.skip_rest("the settings have to be corrected first") };
        let server = &worker.setup.server;
        self.run(Check::Addresses, async || server::addresses(server).await).await;
        self.need("the server is not reachable");
        if self.skip.is_none() {
            self.answers(server, &worker.setup.parts.api).await;
        }
        if self.skip.is_none() && self.has_failed(Check::Descriptors) {
            self.skip = Some("the limit of open files is too low for a job");
        }
        if self.skip.is_none() {
            let findings = trial.run(&mut self.begin).await;
            self.findings.extend(findings);
            self.need("the step before it failed");
        }
        self.skip_rest("it was not reached");
    }

    /// HTTP, clock and credentials, whose failures may have a cause in common.
    async fn answers(&mut self, server: &Server, api: &ServerApi) {
        (self.begin)(Check::Http);
        let Answered { http, clock, status } = match server::http(server).await {
            Ok(answered) => answered,
            Err(failed) => {
                self.findings.push(failed);
                return self.need("the server does not answer");
            }
        };
        (self.begin)(Check::Credentials);
        let wrong_clock = clock.verdict == Verdict::Failed;
        let answer = server::credentials(server, api, status, wrong_clock).await;
        let (http, credentials, skip) = match answer {
            Answer::Accepted => {
                let text = "the server knows the API key, and the secret is that of the key";
                (http, Finding::ok(Check::Credentials, text), None)
            }
            Answer::Refused(text) => {
                let why = "the server does not accept the credentials";
                (http, Finding::failed(Check::Credentials, text), Some(why))
            }
            Answer::WrongClock => {
                let why = "the clock has to be set first";
                (http, Finding::skipped(Check::Credentials, why), Some(why))
            }
            Answer::NotLiveKit(text) => {
                let why = "this is not a LiveKit server";
                (Finding::failed(Check::Http, text), Finding::skipped(Check::Credentials, why), Some(why))
            }
        };
        self.findings.extend([http, clock, credentials]);
        self.skip = skip;
    }

    fn has_failed(&self, check: Check) -> bool {
        self.findings.iter().any(|found| found.check == check && found.verdict == Verdict::Failed)
    }

    async fn run(&mut self, check: Check, examine: impl AsyncFnOnce() -> Finding) {
        let finding = match self.skip {
            Some(why) => Finding::skipped(check, why),
            None => {
                (self.begin)(check);
                examine().await
            }
        };
        self.findings.push(finding);
    }

    /// Skips what follows if the last check failed.
    fn need(&mut self, why: &'static str) {
        let last = self.findings.last();
        if self.skip.is_none() && last.is_some_and(|found| found.verdict == Verdict::Failed) {
            self.skip = Some(why);
        }
    }

    /// Reports all checks that are still missing as skipped.
    fn skip_rest(&mut self, why: &'static str) {
        let why = self.skip.unwrap_or(why);
        for check in Check::ALL {
            if !self.findings.iter().any(|found| found.check == check) {
                self.findings.push(Finding::skipped(check, why));
            }
        }
    }
}

/// Examines, and prints the findings. `http`: where `start` would listen.
pub(super) async fn run(worker: WorkerBuilder, http: Option<HttpAddress>) -> Result<(), DoctorError> {
    let is_terminal = io::stdout().is_terminal();
    let findings = examine_with(
        worker,
        async || machine::http_port(http).await,
        |check| {
            if is_terminal {
                // Overwritten by the next one. Nothing is lost if it is not read.
                let _ = write!(io::stdout(), "\r\x1b[K… {}", check.as_str());
                let _ = io::stdout().flush();
            }
        },
    )
    .await;
    let mut out = io::stdout().lock();
    if is_terminal {
        let _ = write!(out, "\r\x1b[K");
    }
    for finding in &findings {
        writeln!(out, "{finding}").map_err(DoctorError::Output)?;
    }
    let failed: Vec<&str> = findings
        .iter()
        .filter(|found| found.verdict == Verdict::Failed)
        .map(|found| found.check.as_str())
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(DoctorError::Failed(failed.join(", "))) }
}
