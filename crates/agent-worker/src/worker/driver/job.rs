//! What the driver holds of one assignment: its room, the attempt that goes on, and the cleanup after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{Config, Input, callback_time};
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
use crate::job::spec::AttemptSpec;
use crate::worker::parts::Parts;

pub(super) struct JobHandle {
    parts: Arc<Parts>,
    /// The attempt that goes on, or was the last one.
    pub(super) spec: AttemptSpec,
    /// The connection to the room is one for all attempts.
    join: Arc<RoomSlot>,
    /// The handle is one attempt's own.
    pub(super) room: Arc<AttemptRoom>,
    /// One for all attempts, too: there is no attempt after the word to stop.
    pub(super) cancel: CancelSignal,
    /// Of the attempt that goes on, or was the last one.
    pub(super) scope: Arc<Scope>,
    /// Of the same attempt: the next one takes over what it has opened.
    pub(super) checkpoints: Option<Arc<Checkpoints>>,
    pub(super) assigned: Instant,
    pub(super) attempt: Option<RunningAttempt>,
    /// The attempt did not return by itself.
    pub(super) aborted: bool,
    pub(super) texts: Arc<ErrorTexts>,
    cleaning: Option<Cleaning>,
}

/// A cleanup that goes on: dropping the other end ends it.
struct Cleaning {
    done: oneshot::Receiver<()>,
    /// When it is not waited for any more.
    latest: Instant,
}

/// A cleanup is dropped when its time is over; one that is still there a second later cannot be.
const SLACK: Duration = Duration::from_secs(1);

impl JobHandle {
    pub(super) fn new(
        spec: AttemptSpec,
        parts: Arc<Parts>,
        request: Result<JoinRequest, AssignedUrlError>,
        tell: UnboundedSender<Input>,
    ) -> Self {
        let job = &spec.job;
        let agent = &parts.settings.rules.agent_name;
        let on_dropped = losses::reporter(agent, job, Arc::clone(&parts.meter));
        let join = Arc::new(RoomSlot::new(Arc::clone(job), Arc::clone(&parts), request, on_dropped, tell));
        let cancel = CancelSignal::default();
        Self {
            scope: scope(&spec, &parts),
            checkpoints: Checkpoints::new(Arc::clone(&parts), Arc::clone(job), cancel.clone()),
            parts,
            spec,
            room: Arc::new(AttemptRoom::new(Arc::clone(&join))),
            join,
            cancel,
            assigned: Instant::now(),
            attempt: None,
            aborted: false,
            texts: Arc::default(),
            cleaning: None,
        }
    }

    /// Makes it ready for another attempt.
    pub(super) fn renew(&mut self, attempt: u32) {
        self.spec.number = attempt;
        self.scope = scope(&self.spec, &self.parts);
        self.checkpoints = self.checkpoints.as_ref().map(|checkpoints| checkpoints.for_next_attempt());
        self.room = Arc::new(AttemptRoom::new(Arc::clone(&self.join)));
    }

    /// Notes that a cleanup begins; the sender is to be dropped when it is over.
    pub(super) fn begin_cleanup(&mut self, within: Duration) -> oneshot::Sender<()> {
        let (begun, done) = oneshot::channel();
        self.cleaning = Some(Cleaning { done, latest: Instant::now() + within + SLACK });
        begun
    }

    /// Lets go of everything, without a cleanup.
    pub(super) fn abandon(&self) {
        self.attempt.iter().for_each(RunningAttempt::abort);
        self.scope.cancel_tasks();
        self.scope.drop_callbacks();
    }

    /// What leaves the room, if it was joined, once its cleanup is over.
    pub(super) fn into_leaving(mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        if self.join.connection.get().is_none() && !self.join.session.is_held() {
            return None;
        }
        let (cleaning, join) = (self.cleaning.take(), Arc::clone(&self.join));
        let leaving = async move {
            // When a worker stops at once, a cleanup may still need the room.
            if let Some(Cleaning { done, latest }) = cleaning {
                // Nothing is ever sent: the end of the cleanup drops the other end.
                let _ = tokio::time::timeout_at(latest, done).await;
            }
            match join.connection.get() {
                Some(connection) => connection.leave().await,
                None => join.session.leave().await,
            }
        };
        Some(leaving.instrument(self.scope.span().clone()))
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        self.join.stop_watching();
    }
}

fn scope(spec: &AttemptSpec, parts: &Parts) -> Arc<Scope> {
    let Config { agent_name, cleanup_timeout, cleanup_callback_timeout, .. } = &parts.settings.rules;
    let late = callback_time(*cleanup_callback_timeout, *cleanup_timeout, 1);
    let span = log::job_span(agent_name, &spec.job, Some(spec.number));
    Scope::new(span, late, parts.tasks.clone(), parts.settings.hooks.redaction.clone())
}
