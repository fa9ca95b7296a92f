//! One attempt: join the room, call the handler, say how it ended. Exactly one end is told, whatever happens to the task.

use crate::agent::AnyAgent;
use crate::context::{CancelSignal, JobContext};
use crate::room::{DisconnectReason, JoinRequest, Room, RoomConnector};
use crate::secret::Secret;
use agent_core::{AttemptEnd, CancelReason, Input, Job, JobErrorKind, JobId};
use futures_util::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, SetOnce, watch};
use tokio::task::AbortHandle;
use tracing::Instrument;

/// What an attempt needs besides its job.
pub(super) struct AttemptSetup {
    pub(super) agent: Arc<dyn AnyAgent>,
    pub(super) connector: Arc<dyn RoomConnector>,
    pub(super) join: bool,
    pub(super) join_timeout: Duration,
    pub(super) reconnect_timeout: Duration,
    pub(super) stay: bool,
    pub(super) url: String,
    pub(super) token: Secret,
    pub(super) number: u32,
    pub(super) tell: UnboundedSender<Input>,
    /// Whether the server knows the worker.
    pub(super) worker_known: watch::Receiver<bool>,
}

/// Starts the attempt's task.
pub(super) fn spawn(job: Arc<Job>, setup: AttemptSetup) -> (CancelSignal, Arc<SetOnce<Room>>, AbortHandle) {
    let cancel = CancelSignal::default();
    let room = Arc::new(SetOnce::new());
    let span = tracing::info_span!(
        "job",
        job_id = %job.id,
        room = %job.room.name,
        agent_name = %job.agent_name,
        attempt = setup.number,
    );
    let task = run(job, setup, cancel.clone(), Arc::clone(&room)).instrument(span);
    let abort = tokio::spawn(task).abort_handle();
    (cancel, room, abort)
}

async fn run(job: Arc<Job>, setup: AttemptSetup, cancel: CancelSignal, room: Arc<SetOnce<Room>>) {
    let mut end = EndTeller { job: job.id.clone(), tell: setup.tell.clone(), end: Some(AttemptEnd::Aborted) };
    let mut request = JoinRequest::new(setup.url, setup.token);
    request.timeout = setup.join_timeout;
    request.reconnect_timeout = setup.reconnect_timeout;
    request.worker_known = Some(setup.worker_known);
    let join = crate::context::Join {
        connector: setup.connector,
        request,
        room: Arc::clone(&room),
        joining: Mutex::new(()),
    };
    if setup.join {
        let joined = tokio::select! {
            biased;
            joined = join.room() => joined,
            // The handler was never called: that is no success, whatever the reason.
            _ = cancel.wait() => return end.tell(AttemptEnd::Aborted),
        };
        if let Err(error) = joined {
            return end.tell(AttemptEnd::Error(format!("the room could not be joined: {error}")));
        }
    }
    let _ = setup.tell.send(Input::HandlerStarted { job: job.id.clone() });
    let ctx = JobContext::new(Arc::clone(&job), join, setup.number, cancel, setup.tell.clone());
    let handler = AssertUnwindSafe(async { setup.agent.run(ctx).await }).catch_unwind();
    let watch = watch_room(&job.id, &room, setup.stay, &setup.tell);
    tokio::pin!(watch);
    let result = tokio::select! {
        result = handler => result,
        never = &mut watch => match never {},
    };
    end.tell(match result {
        Ok(Ok(())) => AttemptEnd::Ok,
        Ok(Err(error)) if *error.kind() == JobErrorKind::Cancelled => AttemptEnd::Cancelled,
        Ok(Err(error)) => AttemptEnd::Error(error.to_string()),
        Err(panic) => AttemptEnd::Panicked(panic_message(panic.as_ref())),
    });
}

/// Turns the end of the room into a cancellation; the room's own events decide that a room is over.
async fn watch_room(
    job: &JobId,
    room: &SetOnce<Room>,
    stay: bool,
    tell: &UnboundedSender<Input>,
) -> std::convert::Infallible {
    let room = room.wait().await;
    let closed = tokio::select! {
        closed = room.closed() => closed,
        // A job belongs to its room: for another one of the same name the server makes another job.
        () = room.replaced(), if !stay => DisconnectReason::StateMismatch,
    };
    let reason = match closed {
        // The handler left by itself; it knows.
        DisconnectReason::ClientInitiated => None,
        DisconnectReason::DuplicateIdentity => Some(CancelReason::DuplicateIdentity),
        DisconnectReason::Removed => Some(CancelReason::Kicked),
        DisconnectReason::RoomDeleted | DisconnectReason::RoomClosed => Some(CancelReason::RoomClosed),
        _ => Some(CancelReason::RoomGone),
    };
    if let Some(reason) = reason {
        let _ = tell.send(Input::CancelRequested { job: job.clone(), reason });
    }
    std::future::pending().await
}

/// Tells the machine how the attempt ended: once, and also when the task is dropped.
struct EndTeller {
    job: JobId,
    tell: UnboundedSender<Input>,
    end: Option<AttemptEnd>,
}

impl EndTeller {
    fn tell(&mut self, end: AttemptEnd) {
        if self.end.take().is_some() {
            let _ = self.tell.send(Input::AttemptEnded { job: self.job.clone(), end });
        }
    }
}

impl Drop for EndTeller {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            self.end = Some(end.clone());
            self.tell(end);
        }
    }
}

/// The text of a panic.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
