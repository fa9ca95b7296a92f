//! What a handler holds of an election: the lead, or a place behind it.

use std::fmt;

use bytes::Bytes;

use agent_core::{CoordinationError, FencedValue, LeaseLoss, write_fenced};

use super::election::{Candidate, CandidateState};

/// How an election went, from [`JobContext::elect`](crate::JobContext::elect).
#[derive(Debug)]
#[must_use = "dropping it gives the lead back, or stops following"]
#[non_exhaustive]
pub enum Leadership {
    /// This job leads.
    Leader(Lease),
    /// Another one does.
    Follower(Follower),
}

/// The lead, for as long as it lasts: it is renewed in the background, and given back when this is dropped.
///
/// A leader can lose its lease without doing anything wrong: the store cannot be reached, or the process
/// stood still. It is told by [`lost`](Self::lost), by its own clock and before anybody else can lead.
/// Between a look at the clock and what is done next a process may still stand still for long; so what must
/// never come from two leaders goes through [`write`](Self::write), or carries the
/// [fencing token](Self::fencing_token) to a place that refuses smaller ones.
///
/// ```
/// use agent_worker::{JobContext, JobResult, coordination::Leadership};
///
/// async fn coordinate(ctx: JobContext) -> JobResult {
///     match ctx.elect(&ctx.job().room.name).await? {
///         Leadership::Leader(lease) => {
///             lease.write("first of all").await?;
///             tokio::select! {
///                 _ = ctx.cancelled() => {} // the lease is given back on return
///                 why = lease.lost() => return Err(format!("lost the lead: {why:?}").into()),
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

/// A place behind the leader. It stands for election whenever the leader is gone, until it is dropped.
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

    /// The lead, waited for if another job has it now.
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

    /// The number of this lead: larger than that of every leader before.
    #[must_use]
    pub const fn fencing_token(&self) -> u64 {
        self.token
    }

    /// Whether the lead is lost. Looks at the clock, so it is right also when nothing ran for a while; on
    /// Linux, Android and Windows also when the machine was suspended meanwhile.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match &*self.candidate.state.borrow() {
            CandidateState::Leading { until, .. } => *until <= self.candidate.clock.now(),
            CandidateState::Asking | CandidateState::Following { .. } | CandidateState::Over { .. } => true,
        }
    }

    /// Waits until the lead is lost, and says why. After a machine was suspended it may come a third of the
    /// lease later than [`is_lost`](Self::is_lost).
    pub async fn lost(&self) -> LeaseLoss {
        let mut state = self.candidate.state.clone();
        let over = state.wait_for(|state| matches!(state, CandidateState::Over { .. })).await;
        match over.as_deref() {
            Ok(CandidateState::Over { led: Some((_, why)) }) => *why,
            // Its task is gone, and with it the renewals.
            _ => LeaseLoss::Expired,
        }
    }

    /// Writes the value of this election, as only its present leader can: the store checks the fencing token
    /// in the same step. At most [`MAX_VALUE_LEN`](crate::coordination::MAX_VALUE_LEN) bytes. One value for
    /// each key; a later write replaces it.
    ///
    /// # Errors
    /// [`CoordinationError::Stale`] when another leader was elected after this one, or the store has lost
    /// everything; what the store says when it cannot be asked: then it may or may not be written.
    pub async fn write(&self, value: impl Into<Bytes>) -> Result<(), CoordinationError> {
        write_fenced(&*self.candidate.coordinator, self.key(), self.token, value.into()).await
    }

    /// What was last written by any leader of this election.
    ///
    /// # Errors
    /// What the store says when it cannot be asked.
    pub async fn read(&self) -> Result<Option<FencedValue>, CoordinationError> {
        self.candidate.coordinator.read(self.key()).await
    }

    /// Gives the lead back and waits until the store knows, a second at most. Dropping does the same in the
    /// background.
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

    /// Who leads, as far as was last heard: `<job id>/<something>`. Empty once this job leads itself.
    #[must_use]
    pub fn leader(&self) -> String {
        match &*self.candidate.state.borrow() {
            CandidateState::Following { leader } => leader.clone(),
            CandidateState::Asking | CandidateState::Leading { .. } | CandidateState::Over { .. } => {
                String::new()
            }
        }
    }

    /// Waits until this job leads. The store may go and come back meanwhile. Dropping the future loses
    /// nothing: only dropping the follower stops following. A lead that was won and lost again before anybody
    /// looked is given all the same, as lost. It is given once.
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
    /// [`CoordinationError::Over`] when a coordinator of the user's own panicked, or the lead was given
    /// before.
    pub async fn elected(&mut self) -> Result<Lease, CoordinationError> {
        loop {
            let token = self.candidate.state.borrow_and_update().token();
            if let Some(token) = token {
                let reason = "its lead was given before".to_owned();
                let over = CoordinationError::Over { what: "the election", reason };
                return self.candidate.take().map(|candidate| Lease { candidate, token }).ok_or(over);
            }
            if self.candidate.state.changed().await.is_err() {
                let reason = "the coordinator panicked".to_owned();
                return Err(CoordinationError::Over { what: "the election", reason });
            }
        }
    }

    /// What was last written by any leader of this election.
    ///
    /// # Errors
    /// What the store says when it cannot be asked.
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
