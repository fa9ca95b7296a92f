//! The state of a join that failed or was given up: we may be in the room, but nobody has a handle to it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{fmt, mem};

use tokio::sync::{mpsc, oneshot};

use super::handle::Room;
use super::join_error::JoinError;

/// The receiver of a join's result.
pub(super) type Joined = oneshot::Sender<Result<Room, JoinError>>;

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
    /// No join is kept.
    #[default]
    Idle,
    Held(mpsc::Sender<HeldRequest>),
    /// No joins are kept any more.
    Left,
}

/// The request for a join that is kept.
pub(super) enum HeldRequest {
    /// Retry it, within this time.
    Retry { joined: Joined, timeout: Duration },
    /// Leave the room.
    Leave,
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
        matches!(*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Held(_))
    }

    /// Leaves the room if a join that is kept is still in it or on its way into it, and keeps no further
    /// ones. Takes at most three seconds; a leave that takes longer continues in the background.
    pub async fn leave(&self) {
        let Some(held) = self.replace(State::Left) else { return };
        let left = async {
            if held.send(HeldRequest::Leave).await.is_ok() {
                held.closed().await;
            }
        };
        if tokio::time::timeout(LEAVE_LIMIT, left).await.is_err() {
            tracing::debug!("the room of a failed or abandoned join was not left in time");
        }
    }

    pub(super) fn downgrade(&self) -> WeakSession {
        Arc::downgrade(&self.state)
    }

    /// Retries the kept join; returns `joined` if there is none.
    pub(super) async fn retry(&self, joined: Joined, timeout: Duration) -> Option<Joined> {
        let Some(held) = self.replace(State::Idle) else { return Some(joined) };
        match held.send(HeldRequest::Retry { joined, timeout }).await {
            Ok(()) => None,
            // The server has removed us meanwhile.
            Err(mpsc::error::SendError(HeldRequest::Retry { joined, .. })) => Some(joined),
            Err(mpsc::error::SendError(HeldRequest::Leave)) => None,
        }
    }

    fn replace(&self, next: State) -> Option<mpsc::Sender<HeldRequest>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Left = *state {
            return None;
        }
        match mem::replace(&mut *state, next) {
            State::Held(held) => Some(held),
            State::Idle | State::Left => None,
        }
    }
}

/// Keeps a join; `None` if its session is gone, so that it cannot be retried.
pub(super) fn keep(session: &WeakSession) -> Option<mpsc::Receiver<HeldRequest>> {
    let state = session.upgrade()?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::Left = *state {
        return None;
    }
    let (held, requests) = mpsc::channel(1);
    *state = State::Held(held);
    Some(requests)
}

impl fmt::Debug for JoinSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSession").field("held", &self.is_held()).finish()
    }
}
