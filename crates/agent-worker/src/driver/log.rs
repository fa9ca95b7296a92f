//! What the log says about the machine's decisions.

use agent_core::{Notice, Output};

pub(super) fn output(output: &Output) {
    match output {
        Output::Ask { job, .. } => {
            tracing::info!(job_id = %job.id, room = %job.room.name, "received job request")
        }
        Output::Start { job, .. } => tracing::info!(job_id = %job.id, room = %job.room.name, "job assigned"),
        Output::Cancel { job, reason } => tracing::info!(job_id = %job, %reason, "cancelling job"),
        Output::Abort { job } => {
            tracing::warn!(job_id = %job, "aborting job: its handler did not return in time")
        }
        Output::Ended(ended) => {
            let (job_id, duration) = (&ended.job.id, ended.duration);
            if ended.outcome.is_success() {
                tracing::info!(%job_id, ?duration, "job ended: success");
            } else {
                tracing::warn!(%job_id, ?duration, "job ended: {}", ended.outcome);
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
        Notice::Refused { job, reason } => tracing::info!(job_id = %job, "declined job: {reason}"),
        Notice::BadAnswer { job, problem } => tracing::error!(job_id = %job, "declined job: {problem}"),
        Notice::NotAssigned { job } => {
            tracing::warn!(job_id = %job, "the server did not assign a job that was accepted");
        }
        Notice::Retrying { job, attempt, error, wait } => {
            tracing::warn!(job_id = %job, attempt, ?wait, "the attempt failed, trying again: {error}");
        }
        Notice::OddTimeout { job } => {
            tracing::warn!(
                job_id = %job,
                "`timeout` in the metadata is no number of seconds: the worker's own job timeout is used"
            );
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
        Notice::Full(true) => tracing::info!("worker is at full capacity, marking as unavailable"),
        Notice::Full(false) => tracing::info!("worker is below capacity, marking as available"),
        Notice::Violation(violation) => tracing::warn!(?violation, "the server did something odd"),
        _ => tracing::debug!(?notice),
    }
}
