//! The handler's view of an election: a lease, or a follower.

use std::fmt;

use bytes::Bytes;

use agent_core::{CoordinationError, FencedValue, LeaseLoss, write_fenced};

use super::election::{Candidate, CandidateState};

/// The result of [`JobContext::elect`](crate::JobContext::elect).
#[derive(Debug)]
#[must_use = "dropping it releases the lease, or stops following"]
#[non_exhaustive]
pub enum Leadership {
    /// This job leads.
    Leader(Lease),
    /// Another job leads.
    Follower(Follower),
}

/// The lease of the leader. It is renewed in the background, and released on drop.
///
/// A leader can lose its lease without a fault of its own: the store becomes unreachable, or the process is
/// suspended. [`lost`](Self::lost) reports this by the local clock, before another job can lead. A process
/// may also be suspended between a check of the clock and the action that follows. So an action that two
/// leaders must never both perform uses [`write`](Self::write), or passes the [fencing
/// token](Self::fencing_token) to a system that refuses smaller ones.
///
/// ```
/// use agent_worker::{JobContext, JobResult, coordination::Leadership};
///
/// async fn coordinate(ctx: JobContext) -> JobResult {
///     match ctx.elect(&ctx.job().room.name).await? {
///         Leadership::Leader(lease) => {
///             lease.write("first of all").await?;
///             tokio::select! {
///                 _ = ctx.cancelled() => {} // the lease is released on return
///                 why = lease.lost() => return Err(format!("lost the lease: {why:?}").into()),
///             }
///         }
///         Leadership::Follower(follower) => println!("{} leads", follower.leader()),
///         other => return Err(format!("{other:?}").into()),
///     }
///     Ok(())
/// }
/// ```
pub struct Lease {
    candidate: Candidate,
    token: u64,
}

/// A candidate that does not lead. It tries to become the leader whenever there is none, until it is dropped.
pub struct Follower {
    candidate: Candidate,
}

impl Leadership {
    pub(super) fn of(candidate: Candidate) -> Self {
        let token = candidate.state.borrow().token();
        match token {
            Some(token) => Self::Leader(Lease { candidate, token }),
            None => Self::Follower(Follower { candidate }),
        }
    }

    /// Whether this job leads.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        matches!(self, Self::Leader(_))
    }

    /// The lease; waits for it if another job leads now.
    ///
    /// # Errors
    /// As [`Follower::elected`].
    pub async fn lead(self) -> Result<Lease, CoordinationError> {
        match self {
            Self::Leader(lease) => Ok(lease),
            Self::Follower(mut follower) => follower.elected().await,
        }
    }
}

impl Lease {
    /// The key of the election.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.candidate.key
    }

    /// The fencing token of this lease, larger than that of every leader before.
    #[must_use]
    pub const fn fencing_token(&self) -> u64 {
        self.token
    }

    /// Whether the lease is lost. Reads the clock, so it is correct even if no task ran for a while; on
    /// Linux, Android and Windows also if the machine was suspended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match &*self.candidate.state.borrow() {
            CandidateState::Leading { until, .. } => *until <= self.candidate.clock.now(),
            CandidateState::Asking | CandidateState::Following { .. } | CandidateState::Over { .. } => true,
        }
    }

    /// Waits until the lease is lost, and returns the reason. After the machine was suspended, this may be up
    /// to a third of the lease later than [`is_lost`](Self::is_lost).
    pub async fn lost(&self) -> LeaseLoss {
        let mut state = self.candidate.state.clone();
        let over = state.wait_for(|state| matches!(state, CandidateState::Over { .. })).await;
        match over.as_deref() {
            Ok(CandidateState::Over { led: Some((_, why)) }) => *why,
            // The task ended, and with it the renewals.
            _ => LeaseLoss::Expired,
        }
    }

    /// Writes the value of this election, which only the current leader can: the store checks the fencing
    /// token in the same step. At most [`MAX_VALUE_LEN`](crate::coordination::MAX_VALUE_LEN) bytes. One value
    /// for each key; a later write replaces it.
    ///
    /// # Errors
    /// [`CoordinationError::Stale`] if another leader was elected after this one, or the store has lost its
    /// data; the store's error if it is unavailable: the value may or may not be written then.
    pub async fn write(&self, value: impl Into<Bytes>) -> Result<(), CoordinationError> {
        write_fenced(&*self.candidate.coordinator, self.key(), self.token, value.into()).await
    }

    /// The last value written by any leader of this election.
    ///
    /// # Errors
    /// The store's error if it is unavailable.
    pub async fn read(&self) -> Result<Option<FencedValue>, CoordinationError> {
        self.candidate.coordinator.read(self.key()).await
    }

    /// Releases the lease and waits at most 1 s for the store. Dropping does the same in the background.
    pub async fn release(self) {
        self.candidate.resign().await;
    }
}

impl Follower {
    /// The key of the election.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.candidate.key
    }

    /// The last known leader: `<job id>/<suffix>`. Empty once this job leads.
    #[must_use]
    pub fn leader(&self) -> String {
        match &*self.candidate.state.borrow() {
            CandidateState::Following { leader } => leader.clone(),
            CandidateState::Asking | CandidateState::Leading { .. } | CandidateState::Over { .. } => {
                String::new()
            }
        }
    }

    /// Waits until this job leads. The store may be unavailable meanwhile. Cancel-safe: only dropping the
    /// follower stops following. A lease that was won and lost again before this was polled is returned, too,
    /// as lost. It is returned once.
    ///
    /// ```
    /// # use agent_worker::coordination::{CoordinationError, Follower};
    /// # async fn next_task() {}
    /// # async fn example(mut follower: Follower) -> Result<(), CoordinationError> {
    /// let lease = loop {
    ///     println!("{} leads", follower.leader());
    ///     tokio::select! {
    ///         lease = follower.elected() => break lease?,
    ///         () = next_task() => {} // work as a follower meanwhile
    ///     }
    /// };
    /// # drop(lease); Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoordinationError::Over`] if the user's coordinator panicked, or the lease was returned before.
    pub async fn elected(&mut self) -> Result<Lease, CoordinationError> {
        loop {
            let token = self.candidate.state.borrow_and_update().token();
            if let Some(token) = token {
                let reason = "its lease was returned before".to_owned();
                let over = CoordinationError::Over { what: "the election", reason };
                return self.candidate.take().map(|candidate| Lease { candidate, token }).ok_or(over);
            }
            if self.candidate.state.changed().await.is_err() {
                let reason = "the coordinator panicked".to_owned();
                return Err(CoordinationError::Over { what: "the election", reason });
            }
        }
    }

    /// The last value written by any leader of this election.
    ///
    /// # Errors
    /// The store's error if it is unavailable.
    pub async fn read(&self) -> Result<Option<FencedValue>, CoordinationError> {
        self.candidate.coordinator.read(self.key()).await
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.key())
            .field("token", &self.token)
            .field("lost", &self.is_lost())
            .finish()
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("key", &self.key()).field("leader", &self.leader()).finish()
    }
}
