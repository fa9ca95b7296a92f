//! What the handler of one attempt does.

use std::time::Duration;

use fastrand::Rng;

use agent_core::{AttemptEnd, JobErrorKind};

use super::fault::{Fault, Swarm};
use super::plan::Plan;

/// The course of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// How long it takes to join the room.
    pub(super) join: Duration,
    /// When it ends by itself, and how; `None`: it waits until it is cancelled.
    pub(super) end: Option<(Duration, AttemptEnd)>,
    /// When it ends after a cancellation, and how; `None`: it ignores it.
    pub(super) on_cancel: Option<(Duration, AttemptEnd)>,
    /// When it ends after an abort; `None`: never, as it blocks its thread.
    pub(super) on_abort: Option<Duration>,
    /// How long the cleanup takes; `None`: until it is dropped.
    pub(super) cleanup: Option<Duration>,
    /// Whether the handler reads the data of its room.
    pub(super) reads: bool,
    /// The wait between two saves of its checkpoint.
    pub(super) saves_every: Duration,
}

impl Script {
    /// A handler that succeeds soon, for the time after the faults.
    pub(super) fn good(rng: &mut Rng) -> Self {
        let wait = Duration::from_millis(rng.u64(0..=200));
        Self {
            join: wait,
            end: Some((wait, AttemptEnd::Ok)),
            on_cancel: Some((wait, AttemptEnd::Cancelled)),
            on_abort: Some(wait),
            cleanup: Some(wait),
            reads: true,
            saves_every: Duration::from_secs(1),
        }
    }

    pub(super) fn new(attempt: u32, plan: &Plan, swarm: &mut Swarm, rng: &mut Rng) -> Self {
        let millis = |rng: &mut Rng, most: u64| Duration::from_millis(rng.u64(0..=most));
        let error = |kind| AttemptEnd::Error { kind, text: "it failed".to_owned() };
        let retryable = |rng: &mut Rng| {
            let after = if rng.bool() { Duration::ZERO } else { Duration::from_secs(rng.u64(1..=3)) };
            error(JobErrorKind::Retryable { after })
        };
        let end = if swarm.strikes(Fault::HandlerPanics, 0.15, rng) {
            AttemptEnd::Panicked("it panicked".to_owned())
        } else if swarm.strikes(Fault::HandlerRetries, 0.4, rng) {
            retryable(rng)
        } else {
            match rng.u8(..20) {
                0 => AttemptEnd::Cancelled,
                1..3 => error(JobErrorKind::Fatal { reason: "quota_exceeded".into() }),
                3..6 if attempt == 1 => retryable(rng),
                _ => AttemptEnd::Ok,
            }
        };
        let run = if swarm.strikes(Fault::HandlerEndsAtOnce, 0.3, rng) {
            Duration::ZERO
        } else {
            let longest = if rng.u8(..5) == 0 { 30_000 } else { 3_000 };
            millis(rng, longest)
        };
        let waits = rng.u8(..100) < plan.waiting_handlers;
        let on_cancel = if swarm.strikes(Fault::HandlerHangs, 0.2, rng) {
            None
        } else {
            let end = match rng.u8(..4) {
                0 => AttemptEnd::Ok,
                1 => error(JobErrorKind::Fatal { reason: "unknown_error".into() }),
                _ => AttemptEnd::Cancelled,
            };
            Some((millis(rng, 500), end))
        };
        let blocks = swarm.strikes(Fault::HandlerBlocks, 0.05, rng);
        let on_cancel = if blocks { None } else { on_cancel };
        let waits = waits || blocks;
        Self {
            join: millis(rng, 200),
            end: (!waits).then_some((run, end)),
            on_cancel,
            on_abort: (!blocks).then(|| millis(rng, 20)),
            cleanup: (!swarm.strikes(Fault::CleanupHangs, 0.2, rng)).then(|| millis(rng, 300)),
            reads: rng.u8(..4) != 0,
            saves_every: Duration::from_millis(rng.u64(200..=3_000)),
        }
    }
}
