//! Drives one candidate: carries out what the machine of `agent-core` wants, and shows how it stands. No rule
//! is in here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{
    AcquireResult, BoxFuture, CoordinationError, Coordinator, Election, ElectionInput, ElectionOutput,
    LeaseLoss, Time,
};
use agent_proto::text::{line, name};

use super::clock::Clock;
use super::releases::{Release, Releases, Resign};
use crate::job::sleep::sleep_until;
use crate::telemetry::{GaugeGuard, Meter};

/// How long a lease that is given back is waited for; it runs out by itself anyway.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// How a candidate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CandidateState {
    Asking,
    Following {
        leader: String,
    },
    Leading {
        token: u64,
        until: Time,
    },
    /// With the token of the lead that was lost, and why; without them when there was none.
    Over {
        led: Option<(u64, LeaseLoss)>,
    },
}

impl CandidateState {
    /// The token of the lead that it has, or had.
    pub(super) const fn token(&self) -> Option<u64> {
        match self {
            Self::Leading { token, .. } | Self::Over { led: Some((token, _)) } => Some(*token),
            Self::Asking | Self::Following { .. } | Self::Over { led: None } => None,
        }
    }
}

/// The handle of a candidate; dropping it resigns.
pub(super) struct Candidate {
    pub(super) key: Arc<str>,
    pub(super) coordinator: Arc<dyn Coordinator>,
    pub(super) state: watch::Receiver<CandidateState>,
    pub(super) clock: Clock,
    /// Gone once another handle has it.
    resign: Option<Resign>,
}

/// What an election is held with, beside its store.
pub(super) struct ElectionParams<'a> {
    pub(super) lease: Duration,
    /// For the jitter.
    pub(super) seed: u64,
    /// Where a lead that is given back is waited for.
    pub(super) releases: &'a Releases,
    pub(super) clock: Clock,
    pub(super) meter: Arc<Meter>,
}

impl Candidate {
    /// Stands for election and waits for the store's first answer.
    pub(super) async fn stand(
        coordinator: Arc<dyn Coordinator>,
        key: &str,
        holder: String,
        params: ElectionParams<'_>,
    ) -> Result<Self, CoordinationError> {
        let ElectionParams { lease, seed, releases, clock, meter } = params;
        let key: Arc<str> = key.into();
        let (sender, mut state) = watch::channel(CandidateState::Asking);
        let (resign, resigned) = releases.candidate();
        let (fail, failure) = oneshot::channel();
        let task = Task {
            coordinator: Arc::clone(&coordinator),
            key: Arc::clone(&key),
            holder,
            lease,
            machine: Election::new(lease, seed),
            clock,
            state: sender,
            failure: None,
            meter,
            lead: None,
        };
        tokio::spawn(task.run(resigned, fail).in_current_span()); // the job's
        let _ = state.wait_for(|state| *state != CandidateState::Asking).await;
        let over = matches!(*state.borrow(), CandidateState::Over { led: None } | CandidateState::Asking);
        if over {
            // It failed on its first call, or a store of the user's own panicked.
            return Err(failure.await.unwrap_or_else(|_| CoordinationError::Over {
                what: "the election",
                reason: "the coordinator panicked".to_owned(),
            }));
        }
        Ok(Self { key, coordinator, state, clock, resign: Some(resign) })
    }

    /// The handle that resigns when it is dropped, from now on instead of this one; `None` when another one
    /// is it already.
    pub(super) fn take(&mut self) -> Option<Self> {
        let resign = self.resign.take()?;
        Some(Self {
            key: Arc::clone(&self.key),
            coordinator: Arc::clone(&self.coordinator),
            state: self.state.clone(),
            clock: self.clock,
            resign: Some(resign),
        })
    }

    /// Gives back what it has, and waits until that is done.
    pub(super) async fn resign(self) {
        let Self { mut state, resign, .. } = self;
        drop(resign);
        while state.changed().await.is_ok() {}
    }
}

type Call<'a> = BoxFuture<'a, Result<ElectionInput, CoordinationError>>;

struct Task {
    coordinator: Arc<dyn Coordinator>,
    key: Arc<str>,
    holder: String,
    lease: Duration,
    machine: Election,
    clock: Clock,
    state: watch::Sender<CandidateState>,
    /// The last error of the store.
    failure: Option<CoordinationError>,
    meter: Arc<Meter>,
    /// Counted while it leads.
    lead: Option<GaugeGuard>,
}

