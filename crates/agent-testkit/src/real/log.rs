//! The server's log, followed and parsed: the only public record of how a job ended.
//!
//! Each line is a JSON object with `msg`. These are parsed (format of 1.13.5; the tests contain real lines):
//! - `"job ended"`: `jobID`, `status` (`JS_SUCCESS` or `JS_FAILED`), `error`, `workerID`, `agentName`,
//!   `jobType`
//! - `"assigned job to worker"`: `jobID`, `room`, `roomID`, `workerID`, `agentName`, `jobType`

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;

/// Maximum number of kept lines, some 100 MB; the oldest are dropped.
const KEPT_LINES: usize = 200_000;

/// The end of a job as the server logs it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobEnd {
    /// The job.
    pub job_id: String,
    /// Success or failure.
    pub status: JobEndStatus,
    /// The error of a failed job.
    pub error: String,
    /// The worker that ran it.
    pub worker_id: String,
    /// The agent's name; empty for agents without one.
    pub agent_name: String,
}

/// The status of an ended job, in the server's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobEndStatus {
    /// `JS_SUCCESS`
    Success,
    /// `JS_FAILED`
    Failed,
    /// A status that this version does not know.
    Other(String),
}

/// An assignment of a job to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assigned {
    /// The job.
    pub job_id: String,
    /// The name of its room.
    pub room: String,
    /// The worker.
    pub worker_id: String,
    /// The agent's name; empty for agents without one.
    pub agent_name: String,
}

/// An expected line did not appear in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not appear in the server's log within {within:?}; it ends with:\n{tail}")]
#[non_exhaustive]
pub struct LogTimeout {
    /// The expected line.
    pub what: String,
    /// The timeout.
    pub within: Duration,
    /// The last lines of the log.
    pub tail: String,
}

/// The log of a [`RealServer`](super::RealServer), from its first start on. Clones read the same log.
#[derive(Clone, Debug)]
pub struct ServerLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts the lines; waiters check again when it changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Box<str>>,
    /// Number of dropped lines.
    dropped: usize,
    ends: Vec<JobEnd>,
    assigned: Vec<Assigned>,
}

/// The fields of a line that are used.
#[derive(Deserialize)]
struct Line {
    msg: String,
    #[serde(rename = "jobID", default)]
    job_id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    room: String,
    #[serde(rename = "workerID", default)]
    worker_id: String,
    #[serde(rename = "agentName", default)]
    agent_name: String,
}

