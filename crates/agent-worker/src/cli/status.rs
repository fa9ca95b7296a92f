//! `status`: what a running worker reports over HTTP.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use agent_core::BoxError;
use agent_proto::text::{line, name};

use crate::cli::args::StatusOptions;
use crate::cli::error::{CliError, STATUS_TIMEOUT, StatusError};
use crate::cli::http;
use crate::http::report::{JobReport, JobsReport, Summary, WorkerReport};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// Jobs that are shown to people, and in JSON.
const SHOWN_JOBS: usize = 20;
const MOST_JOBS: usize = 10_000;

/// Prints the status; a worker that is not live is a failure.
pub(super) async fn status(options: &StatusOptions) -> Result<(), CliError> {
    let at = http::worker_address(&options.http_port, &options.http_host)?;
    let limit = if options.json { MOST_JOBS } else { SHOWN_JOBS };
    let asked = async {
        let worker = get(at, "/worker").await?;
        Ok::<_, StatusError>((worker, get(at, &format!("/jobs?limit={limit}")).await?))
    };
    let (worker, jobs) = timeout(STATUS_TIMEOUT, asked).await.unwrap_or(Err(StatusError::Slow { at }))?;
    let summary: Summary = read(at, &worker)?;
    let list: JobsReport = read(at, &jobs)?;
    let text = if options.json {
        // Both are JSON, as they were just read.
        let raw = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        format!("{{\"worker\":{},\"jobs\":{}}}\n", raw(&worker), raw(&jobs))
    } else {
        show(&summary, &list)
    };
    io::stdout().write_all(text.as_bytes()).map_err(CliError::Output)?;
    match summary.workers.iter().find(|worker| !worker.live) {
        None => Ok(()),
        Some(worker) => {
            let reason = worker.problem.as_deref().unwrap_or("not live");
            Err(StatusError::Unwell { at, reason: line(reason).to_string() }.into())
        }
    }
}

async fn get(at: SocketAddr, path: &str) -> Result<Bytes, StatusError> {
    let stream = TcpStream::connect(at).await.map_err(|error| StatusError::Unreachable { at, error })?;
    let (status, body) =
        exchange(stream, at, path).await.map_err(|error| StatusError::NotAWorker { at, error })?;
    match status {
        StatusCode::OK => Ok(body),
        StatusCode::SERVICE_UNAVAILABLE => {
            let reason = line(String::from_utf8_lossy(&body)).to_string();
            Err(StatusError::Unwell { at, reason })
        }
        other => Err(StatusError::NotAWorker { at, error: format!("{path}: HTTP {other}").into() }),
    }
}

async fn exchange(stream: TcpStream, at: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), BoxError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this exchange.
    let mut background = JoinSet::new();
    background.spawn(connection);
    let request = Request::get(path).header(HOST, at.to_string()).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    Ok((status, Limited::new(answer, MAX_ANSWER).collect().await?.to_bytes()))
}

fn read<T: DeserializeOwned>(at: SocketAddr, body: &Bytes) -> Result<T, StatusError> {
    serde_json::from_slice(body).map_err(|error| StatusError::NotAWorker { at, error: error.into() })
}

/// As text for people. Writing to a `String` does not fail.
fn show(summary: &Summary, list: &JobsReport) -> String {
    let mut text = String::new();
    for worker in &summary.workers {
        let _ = write!(text, "{}", describe(worker, &summary.sdk_version));
    }
    let more = list.total.saturating_sub(list.jobs.len());
    let _ = writeln!(text, "\n{} jobs{}", list.total, if list.jobs.is_empty() { "" } else { ":" });
    if !list.jobs.is_empty() {
        let _ = writeln!(
            text,
            "  {:<20} {:<24} {:<11} {:>8} {:>8}  last error",
            "id", "room", "state", "age", "attempts"
        );
    }
    for job in &list.jobs {
        let _ = writeln!(text, "{}", row(job));
    }
    if more > 0 {
        let _ = writeln!(text, "  … and {more} more: `status --json` lists up to {MOST_JOBS}");
    }
    text
}

