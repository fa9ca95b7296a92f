//! One attempt: check the job, join the room, call the handler, say how it ended. Exactly one end is told,
//! whatever happens to the task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{AttemptEnd, Input, JobError, JobErrorKind, JobId, JobResult};
use agent_rtc::JoinError;

use crate::agent::AnyAgent;
use crate::job::attempt::AttemptLinks;
use crate::job::attempt_room::AttemptRoom;
use crate::job::context::JobContext;
use crate::job::join_options::JoinOptions;
use crate::job::panics::caught;
use crate::job::spec::AttemptSpec;
use crate::job::task_count::Counted;
use crate::job::temporary::{classified, join_failure};
use crate::worker::redact;

/// What an attempt is made with in the worker's own process. Dropping it ends the attempt, and reports that.
pub(crate) struct Attempt {
    agent: Arc<dyn AnyAgent>,
    links: Arc<AttemptLinks>,
    /// When the job was assigned.
    assigned: Instant,
    texts: Arc<ErrorTexts>,
    end: EndTeller,
    _counted: Counted,
}

/// The text of the last error of a job: as others see it, and as it was. The same, unless it was redacted.
#[derive(Default)]
pub(crate) struct ErrorTexts(Mutex<Option<(String, String)>>);

impl ErrorTexts {
    /// The text as others may see it.
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

    /// What the server was told, with the original in it.
    pub(super) fn restore(&self, told: &str) -> String {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((shown, original)) if !shown.is_empty() => told.replacen(shown, original, 1),
            _ => told.to_owned(),
        }
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
        let (room, tell) = (Arc::clone(&links.room), links.tell.clone());
        let end = EndTeller { job, room, tell, end: Some(AttemptEnd::Aborted) };
        let _counted = links.parts.tasks.counted();
        Self { agent, links: Arc::new(links), assigned, texts, end, _counted }
    }

    /// Makes the attempt.
    pub(crate) fn run(self, spec: AttemptSpec) -> impl Future<Output = ()> + Send + 'static {
        let scope = Arc::clone(&self.links.scope);
        scope.redaction().scope(self.call(spec)).instrument(scope.span().clone())
    }

    async fn call(self, spec: AttemptSpec) {
        // The end is told when all after it is gone.
        let Self { _counted, mut end, agent, links, assigned, texts } = self;
        let AttemptLinks { parts, room, cancel, checkpoints, tell, .. } = &*links;
        let (job, number) = (Arc::clone(&spec.job), spec.number);
        let checked = catch_unwind(AssertUnwindSafe(|| agent.check(&job)));
        if !matches!(checked, Ok(Ok(()))) {
            return end.tell(end_of(&*agent, checked, &texts));
        }
        if let Some(connection) = room.connection() {
            // Joined by an earlier attempt.
            if !connection.is_connected() {
                return end.tell(AttemptEnd::room_left());
            }
            room.begin(connection);
        } else if parts.settings.rooms.join_first {
            let joined = tokio::select! {
                biased;
                joined = room.get_or_join(JoinOptions::new()) => joined,
                // The handler was never called: that is no success, whatever the reason.
                _ = cancel.wait() => return end.tell(AttemptEnd::Aborted),
            };
            if let Err(error) = joined {
                // That is what is to be read first, and has nothing to do with the room.
                let begin = if error.is_out_of_descriptors() { "" } else { "the room could not be joined: " };
                let error = classify_join(error);
                return end.tell(failed(&error, format!("{begin}{error}")));
            }
        }
        let _ = tell.send(Input::HandlerStarted { job: job.id.clone() });
        // The driver goes first: woken last, it is bound to this thread, which a handler with blocking code
        // may not give back.
        tokio::task::yield_now().await;
        if number == 1 {
            parts.meter.launched(assigned.elapsed());
        }
        let (ctx, failed) = JobContext::new(spec, Arc::clone(&links));
        let handler = AssertUnwindSafe(async { agent.run(ctx).await }).catch_unwind();
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
        // Before the end is told: whoever goes on with the job may begin then.
        if let Some(checkpoints) = checkpoints {
            checkpoints.handler_ended(&how).await;
        }
        end.tell(how);
    }
}

/// What became of the user's code.
fn end_of(agent: &dyn AnyAgent, result: std::thread::Result<JobResult>, texts: &ErrorTexts) -> AttemptEnd {
    let classified = result
        .and_then(|result| catch_unwind(AssertUnwindSafe(|| result.map_err(|error| agent.classify(error)))));
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

/// Tells the machine how the attempt ended: once, and also when the task is dropped.
struct EndTeller {
    job: JobId,
    room: Arc<AttemptRoom>,
    tell: UnboundedSender<Input>,
    end: Option<AttemptEnd>,
}

impl EndTeller {
    fn tell(&mut self, end: AttemptEnd) {
        if self.end.take().is_some() {
            let room_gone = self.room.connection().is_some_and(|connection| !connection.is_connected());
            let job = self.job.clone();
            let _ = self.tell.send(Input::AttemptEnded { job, end, room_gone });
        }
    }
}

impl Drop for EndTeller {
    fn drop(&mut self) {
        if let Some(end) = self.end.clone() {
            self.tell(end);
        }
    }
}
