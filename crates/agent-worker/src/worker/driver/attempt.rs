//! One attempt: checks the job, joins the room, calls the handler, and reports its end. The end is reported
//! exactly once, whatever happens to the task.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{AttemptEnd, Input, JobError, JobErrorKind, JobId, JobResult};
use agent_rtc::JoinError;

use crate::agent::AnyAgent;
use crate::job::attempt::AttemptLinks;
use crate::job::contain::{contain, contain_sync};
use crate::job::context::JobContext;
use crate::job::join_options::JoinOptions;
use crate::job::panics::caught;
use crate::job::spec::AttemptSpec;
use crate::job::temporary::{classified, join_failure};
use crate::job::user_tasks::Counted;
use crate::worker::redact;

/// The in-process half of an attempt that has not started. Dropping it ends the attempt, and reports that.
pub(crate) struct Attempt {
    agent: Arc<dyn AnyAgent>,
    links: Arc<AttemptLinks>,
    /// When the job was assigned.
    assigned: Instant,
    texts: Arc<ErrorTexts>,
    end: AttemptEndGuard,
    _counted: Counted,
}

/// How much of a redacted text is looked for in what was reported.
const COMPARED: usize = 256;

/// The redacted and the original text of a job's last error; empty if nothing was redacted.
#[derive(Default)]
pub(crate) struct ErrorTexts(Mutex<Option<(String, String)>>);

impl ErrorTexts {
    /// Returns the redacted text, and keeps the original.
    fn redact(&self, original: String) -> String {
        let shown = redact::shown(original.clone());
        self.keep(&shown, original);
        shown
    }

    fn keep(&self, shown: &str, original: String) {
        if shown != original {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((shown.to_owned(), original));
        }
    }

    /// The reported text with the original restored.
    pub(super) fn restore(&self, reported: &str) -> String {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((shown, original)) = &*texts else { return reported.to_owned() };
        if shown.is_empty() {
            let is_it = ["", "panicked: "].contains(&reported);
            return format!("{reported}{}", if is_it { original } else { "" });
        }
        // A long text is reported shortened.
        let begin = &shown[..shown.floor_char_boundary(COMPARED)];
        let Some((before, _)) = reported.split_once(begin) else { return reported.to_owned() };
        let after = reported[before.len()..].strip_prefix(&**shown).unwrap_or_default();
        format!("{before}{original}{after}")
    }
}

impl Attempt {
    pub(super) fn new(
        agent: Arc<dyn AnyAgent>,
        job: JobId,
        links: AttemptLinks,
        assigned: Instant,
        texts: Arc<ErrorTexts>,
    ) -> Self {
        let links = Arc::new(links);
        let end = AttemptEndGuard { job, links: Arc::clone(&links), end: Some(AttemptEnd::Aborted) };
        let _counted = links.parts.tasks.counted();
        Self { agent, links, assigned, texts, end, _counted }
    }

    /// Runs the attempt.
    pub(crate) fn run(self, spec: AttemptSpec) -> impl Future<Output = ()> + Send + 'static {
        let scope = Arc::clone(&self.links.scope);
        let attempt = scope.tasks().watched("the handler".into(), scope.span(), self.call(spec));
        scope.redaction().scope(attempt).instrument(scope.span().clone())
    }

    async fn call(self, spec: AttemptSpec) {
        // Dropped in reverse order: the end is reported after everything else is gone.
        let Self { _counted, mut end, agent, links, assigned, texts } = self;
        let AttemptLinks { parts, room, cancel, scope, checkpoints, inputs } = &*links;
        let (job, number) = (Arc::clone(&spec.job), spec.number);
        let begun = Instant::now();
        if number == 1 {
            scope.trace().launched(begun - assigned);
        }
        let checked = contain_sync(|| agent.check(&job));
        if !matches!(checked, Ok(Ok(()))) {
            return end.report(end_of(&*agent, checked, &texts));
        }
        if let Some(connection) = room.connection() {
            // The room was joined by an earlier attempt.
            if !connection.is_connected() {
                return end.report(AttemptEnd::room_left());
            }
            room.begin(connection);
        } else if parts.settings.rooms.join_first {
            let joined = tokio::select! {
                biased;
                joined = room.get_or_join(JoinOptions::new()) => joined,
                // The handler was never called: that is not a success, whatever the reason.
                _ = cancel.wait() => return end.report(AttemptEnd::Aborted),
            };
            if let Err(error) = joined {
                // This error is not about the room, and should come first.
                let begin = if error.is_out_of_descriptors() { "" } else { "the room could not be joined: " };
                let error = classify_join(error);
                return end.report(failed(&error, format!("{begin}{error}")));
            }
        }
        let _ = inputs.send(Input::HandlerStarted { job: job.id.clone() });
        // Yield to the driver: it was woken last and so is queued on this thread, which a blocking handler
        // may never release.
        tokio::task::yield_now().await;
        if number == 1 {
            let now = Instant::now();
            parts.meter.launched(now - assigned);
            scope.trace().called(now - assigned, now - begun);
        }
        let (ctx, failed) = JobContext::new(spec, Arc::clone(&links));
        let handler = contain(async { Arc::clone(&agent).run(ctx).await });
        let superseded = async {
            match checkpoints {
                Some(checkpoints) => checkpoints.superseded().await,
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            biased;
            Ok(error) = failed => Ok(Err(error)),
            error = superseded => Ok(Err(error.into())),
            result = handler => result,
        };
        let how = end_of(&*agent, result, &texts);
        // The save below may take the rest of the grace: an abort then reports what the handler returned.
        end.set(how.clone());
        // Before the end is reported, as the next attempt may start then.
        if let Some(checkpoints) = checkpoints {
            checkpoints.handler_ended(&how).await;
        }
        end.report(how);
    }
}

