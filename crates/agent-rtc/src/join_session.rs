//! The state of a join that failed or was given up: we may be in the room, but nobody has a handle to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{fmt, mem};

use tokio::sync::{mpsc, oneshot};

use super::handle::Room;
use super::join_error::JoinError;

/// The sender of a join's result.
pub(super) type Joined = oneshot::Sender<JoinResult>;
type JoinResult = Result<Room, JoinError>;

/// Timeout of [`JoinSession::leave`].
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// Keeps a join that failed after the server had admitted us, or that was given up, for a retry.
///
/// When a job's agent leaves its room, the server ends the job, even if its worker is about to retry it or to
/// report another outcome. So a join whose [request](super::JoinRequest::session) has a session does not
/// leave the room when it fails or its future is dropped: the next one with the same session continues in it,
/// and [`leave`](Self::leave), or dropping the last clone, leaves the room. Without a session such a join
/// leaves immediately.
#[derive(Clone, Default)]
pub struct JoinSession {
    state: Arc<Mutex<State>>,
}

/// A reference to the session that does not keep it.
pub(super) type WeakSession = Weak<Mutex<State>>;

#[derive(Default)]
pub(super) enum State {
    /// No join is in progress or kept.
    #[default]
    Idle,
    /// A driver joins, or keeps a join that failed or was given up; it is gone if the channel is closed.
    Driven {
        requests: mpsc::Sender<HeldRequest>,
        /// Number of calls that wait for its result.
        calls: usize,
    },
    /// Joined, but the call was given up before it received the room.
    Joined(Room),
    /// No joins are kept any more.
    Left,
}

/// The request for a join that is kept.
pub(super) enum HeldRequest {
    /// Retry it, within this time.
    Retry { joined: Joined, timeout: Duration },
    /// Leave the room. The sender is dropped when that is done.
    Leave { left: oneshot::Sender<()> },
}

/// How a call of a join begins.
pub(super) enum JoinStep {
    /// With a driver of its own, which receives these requests and sends the result here.
    Drive { held: mpsc::Receiver<HeldRequest>, joined: Joined, call: JoinCall },
    /// With the driver of an earlier call.
    Retry(JoinCall),
    /// It is joined already.
    Joined(Room),
}

impl JoinSession {
    /// A session without a join.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a join that failed or was given up is kept and waits for a request.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match &*self.lock() {
            State::Driven { requests, calls } => *calls == 0 && !requests.is_closed(),
            State::Joined(room) => room.is_connected(),
            State::Idle | State::Left => false,
        }
    }

    /// Leaves the room if a join that is kept is still in it or on its way into it, and keeps no further
    /// ones. Takes at most three seconds; a leave that takes longer continues in the background.
    pub async fn leave(&self) {
        let state = mem::replace(&mut *self.lock(), State::Left);
        let left = async {
            match state {
                State::Driven { requests, calls: 0 } => {
                    let (left, done) = oneshot::channel();
                    let _ = requests.send(HeldRequest::Leave { left }).await;
                    // Nothing is sent: the end of the driver drops the sender.
                    let _ = done.await;
                }
                State::Joined(room) => room.leave().await,
                // A join whose call still waits belongs to that call.
                State::Driven { .. } | State::Idle | State::Left => {}
            }
        };
        if tokio::time::timeout(LEAVE_LIMIT, left).await.is_err() {
            tracing::debug!("the room of a failed or abandoned join was not left in time");
        }
    }

    pub(super) fn downgrade(&self) -> WeakSession {
        Arc::downgrade(&self.state)
    }

    /// Begins a call of a join. At most one driver joins for a session at a time: two would have the same
    /// identity, and remove each other.
    pub(super) fn begin(&self) -> JoinStep {
        let mut state = self.lock();
        match &mut *state {
            State::Driven { requests, calls } if !requests.is_closed() => {
                *calls += 1;
                return JoinStep::Retry(JoinCall::new(Some(self.clone()), requests.clone()).0);
            }
            State::Joined(_) => {
                if let State::Joined(room) = mem::take(&mut *state)
                    && room.is_connected()
                {
                    return JoinStep::Joined(room);
                }
            }
            State::Driven { .. } | State::Idle | State::Left => {}
        }
        let (requests, held) = mpsc::channel(1);
        if !matches!(*state, State::Left) {
            *state = State::Driven { requests: requests.clone(), calls: 1 };
        }
        let (call, joined) = JoinCall::new(Some(self.clone()), requests);
        JoinStep::Drive { held, joined, call }
    }

    /// A call has ended: `joined` if it returned the room, and `room` if it was given up before.
    fn end_call(&self, ended: &JoinCall, room: Option<Room>) {
        let mut state = self.lock();
        if let State::Driven { requests, calls } = &mut *state
            && requests.same_channel(&ended.requests)
        {
            *calls -= 1;
            if let Some(room) = room {
                *state = State::Joined(room);
            } else if ended.joined {
                *state = State::Idle;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call of a join that waits for its result. Dropping it gives the join up: a session keeps it.
pub(super) struct JoinCall {
    session: Option<JoinSession>,
    requests: mpsc::Sender<HeldRequest>,
    outcome: oneshot::Receiver<JoinResult>,
    /// Whether the room was returned.
    joined: bool,
}

impl JoinCall {
    fn new(session: Option<JoinSession>, requests: mpsc::Sender<HeldRequest>) -> (Self, Joined) {
        let (joined, outcome) = oneshot::channel();
        (Self { session, requests, outcome, joined: false }, joined)
    }

    /// A call without a session, whose join is not kept.
    pub(super) fn unkept() -> (Self, Joined) {
        Self::new(None, mpsc::channel(1).0)
    }

    /// Waits for the result. `None`: the driver has ended without one.
    pub(super) async fn result(mut self) -> Option<JoinResult> {
        let result = (&mut self.outcome).await.ok();
        self.joined = matches!(result, Some(Ok(_)));
        result
    }

    /// Retries the kept join. `None`: the driver has ended before it read the request, as the server has
    /// removed us meanwhile.
    pub(super) async fn retry(mut self, timeout: Duration) -> Option<JoinResult> {
        let (joined, outcome) = oneshot::channel();
        self.outcome = outcome;
        self.requests.send(HeldRequest::Retry { joined, timeout }).await.ok()?;
        self.result().await
    }
}

impl Drop for JoinCall {
    fn drop(&mut self) {
        // The result may have been sent already. Nothing is sent after the close.
        self.outcome.close();
        let room = self.outcome.try_recv().ok().and_then(Result::ok);
        if let Some(session) = &self.session {
            session.end_call(self, room);
        }
    }
}

/// Keeps a room whose call was given up, if its session still keeps joins; otherwise the room is left.
pub(super) fn keep_room(session: &WeakSession, room: Room) {
    let Some(state) = session.upgrade() else { return };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::Driven { .. } = *state {
        *state = State::Joined(room);
    }
}

impl fmt::Debug for JoinSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSession").field("held", &self.is_held()).finish()
    }
}