fn describe(worker: &WorkerReport, version: &str) -> String {
    let WorkerReport { slots, .. } = worker;
    let agent = if worker.agent_name.is_empty() { "(no agent name)" } else { worker.agent_name.as_str() };
    let state = match (&worker.problem, worker.live) {
        (None, _) => "ready".to_owned(),
        (Some(problem), true) => format!("not ready: {}", line(problem)),
        (Some(problem), false) => format!("not live: {}", line(problem)),
    };
    let in_use: Vec<String> = [
        ("offered", slots.offered),
        ("accepted", slots.accepted),
        ("running", slots.running),
        ("backing off", slots.backing_off),
        ("cleaning up", slots.cleaning),
        ("stuck", slots.stuck),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(state, count)| format!("{count} {state}"))
    .collect();
    let in_use = if in_use.is_empty() { String::new() } else { format!(": {}", in_use.join(", ")) };
    let id = if worker.worker_id.is_empty() { "-" } else { worker.worker_id.as_str() };
    format!(
        "{}  agent-worker {}\n  state   {state}\n  worker  {}, up {}\n  slots   {} of {} in use{in_use}\n  load    {:.2}\n  \
         ended   {} succeeded, {} failed, {} retries\n",
        name(agent),
        name(version),
        name(id),
        age(worker.uptime_seconds),
        slots.used,
        worker.max_jobs,
        worker.worker_load,
        worker.jobs_succeeded,
        worker.jobs_failed,
        worker.job_retries,
    )
}

fn row(job: &JobReport) -> String {
    let error = job.last_error.as_deref().map(|error| line(error).to_string()).unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
    let seconds = job.age_seconds as u64;
    let (id, room, state) =
        (name(&job.id).to_string(), name(&job.room).to_string(), name(&job.state).to_string());
    format!("  {id:<20} {room:<24} {state:<11} {:>8} {:>8}  {error}", age(seconds), job.attempts)
        .trim_end()
        .to_owned()
}

/// A time in its two largest units.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> Summary {
        serde_json::from_value(json!({
            "agent_name": "greeter", "agent_name_is_env": false, "deployment": "", "worker_type": "JT_ROOM",
            "active_jobs": 2, "worker_load": 0.5, "sdk_version": "1.2.3", "project_type": "rust",
            "protocol_version": 1, "live": true, "ready": false, "draining": true,
            "workers": [{
                "agent_name": "greeter", "deployment": "", "worker_type": "JT_ROOM", "worker_id": "AW_1",
                "live": true, "ready": false, "problem": "draining", "registered": true, "draining": true,
                "active_jobs": 2, "worker_load": 0.5, "max_jobs": 4, "unconfirmed_outcomes": 0,
                "slots": {
                    "used": 2, "offered": 0, "accepted": 0, "running": 1, "backing_off": 1, "cleaning": 0, "stuck": 0
                },
                "uptime_seconds": 3_725, "jobs_succeeded": 140, "jobs_failed": 3, "job_retries": 4,
                "stuck_attempts": 0
            }]
        }))
        .unwrap()
    }

    #[test]
    fn people_see_state_slots_and_jobs() {
        let list: JobsReport = serde_json::from_value(json!({
            "total": 30, "offset": 0, "limit": 20, "jobs": [{
                "id": "AJ_1", "kind": "room", "agent_name": "greeter", "room": "lobby", "room_sid": "RM_1",
                "participant": null, "dispatch_id": "AD_1", "request_id": null, "state": "backing_off",
                "age_seconds": 61.7, "attempts": 2, "last_error": "no\u{1b}[31m model"
            }]
        }))
        .unwrap();
        let text = show(&summary(), &list);
        for expected in [
            "greeter  agent-worker 1.2.3\n",
            "state   not ready: draining\n",
            "worker  AW_1, up 1h 2m\n",
            "slots   2 of 4 in use: 1 running, 1 backing off\n",
            "load    0.50\n",
            "ended   140 succeeded, 3 failed, 4 retries\n",
            "\n30 jobs:\n",
            "… and 29 more: `status --json`",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        let job = text.lines().find(|line| line.contains("AJ_1")).unwrap();
        let columns: Vec<&str> = job.split_whitespace().collect();
        assert_eq!(columns[..6], ["AJ_1", "lobby", "backing_off", "1m", "1s", "2"], "{job}");
        assert!(!text.contains('\u{1b}'), "what others wrote does not control the terminal");
    }

    #[test]
    fn times_are_short() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (90_000, "1d 1h")]
        {
            assert_eq!(age(seconds), expected);
        }
    }
}