/// Converts the result of the user's code.
fn end_of(agent: &dyn AnyAgent, result: std::thread::Result<JobResult>, texts: &ErrorTexts) -> AttemptEnd {
    let classified = result.and_then(|result| contain_sync(|| result.map_err(|error| agent.classify(error))));
    match classified {
        Ok(Ok(())) => AttemptEnd::Ok,
        Ok(Err(error)) if *error.kind() == JobErrorKind::Cancelled => AttemptEnd::Cancelled,
        Ok(Err(error)) => failed(&error, texts.redact(error.to_string())),
        Err(panic) => {
            let caught = caught(panic.as_ref());
            tracing::error!("the handler panicked: {caught}");
            texts.keep(&caught.message, caught.original);
            AttemptEnd::Panicked(caught.message)
        }
    }
}

fn failed(error: &JobError, text: impl Into<String>) -> AttemptEnd {
    AttemptEnd::Error { kind: error.kind().clone(), text: text.into() }
}

fn classify_join(error: JoinError) -> JobError {
    match join_failure(&error).retry_after() {
        Some(after) => JobError::retryable(error, after),
        None => classified(JobError::from(error)),
    }
}

/// Reports the end of the attempt to the machine: exactly once, also if the task is dropped.
struct AttemptEndGuard {
    job: JobId,
    links: Arc<AttemptLinks>,
    /// What to report if the task is dropped; `None` once reported.
    end: Option<AttemptEnd>,
}

impl AttemptEndGuard {
    /// The end to report if the task is dropped from now on.
    fn set(&mut self, end: AttemptEnd) {
        self.end = Some(end);
    }

    fn report(&mut self, end: AttemptEnd) {
        if self.end.take().is_some() {
            let AttemptLinks { room, cancel, scope, inputs, .. } = &*self.links;
            scope.trace().ended(&end, cancel.reason());
            let room_gone = room.connection().is_some_and(|connection| !connection.is_connected());
            let job = self.job.clone();
            let _ = inputs.send(Input::AttemptEnded { job, end, room_gone });
        }
    }
}

impl Drop for AttemptEndGuard {
    fn drop(&mut self) {
        if let Some(end) = self.end.clone() {
            self.report(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reported is shortened, may have words around it, and may be nothing.
    #[test]
    fn the_original_text_is_restored() {
        let restored = |shown: &str, reported: &str| {
            let texts = ErrorTexts::default();
            texts.keep(shown, "the card 4711".to_owned());
            texts.restore(reported)
        };
        assert_eq!(
            restored("the card ####", "panicked: the card #### (late)"),
            "panicked: the card 4711 (late)"
        );
        assert_eq!(restored("", ""), "the card 4711");
        assert_eq!(restored("", "panicked: "), "panicked: the card 4711");
        assert_eq!(restored("", "the job timed out"), "the job timed out", "in a later attempt");
        let long = "#".repeat(5000);
        assert_eq!(restored(&long, &format!("panicked: {}…", &long[..4000])), "panicked: the card 4711");
        assert_eq!(restored("the card ####", "the job timed out"), "the job timed out");
        assert_eq!(ErrorTexts::default().restore("no money"), "no money");
    }
}