impl ServerLog {
    pub(super) fn new() -> Self {
        let shared = Shared { state: Mutex::default(), changed: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Appends the next line.
    pub(super) fn push(&self, line: &str) {
        {
            let mut state = self.state();
            // Cheaper than parsing each line as JSON: the server writes thousands of irrelevant ones.
            if line.contains(r#""msg":"job ended""#) {
                state.ends.extend(parse(line).map(JobEnd::from));
            } else if line.contains(r#""msg":"assigned job to worker""#) {
                state.assigned.extend(parse(line).map(Assigned::from));
            }
            if state.lines.len() == KEPT_LINES {
                state.lines.pop_front();
                state.dropped += 1;
            }
            state.lines.push_back(line.into());
        }
        self.shared.changed.send_modify(|count| *count += 1);
    }

    /// Waits for the end of this job, and returns it.
    ///
    /// # Errors
    /// [`LogTimeout`] if the server does not log it within the time.
    pub async fn outcome(&self, job_id: &str, within: Duration) -> Result<JobEnd, LogTimeout> {
        let find = |state: &State| state.ends.iter().find(|end| end.job_id == job_id).cloned();
        self.wait(&format!("the end of job {job_id}"), within, find).await
    }

    /// The first end of each ended job, by job id.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<String, JobEnd> {
        let mut outcomes = BTreeMap::new();
        for end in &self.state().ends {
            outcomes.entry(end.job_id.clone()).or_insert_with(|| end.clone());
        }
        outcomes
    }

    /// Waits until this many different jobs have ended, and returns them.
    ///
    /// # Errors
    /// [`LogTimeout`] if fewer have ended after the time.
    pub async fn wait_for_outcomes(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<BTreeMap<String, JobEnd>, LogTimeout> {
        // The number of lines is a cheap bound for the number of jobs.
        let enough =
            |state: &State| (state.ends.len() >= count && distinct(&state.ends) >= count).then_some(());
        self.wait(&format!("the end of {count} jobs"), within, enough).await?;
        Ok(self.outcomes())
    }

    /// Every logged end, in order; a job that occurs twice ended twice.
    #[must_use]
    pub fn ends(&self) -> Vec<JobEnd> {
        self.state().ends.clone()
    }

    /// Every assignment of a job to a worker, in order.
    #[must_use]
    pub fn assignments(&self) -> Vec<Assigned> {
        self.state().assigned.clone()
    }

    /// Waits for the first assignment of a job in this room, and returns it.
    ///
    /// # Errors
    /// [`LogTimeout`] if no job of the room was assigned within the time.
    pub async fn assigned_in(&self, room: &str, within: Duration) -> Result<Assigned, LogTimeout> {
        let find = |state: &State| state.assigned.iter().find(|assigned| assigned.room == room).cloned();
        self.wait(&format!("an assignment in room {room}"), within, find).await
    }

    /// Number of lines that contain this text, such as `received job update for unknown job` or `agent worker
    /// left the room`.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.state().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// The lines that contain this text.
    #[must_use]
    pub fn lines_with(&self, text: &str) -> Vec<String> {
        self.state().lines.iter().filter(|line| line.contains(text)).map(|line| line.to_string()).collect()
    }

    /// Waits for the first line, from the start of the log on, that the predicate accepts.
    ///
    /// # Errors
    /// [`LogTimeout`] if there is none within the time.
    pub async fn wait_for_line(
        &self,
        mut predicate: impl FnMut(&str) -> bool,
        within: Duration,
    ) -> Result<String, LogTimeout> {
        let mut next = 0;
        let find = |state: &State| {
            let skip = usize::saturating_sub(next, state.dropped);
            next = state.dropped + state.lines.len();
            state.lines.iter().skip(skip).find(|line| predicate(line)).map(|line| line.to_string())
        };
        self.wait("a line", within, find).await
    }

    /// The last lines, at most this many.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let state = self.state();
        let skip = state.lines.len().saturating_sub(lines);
        state.lines.iter().skip(skip).map(|line| line.to_string()).collect::<Vec<_>>().join("\n")
    }

    async fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        mut find: impl FnMut(&State) -> Option<T>,
    ) -> Result<T, LogTimeout> {
        let mut changed = self.shared.changed.subscribe();
        let found = tokio::time::timeout(within, async {
            loop {
                // Before the check, so that a line that arrives during it wakes us.
                changed.mark_unchanged();
                if let Some(found) = find(&self.state()) {
                    return found;
                }
                if changed.changed().await.is_err() {
                    // The sender is in `self`, so it cannot be gone.
                    std::future::pending::<()>().await;
                }
            }
        });
        found.await.map_err(|_| LogTimeout { what: what.to_owned(), within, tail: self.tail(5) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn distinct(ends: &[JobEnd]) -> usize {
    ends.iter().map(|end| &end.job_id).collect::<std::collections::BTreeSet<_>>().len()
}

fn parse(line: &str) -> Option<Line> {
    serde_json::from_str::<Line>(line).ok()
}

impl From<Line> for JobEnd {
    fn from(line: Line) -> Self {
        debug_assert_eq!(line.msg, "job ended");
        let status = match line.status.as_str() {
            "JS_SUCCESS" => JobEndStatus::Success,
            "JS_FAILED" => JobEndStatus::Failed,
            _ => JobEndStatus::Other(line.status),
        };
        Self {
            job_id: line.job_id,
            status,
            error: line.error,
            worker_id: line.worker_id,
            agent_name: line.agent_name,
        }
    }
}

impl From<Line> for Assigned {
    fn from(line: Line) -> Self {
        Self { job_id: line.job_id, room: line.room, worker_id: line.worker_id, agent_name: line.agent_name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Lines that livekit-server 1.13.5 wrote.
    const ASSIGNED: &str = r#"{"level":"info","ts":1795485847.7039232,"logger":"livekit.agents","caller":"service/agentservice.go:412","msg":"assigned job to worker","jobID":"AJ_3QNRNv3rGeRn","namespace":"","agentName":"x","jobType":"JT_ROOM","room":"r1","roomID":"RM_YyY3gqqwf5ck","workerID":"AW_xbky3NHkfsSt","apiKey":"devkey"}"#;
    const FAILED: &str = r#"{"level":"info","ts":1795485848.0049107,"logger":"livekit.agents","caller":"agent/worker.go:549","msg":"job ended","workerID":"AW_xbky3NHkfsSt","agentName":"x","deployment":"","agentID":"","version":"1","jobType":"JT_ROOM","jobID":"AJ_3QNRNv3rGeRn","status":"JS_FAILED","error":"boom \"quoted\" \n line"}"#;
    const SUCCESS: &str = r#"{"level":"info","ts":1795485846.9964318,"logger":"livekit.agents","caller":"agent/worker.go:549","msg":"job ended","workerID":"AW_xbky3NHkfsSt","agentName":"x","deployment":"","agentID":"","version":"1","jobType":"JT_ROOM","jobID":"AJ_uDxvyYDVW7WQ","status":"JS_SUCCESS","error":""}"#;
    const UNKNOWN: &str = r#"{"level":"debug","ts":1795485846.9969127,"logger":"livekit.agents","caller":"agent/worker.go:520","msg":"received job update for unknown job","workerID":"AW_xbky3NHkfsSt","agentName":"x","deployment":"","agentID":"","version":"1","jobType":"JT_ROOM","jobID":"AJ_uDxvyYDVW7WQ"}"#;

    const SOON: Duration = Duration::from_secs(5);

    fn log(lines: &[&str]) -> ServerLog {
        let log = ServerLog::new();
        lines.iter().for_each(|line| log.push(line));
        log
    }

    #[tokio::test]
    async fn ends_and_assignments_are_read() {
        let log = log(&[
            ASSIGNED,
            FAILED,
            SUCCESS,
            UNKNOWN,
            SUCCESS,
            "no JSON",
            r#"{"msg":"job ended","jobID":7}"#,
        ]);
        let failed = JobEnd {
            job_id: "AJ_3QNRNv3rGeRn".into(),
            status: JobEndStatus::Failed,
            error: "boom \"quoted\" \n line".into(),
            worker_id: "AW_xbky3NHkfsSt".into(),
            agent_name: "x".into(),
        };
        assert_eq!(log.outcome("AJ_3QNRNv3rGeRn", SOON).await, Ok(failed));
        assert_eq!(log.outcome("AJ_uDxvyYDVW7WQ", SOON).await.unwrap().status, JobEndStatus::Success);
        assert_eq!(log.outcomes().len(), 2);
        assert_eq!(log.ends().len(), 3);
        let assigned = log.assigned_in("r1", SOON).await.unwrap();
        assert_eq!(assigned.job_id, "AJ_3QNRNv3rGeRn");
        assert_eq!(log.count("received job update for unknown job"), 1);
        assert_eq!(log.count("nothing of the kind"), 0);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_line() {
        let log = log(&[ASSIGNED]);
        let writer = std::thread::spawn({
            let log = log.clone();
            move || {
                log.push(UNKNOWN);
                log.push(SUCCESS);
            }
        });
        assert_eq!(log.outcome("AJ_uDxvyYDVW7WQ", SOON).await.unwrap().agent_name, "x");
        assert_eq!(log.wait_for_line(|line| line.contains("unknown job"), SOON).await.unwrap(), UNKNOWN);
        assert_eq!(log.wait_for_outcomes(1, SOON).await.unwrap().len(), 1);
        writer.join().unwrap();
    }

    #[tokio::test]
    async fn a_missing_line_is_reported_with_the_end_of_the_log() {
        let log = log(&["one", "two", SUCCESS, SUCCESS]);
        let error = log.outcome("AJ_x", Duration::from_millis(10)).await.unwrap_err();
        assert!(error.to_string().contains("the end of job AJ_x did not appear"), "{error}");
        assert!(error.tail.starts_with("one\ntwo\n"), "{error}");
        assert!(
            log.wait_for_outcomes(2, Duration::from_millis(10)).await.is_err(),
            "one job that ended twice"
        );
        assert!(log.wait_for_line(|line| line == "three", Duration::from_millis(10)).await.is_err());
    }

    #[test]
    fn the_log_is_bounded() {
        let log = ServerLog::new();
        for number in 0..KEPT_LINES + 10 {
            log.push(&number.to_string());
        }
        assert_eq!(log.state().lines.len(), KEPT_LINES);
        assert_eq!(log.state().dropped, 10);
    }
}
