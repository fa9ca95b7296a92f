//! Drives one candidate: performs the outputs of `agent-core`'s election machine and publishes the
//! candidate's state. It contains no rules.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{
    AcquireResult, BoxFuture, CoordinationError, Coordinator, Election, ElectionInput, ElectionOutput,
    LeaseLoss, Time,
};
use agent_proto::text::{line, name};
use agent_proto::watch;

use super::clock::Clock;
use super::releases::{Release, Releases, Resign};
use crate::job::sleep::sleep_until;
use crate::telemetry::{GaugeGuard, Meter};

/// How long to wait for the release of a lease, which expires anyway.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// State of a candidate.
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
    /// With the token of the lost lead and the reason of the loss; `None` if the candidate never led.
    Over {
        led: Option<(u64, LeaseLoss)>,
    },
}

impl CandidateState {
    /// The token of the current or lost lead.
    pub(super) const fn token(&self) -> Option<u64> {
        match self {
            Self::Leading { token, .. } | Self::Over { led: Some((token, _)) } => Some(*token),
            Self::Asking | Self::Following { .. } | Self::Over { led: None } => None,
        }
    }
}

/// Handle of a candidate; dropping it resigns.
pub(super) struct Candidate {
    pub(super) key: Arc<str>,
    pub(super) coordinator: Arc<dyn Coordinator>,
    pub(super) state: watch::Receiver<CandidateState>,
    pub(super) clock: Clock,
    /// `None` once another handle has it.
    resign: Option<Resign>,
}

/// Parameters of an election, beside its store.
pub(super) struct ElectionParams<'a> {
    pub(super) lease: Duration,
    /// For the jitter.
    pub(super) seed: u64,
    /// Tracks the releases in flight.
    pub(super) releases: &'a Releases,
    pub(super) clock: Clock,
    pub(super) meter: Arc<Meter>,
}

impl Candidate {
    /// Joins the election and waits for the store's first answer.
    pub(super) async fn join(
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
        tokio::spawn(task.run(resigned, fail).in_current_span()); // the job's span
        let _ = state.wait_for(|state| *state != CandidateState::Asking).await;
        let over = matches!(*state.borrow(), CandidateState::Over { led: None } | CandidateState::Asking);
        if over {
            // The first call failed, or the user's store panicked.
            return Err(failure.await.unwrap_or_else(|_| CoordinationError::Over {
                what: "the election",
                reason: "the coordinator panicked".to_owned(),
            }));
        }
        Ok(Self { key, coordinator, state, clock, resign: Some(resign) })
    }

    /// Moves the resignation to a new handle, whose drop resigns from now on; `None` if it was moved before.
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

    /// Resigns, and waits until the lease is released.
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
    /// Last error of the store.
    failure: Option<CoordinationError>,
    meter: Arc<Meter>,
    /// Counts the held lease in a gauge.
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
        let mut called_at = Instant::now();
        // Held until the end of the task, as shutdown may wait for it.
        let mut resignation = None;
        loop {
            while let Some(output) = self.machine.poll_output() {
                tracing::trace!(key = %name(&self.key), output = %line(format_args!("{output:?}")), "election");
                match output {
                    ElectionOutput::Try => {
                        called_at = Instant::now();
                        call = Some(acquire(&*coordinator, &key, &holder, self.lease));
                    }
                    ElectionOutput::Renew { token } => {
                        called_at = Instant::now();
                        call = Some(renew(&*coordinator, &key, &holder, token, self.lease));
                    }
                    ElectionOutput::Abandon => {
                        call = None;
                        let limit = called_at.elapsed();
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
                            biased;
                            answer = pending_or(&mut call) => {
                                call = None;
                                let input = answer.unwrap_or_else(|error| {
                                    self.failed(error);
                                    ElectionInput::Failed
                                });
                                self.machine.handle_input(input, self.clock.now());
                            }
                            () = sleep_until(wake) => self.machine.handle_timeout(self.clock.now()),
                            release = &mut resigned, if resignation.is_none() => {
            resignation = Some(release);
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
                tracing::debug!(key = %name(&self.key), "lease not released: it expires by itself");
            }
        }
    }

    fn show(&mut self, output: ElectionOutput) {
        match output {
            ElectionOutput::Lead { token, until } => {
                tracing::info!(key = %name(&self.key), token, "elected leader");
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
                tracing::info!(key = %name(&self.key), leader = %name(&leader), "following the leader");
                self.state.send_replace(CandidateState::Following { leader });
            }
            ElectionOutput::Lost(why) => {
                self.lead = None;
                self.meter.lead_lost(why);
                match why {
                    LeaseLoss::Released => tracing::info!(key = %name(&self.key), "released the lease"),
                    _ => tracing::warn!(key = %name(&self.key), ?why, "lost the lease"),
                }
                self.state.send_modify(|state| {
                    *state = CandidateState::Over { led: state.token().map(|token| (token, why)) };
                });
            }
            // The failure is reported at the end of the task.
            ElectionOutput::GaveUp => {}
            // Calls to the store, made by the loop.
            ElectionOutput::Try
            | ElectionOutput::Renew { .. }
            | ElectionOutput::Abandon
            | ElectionOutput::Release => {}
        }
    }

    fn failed(&mut self, error: CoordinationError) {
        tracing::debug!(key = %name(&self.key), "lease store call failed: {}", line(&error));
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
