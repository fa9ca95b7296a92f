//! What the log says about the machine's decisions, and the span that all is in that is logged while a job runs.

use agent_core::{DeclineReason, GivenAnswer, Job, JobId, MIN_DEPARTURE_TIMEOUT, Notice, Output, Worker};
use tracing::Span;

/// The span of a job, in an attempt or beside one. A request id is there if the job's metadata has one.
pub(super) fn job_span(job: &Job, attempt: Option<u32>) -> Span {
    tracing::info_span!(
        "job",
        job_id = %job.id,
        room = %job.room.name,
        agent_name = %job.agent_name,
        request_id = job.request_id.as_deref(),
        attempt,
    )
}

/// The job that an output is about, if it names only its id.
pub(super) const fn job(output: &Output) -> Option<&JobId> {
    match output {
        Output::Cancel { job, .. }
        | Output::Abort { job }
        | Output::Notice(
            Notice::Retrying { job, .. }
            | Notice::CleanupStuck { job }
            | Notice::Stuck { job }
            | Notice::ClosedUnconfirmed { job }
            | Notice::ShortRoom { job, .. }
            | Notice::Stale { job, .. },
        ) => Some(job),
        _ => None,
    }
}

pub(super) fn output(output: &Output, machine: &Worker) {
    match output {
        Output::Ask { job, .. } => {
            let request_id = job.request_id.as_deref();
            tracing::info!(job_id = %job.id, room = %job.room.name, request_id, "received job request")
        }
        Output::Start { job, .. } => {
            let request_id = job.request_id.as_deref();
            tracing::info!(job_id = %job.id, room = %job.room.name, request_id, "job assigned")
        }
        Output::Cancel { job, reason } => tracing::info!(job_id = %job, %reason, "cancelling job"),
        Output::Abort { job } => {
            tracing::warn!(
                job_id = %job,
                "aborting job: its handler did not return within its time (`.grace(…)`) after it was cancelled"
            )
        }
        Output::Ended(ended) => {
            let (job_id, duration) = (&ended.job.id, ended.duration);
            let request_id = ended.job.request_id.as_deref();
            if ended.outcome.is_success() && ended.room_closed {
                tracing::info!(
                    %job_id,
                    request_id,
                    ?duration,
                    "job ended: its handler returned without an error, but the room was closed first: the server may have recorded a failure"
                );
            } else if ended.outcome.is_success() {
                tracing::info!(%job_id, request_id, ?duration, "job ended: success");
            } else {
                tracing::warn!(%job_id, request_id, ?duration, "job ended: {}", ended.outcome);
            }
        }
        Output::Notice(Notice::Violation(violation)) => {
            // A server that floods us must not flood the log, too.
            let times = machine.violations().get(violation).copied().unwrap_or_default();
            if times.is_power_of_two() {
                tracing::warn!(?violation, times, "the server did something odd");
            }
        }
        Output::Notice(notice) => self::notice(notice),
        Output::Stopped(Ok(report)) => tracing::info!(?report, "worker stopped"),
        Output::Stopped(Err(error)) => tracing::error!("worker stopped: {error}"),
        _ => tracing::trace!(?output),
    }
}

fn notice(notice: &Notice) {
    match notice {
        Notice::Registered { worker_id, server_version, again } => {
            tracing::info!(%worker_id, %server_version, again, "registered worker");
        }
        Notice::ConnectionLost { reason, wait, failures } => {
            tracing::warn!(?wait, failures, "no connection to the server: {reason}; trying again");
        }
        Notice::OfferAnswered { job, answer, .. } => answered(job, *answer),
        Notice::UnknownKind { job } => {
            tracing::warn!(job_id = %job, "failed job: {}", DeclineReason::UnknownKind);
        }
        Notice::BadAnswer { job, problem } => tracing::error!(job_id = %job, "declined job: {problem}"),
        Notice::NotAssigned { job } => {
            tracing::warn!(job_id = %job, "the server did not assign a job that was accepted");
        }
        Notice::Retrying { job, attempt, error, wait } => {
            tracing::warn!(job_id = %job, attempt, ?wait, "the attempt failed, trying again: {error}");
        }
        Notice::CleanupStuck { job } => {
            tracing::error!(job_id = %job, "a cleanup callback cannot be dropped (blocking code?): the job ends without it");
        }
        Notice::Stuck { job } => {
            tracing::error!(job_id = %job, "the handler cannot be aborted (blocking code?): its slot stays taken");
        }
        Notice::Stale { job, silent_for } => {
            tracing::warn!(job_id = %job, "the job has not said for {silent_for:?} that it gets on");
        }
        Notice::ShortRoom { job, departure_timeout, .. } if *departure_timeout < MIN_DEPARTURE_TIMEOUT => {
            tracing::warn!(
                job_id = %job,
                "the server closes the room {departure_timeout:?} after its last person left, which may be too soon for the outcome of the \
                 job to be recorded: create the room with a `departure_timeout` of at least {MIN_DEPARTURE_TIMEOUT:?}"
            );
        }
        Notice::ShortRoom { job, departure_timeout, configured, wait } => {
            tracing::warn!(
                job_id = %job,
                "the server closes the room {departure_timeout:?} after its last person left: the job ends after {wait:?} and not \
                 {configured:?} (`.end_when(…)`); create the room with a longer `departure_timeout`, or set a shorter wait"
            );
        }
        Notice::ClosedUnconfirmed { job } => {
            tracing::warn!(
                job_id = %job,
                "the room was closed before the server confirmed how the job ended: it may have recorded a failure"
            );
        }
        Notice::Full(true) => tracing::info!("worker is at full capacity, marking as unavailable"),
        Notice::Full(false) => tracing::info!("worker is below capacity, marking as available"),
        _ => tracing::debug!(?notice),
    }
}

fn answered(job: &JobId, answer: GivenAnswer) {
    match answer {
        GivenAnswer::Accepted => tracing::trace!(job_id = %job, "accepted job"),
        GivenAnswer::Dismissed => tracing::info!(job_id = %job, "dismissed job"),
        // What the request handler did wrong has a line of its own, which says more.
        GivenAnswer::Declined(
            why @ (DeclineReason::BadAnswer | DeclineReason::Panicked | DeclineReason::Silent),
        ) => tracing::debug!(job_id = %job, "declined job: {why}"),
        GivenAnswer::Declined(why) => tracing::info!(job_id = %job, "declined job: {why}"),
    }
}
