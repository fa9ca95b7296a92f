//! The output of an official worker: its jobs, and its own log.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;

use super::error::OfficialWorkerError;

/// Part of the log line that all of them print after the registration.
const REGISTERED: &str = "registered worker";

/// Number of log lines of a worker that are kept for errors.
const KEPT_LOG: usize = 100;

/// A job that an official worker ran.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OfficialJob {
    /// The job's id (`AJ_…`).
    pub job_id: String,
    /// The name of its room.
    pub room: String,
    /// Its metadata.
    pub metadata: String,
}

/// The output so far; written by the worker's threads, awaited by tests.
#[derive(Debug, Default)]
pub(super) struct WorkerOutput {
    state: Mutex<State>,
    /// Counts the lines; waiters check again when it changes.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) jobs: Vec<OfficialJob>,
    log: VecDeque<String>,
    pub(super) registered: usize,
    ended: bool,
}

impl WorkerOutput {
    /// Waits until `find` returns a value, or the worker has ended.
    pub(super) async fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        find: impl Fn(&State) -> Option<T>,
    ) -> Result<T, OfficialWorkerError> {
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(within, async {
            loop {
                // Before the check, so that a line that arrives during it wakes us.
                changed.mark_unchanged();
                {
                    let state = self.state();
                    if let Some(found) = find(&state) {
                        return Some(found);
                    }
                    if state.ended {
                        return None;
                    }
                }
                if changed.changed().await.is_err() {
                    return None;
                }
            }
        });
        match found.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(OfficialWorkerError::Ended { log: self.log_tail() }),
            Err(_) => {
                Err(OfficialWorkerError::Timeout { what: what.to_owned(), within, log: self.log_tail() })
            }
        }
    }

    /// Handles the next line of output, or its end.
    pub(super) fn take(&self, line: Option<&str>) {
        {
            let mut state = self.state();
            match line {
                None => state.ended = true,
                Some(line) => state.take(line),
            }
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// The last lines of the log.
    pub(super) fn log_tail(&self) -> String {
        self.state().log.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, line: &str) {
        #[derive(Deserialize)]
        struct Line {
            event: String,
            #[serde(flatten)]
            job: OfficialJob,
        }
        if let Ok(Line { event, job }) = serde_json::from_str(line)
            && event == "job"
        {
            self.jobs.push(job);
            return;
        }
        if line.contains(REGISTERED) {
            self.registered += 1;
        }
        if self.log.len() == KEPT_LOG {
            self.log.pop_front();
        }
        self.log.push_back(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_distinguished_from_the_log() {
        let mut state = State::default();
        state.take(r#"{"event": "job", "job_id": "AJ_1", "room": "r", "metadata": "m"}"#);
        state.take(r#"{"level":30,"id":"AW_1","agentName":"a","msg":"registered worker"}"#);
        state.take(r#"{"level":30,"jobId":"AJ_1","msg":"received job request"}"#);
        state.take("INFO:livekit.agents:registered worker");
        let job = OfficialJob { job_id: "AJ_1".into(), room: "r".into(), metadata: "m".into() };
        assert_eq!((state.jobs, state.registered, state.log.len()), (vec![job], 2, 3));
    }
}