impl Task {
    async fn run(
        mut self,
        mut resigned: oneshot::Receiver<Release>,
        fail: oneshot::Sender<CoordinationError>,
    ) {
        let coordinator = Arc::clone(&self.coordinator);
        let (key, holder) = (Arc::clone(&self.key), self.holder.clone());
        let mut call: Option<Call<'_>> = None;
        let mut release = false;
        let mut asked = Instant::now();
        // Kept to the end, which somebody may wait for.
        let mut resignation = None;
        loop {
            while let Some(output) = self.machine.poll_output() {
                tracing::trace!(key = %name(&self.key), output = %line(format_args!("{output:?}")), "election");
                match output {
                    ElectionOutput::Try => {
                        asked = Instant::now();
                        call = Some(acquire(&*coordinator, &key, &holder, self.lease));
                    }
                    ElectionOutput::Renew { token } => {
                        asked = Instant::now();
                        call = Some(renew(&*coordinator, &key, &holder, token, self.lease));
                    }
                    ElectionOutput::Abandon => {
                        call = None;
                        let limit = asked.elapsed();
                        let source = std::io::ErrorKind::TimedOut.into();
                        self.failed(CoordinationError::NoAnswer { limit, source });
                    }
                    ElectionOutput::Release => release = true,
                    output @ (ElectionOutput::Lead { .. }
                    | ElectionOutput::Extended { .. }
                    | ElectionOutput::Follow { .. }
                    | ElectionOutput::Lost(_)
                    | ElectionOutput::GaveUp) => self.show(output),
                }
            }
            if self.machine.is_over() {
                break;
            }
            let wake = self.machine.poll_timeout().map(|(at, _)| self.clock.instant(at));
            tokio::select! {
                answer = pending_or(&mut call) => {
                    call = None;
                    let input = answer.unwrap_or_else(|error| {
                        self.failed(error);
                        ElectionInput::Failed
                    });
                    self.machine.handle_input(input, self.clock.now());
                }
                () = sleep_until(wake) => self.machine.handle_timeout(self.clock.now()),
                told = &mut resigned, if resignation.is_none() => {
                    resignation = Some(told);
                    self.machine.handle_input(ElectionInput::Resigned, self.clock.now());
                }
            }
        }
        if let Some(failure) = self.failure.take() {
            let _ = fail.send(failure);
        }
        if matches!(*self.state.borrow(), CandidateState::Asking | CandidateState::Following { .. }) {
            self.state.send_replace(CandidateState::Over { led: None });
        }
        if release {
            let released = coordinator.release(&key, &holder);
            if !matches!(tokio::time::timeout(RELEASE_LIMIT, released).await, Ok(Ok(()))) {
                tracing::debug!(key = %name(&self.key), "a lease was not given back; it runs out by itself");
            }
        }
    }

    fn show(&mut self, output: ElectionOutput) {
        match output {
            ElectionOutput::Lead { token, until } => {
                tracing::info!(key = %name(&self.key), token, "leading");
                self.lead = Some(self.meter.lead());
                self.state.send_replace(CandidateState::Leading { token, until });
            }
            ElectionOutput::Extended { until } => {
                self.state.send_if_modified(|state| match state {
                    CandidateState::Leading { until: before, .. } => {
                        *before = until;
                        true
                    }
                    CandidateState::Asking
                    | CandidateState::Following { .. }
                    | CandidateState::Over { .. } => false,
                });
            }
            ElectionOutput::Follow { leader } => {
                tracing::info!(key = %name(&self.key), leader = %name(&leader), "following");
                self.state.send_replace(CandidateState::Following { leader });
            }
            ElectionOutput::Lost(why) => {
                self.lead = None;
                self.meter.lead_lost(why);
                match why {
                    LeaseLoss::Released => tracing::info!(key = %name(&self.key), "gave the lead back"),
                    _ => tracing::warn!(key = %name(&self.key), ?why, "lost the lead"),
                }
                self.state.send_modify(|state| {
                    *state = CandidateState::Over { led: state.token().map(|token| (token, why)) };
                });
            }
            // What there is to say is the failure.
            ElectionOutput::GaveUp => {}
            // Calls to the store, which the loop makes.
            ElectionOutput::Try
            | ElectionOutput::Renew { .. }
            | ElectionOutput::Abandon
            | ElectionOutput::Release => {}
        }
    }

    fn failed(&mut self, error: CoordinationError) {
        tracing::debug!(key = %name(&self.key), "the store of leases: {}", line(&error));
        self.failure = Some(error);
    }
}

fn acquire<'a>(coordinator: &'a dyn Coordinator, key: &'a str, holder: &'a str, lease: Duration) -> Call<'a> {
    Box::pin(async move {
        Ok(match coordinator.acquire(key, holder, lease).await? {
            AcquireResult::Granted { token } => ElectionInput::Granted { token },
            AcquireResult::Held { by, remaining } => ElectionInput::Held { by, remaining },
        })
    })
}

fn renew<'a>(
    coordinator: &'a dyn Coordinator,
    key: &'a str,
    holder: &'a str,
    token: u64,
    lease: Duration,
) -> Call<'a> {
    Box::pin(async move {
        Ok(match coordinator.renew(key, holder, token, lease).await? {
            true => ElectionInput::Renewed,
            false => ElectionInput::Refused,
        })
    })
}

async fn pending_or(call: &mut Option<Call<'_>>) -> Result<ElectionInput, CoordinationError> {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}
