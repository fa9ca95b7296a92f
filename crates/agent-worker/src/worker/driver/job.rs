//! The driver's state of one assignment: its room, the current attempt, and the cleanup after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use agent_core::{AbortCause, Config, Input, callback_time};
use agent_net::AssignedUrlError;
use agent_rtc::JoinRequest;

use super::attempt::ErrorTexts;
use super::executor::RunningAttempt;
use super::{log, losses};
use crate::job::attempt_room::AttemptRoom;
use crate::job::cancel::CancelSignal;
use crate::job::checkpoint::Checkpoints;
use crate::job::room_slot::RoomSlot;
use crate::job::scope::Scope;
use crate::job::sleep::sleep_until;
use crate::job::spec::AttemptSpec;
use crate::telemetry::{AttemptTrace, TraceSpan};
use crate::worker::parts::Parts;

pub(super) struct JobHandle {
    parts: Arc<Parts>,
    /// The current or last attempt.
    pub(super) spec: AttemptSpec,
    /// The connection to the room, shared by all attempts.
    slot: Arc<RoomSlot>,
    /// The current attempt's handle.
    pub(super) room: Arc<AttemptRoom>,
    /// Shared by all attempts: a cancelled job is never retried.
    pub(super) cancel: CancelSignal,
    /// Of the current or last attempt.
    pub(super) scope: Arc<Scope>,
    /// Of the same attempt; the next one continues with its store and job.
    pub(super) checkpoints: Option<Arc<Checkpoints>>,
    pub(super) assigned: Instant,
    pub(super) attempt: Option<RunningAttempt>,
    /// Why the handler was aborted, if it was.
    pub(super) aborted: Option<AbortCause>,
    pub(super) texts: Arc<ErrorTexts>,
    cleaning: Option<Cleaning>,
}

/// A running cleanup: it ends when the other end is dropped.
struct Cleaning {
    done: oneshot::Receiver<()>,
    /// Until when to wait for it; `None`: until its end.
    latest: Option<Instant>,
}

/// A cleanup is dropped at its time limit; if it still runs a second later, it cannot be dropped.
const SLACK: Duration = Duration::from_secs(1);

impl JobHandle {
    pub(super) fn new(
        spec: AttemptSpec,
        parts: Arc<Parts>,
        request: Result<JoinRequest, AssignedUrlError>,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let job = &spec.job;
        let agent = &parts.settings.rules.agent_name;
        let on_dropped = losses::reporter(agent, job, Arc::clone(&parts.meter));
        let slot = Arc::new(RoomSlot::new(Arc::clone(job), Arc::clone(&parts), request, on_dropped, inputs));
        let cancel = CancelSignal::default();
        Self {
            scope: scope(&spec, &parts),
            checkpoints: Checkpoints::new(Arc::clone(&parts), Arc::clone(job), cancel.clone()),
            parts,
            spec,
            room: Arc::new(AttemptRoom::new(Arc::clone(&slot))),
            slot,
            cancel,
            assigned: Instant::now(),
            attempt: None,
            aborted: None,
            texts: Arc::default(),
            cleaning: None,
        }
    }

    /// Prepares the next attempt.
    pub(super) fn prepare_attempt(&mut self, attempt: u32) {
        self.spec.number = attempt;
        self.scope = scope(&self.spec, &self.parts);
        self.checkpoints = self.checkpoints.as_ref().map(|checkpoints| checkpoints.for_next_attempt());
        self.room = Arc::new(AttemptRoom::new(Arc::clone(&self.slot)));
    }

    /// Aborts the attempt.
    pub(super) fn abort(&mut self, cause: AbortCause) {
        // A handler that has returned is not aborted: only the wait for its checkpoint is.
        if !self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.has_handler_ended()) {
            self.aborted = Some(cause);
        }
        self.attempt.iter().for_each(RunningAttempt::abort);
    }

    /// Records the start of a cleanup; drop the sender at its end.
    pub(super) fn begin_cleanup(&mut self, within: Duration) -> oneshot::Sender<()> {
        let (begun, done) = oneshot::channel();
        self.cleaning =
            Some(Cleaning { done, latest: Instant::now().checked_add(within.saturating_add(SLACK)) });
        begun
    }

    /// The span of the log for a cleanup, as a part of its span in the trace.
    pub(super) fn cleanup_span(&self, trace: Option<&TraceSpan>) -> Span {
        let Some(trace) = trace else { return self.scope.span().clone() };
        let span = log_span(&self.spec, &self.parts);
        trace.contains(&span);
        span
    }

    /// Aborts everything, without a cleanup.
    pub(super) fn abandon(&self) {
        self.attempt.iter().for_each(RunningAttempt::abort);
        self.scope.cancel_tasks();
        self.scope.drop_callbacks();
    }

    /// A future that leaves the room, if it was joined, after the cleanup.
    pub(super) fn into_leaving(mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        if !self.slot.end_before_leaving() {
            return None;
        }
        let (cleaning, slot) = (self.cleaning.take(), Arc::clone(&self.slot));
        let leaving = async move {
            // When a worker stops at once, a cleanup may still need the room.
            if let Some(Cleaning { done, latest }) = cleaning {
                // Nothing is ever sent: the end of the cleanup drops the other end.
                tokio::select! {
                    _ = done => {}
                    () = sleep_until(latest) => {}
                }
            }
            slot.leave().await;
        };
        Some(leaving.instrument(self.scope.span().clone()))
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        self.slot.abandon();
    }
}

fn scope(spec: &AttemptSpec, parts: &Parts) -> Arc<Scope> {
    let Config { agent_name, cleanup_timeout, cleanup_callback_timeout, .. } = &parts.settings.rules;
    let late = callback_time(*cleanup_callback_timeout, *cleanup_timeout, 1);
    let span = log_span(spec, parts);
    let trace = AttemptTrace::begin(&spec.job, spec.number, agent_name, &parts.worker_id(), &span);
    Scope::new(span, trace, late, parts.tasks.clone(), parts.settings.hooks.redaction.clone())
}

fn log_span(spec: &AttemptSpec, parts: &Parts) -> Span {
    log::job_span(&parts.settings.rules.agent_name, &spec.job, Some(spec.number))
}
