//! Log lines for the machine's decisions, and the span for all log lines of a job.
//!
//! Every line about a job has its id, room and agent in the span; every line about the worker has the agent.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use agent_core::{
    AbortCause, DeclineReason, DrainReport, EndedJob, GivenAnswer, Job, JobId, JobLabels, LeftOut,
    MIN_DEPARTURE_TIMEOUT, Notice, Output, Violation,
};
use agent_proto::text::{line, name};

use crate::job::panics::Caught;
use crate::telemetry::line_limit::LineLimit;
use crate::worker::stats::WorkerStats;

/// The target of the spans of jobs.
#[cfg(feature = "otel")]
pub(crate) const SPAN_TARGET: &str = module_path!();

/// The span of a job, of an attempt or outside one, with the request id if the job's metadata has one.
///
/// At the level of errors, so that a filter that shows a line shows its span, too.
pub(super) fn job_span(agent: &str, job: &Job, attempt: Option<u32>) -> Span {
    span(agent, &job.id, &job.room.name, job.request_id.as_deref(), attempt)
}

fn span(agent: &str, id: &JobId, room: &str, request_id: Option<&str>, attempt: Option<u32>) -> Span {
    tracing::error_span!(
        "job",
        job_id = %name(id.as_str()),
        room = %name(room),
        agent = %name(agent),
        request_id = request_id.map(|id| tracing::field::display(name(id))),
        attempt,
    )
}

/// The job whose span an output is logged in, if the output has only the job's id.
pub(super) const fn job(output: &Output) -> Option<&JobId> {
    match output {
        Output::Cancel { job, .. } | Output::Abort { job, .. } => Some(job),
        Output::Notice(notice) => job_of_notice(notice),
        Output::Prepare
        | Output::Connect
        | Output::Disconnect
        | Output::Send(_)
        | Output::Ask { .. }
        | Output::Start { .. }
        | Output::Retry { .. }
        | Output::Clean { .. }
        | Output::Leave { .. }
        | Output::Ended(_)
        | Output::Moved { .. }
        | Output::Stopped(_) => None,
    }
}

const fn job_of_notice(notice: &Notice) -> Option<&JobId> {
    match notice {
        Notice::Retrying { job, .. }
        | Notice::CleanupStuck { job }
        | Notice::Stuck { job }
        | Notice::ClosedUnconfirmed { job }
        | Notice::ShortRoom { job, .. }
        | Notice::Stale { job, .. } => Some(job),
        // The driver has no span for an offer's job: its lines create their own.
        Notice::OfferAnswered { .. }
        | Notice::UnknownKind { .. }
        | Notice::BadAnswer { .. }
        | Notice::NotAssigned { .. } => None,
        Notice::Registered { .. }
        | Notice::ConnectionLost { .. }
        | Notice::DescriptorsExhausted { .. }
        | Notice::Full(_)
        | Notice::Quiet { .. }
        | Notice::StillDraining { .. }
        | Notice::Draining { .. }
        | Notice::Violation(_) => None,
    }
}

/// Writes the log lines of one worker.
pub(super) struct Log {
    agent: String,
    limit: LineLimit<Line>,
}

/// Kinds of log lines that the server can cause at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Requested,
    RequestPanicked,
    RequestSilent,
    BadAnswer,
    Declined(DeclineReason),
    Dismissed,
    NotAssigned,
    UnknownKind,
    Assigned,
    Ended { success: bool },
    Violation(Violation),
}

/// Maximum number of lines for offers in a second.
const MAX_REQUESTS: u32 = 10;
/// Maximum number of lines for assignments and for ends in a second: all those of a worker with the default
/// number of slots.
const MAX_JOBS: u32 = 1000;

impl Log {
    pub(super) fn new(agent: &str) -> Self {
        Self { agent: agent.to_owned(), limit: LineLimit::new() }
    }

    pub(super) fn job_span(&self, job: &Job) -> Span {
        job_span(&self.agent, job, None)
    }

    /// Logs an output, to be called within the span of its job if there is one.
    pub(super) fn output(&self, output: &Output) {
        match output {
            Output::Ask { job, .. } => self.of_job(Line::Requested, job, |more| {
                tracing::info!("received job request{more}");
            }),
            Output::Start { job, .. } => {
                self.of_job(Line::Assigned, job, |more| tracing::info!("job assigned{more}"));
            }
            Output::Cancel { reason, .. } => tracing::info!(reason = %line(reason), "cancelling job"),
            Output::Abort { cause: AbortCause::GraceOver, .. } => tracing::warn!(
                "aborting job: its handler did not return within its grace (`.grace(…)`) after it was cancelled"
            ),
            Output::Abort { cause: AbortCause::StopRequested, .. } => tracing::warn!(
                "aborting job: the worker was stopped at once, by a second signal or `WorkerHandle::stop`"
            ),
            Output::Abort { cause: AbortCause::WorkerStopped, .. } => {
                tracing::warn!("aborting job: the worker has stopped");
            }
            Output::Notice(notice) => self.notice(notice),
            Output::Stopped(Err(error)) => {
                tracing::error!(agent = %name(&self.agent), "worker stopped: {}", line(error));
            }
            // The end of a job and a regular stop are logged elsewhere.
            Output::Prepare => {
                tracing::info!(agent = %name(&self.agent), "preparing: the `on_start` hook runs")
            }
            Output::Connect
            | Output::Disconnect
            | Output::Send(_)
            | Output::Retry { .. }
            | Output::Clean { .. }
            | Output::Leave { .. }
            | Output::Ended(_)
            | Output::Moved { .. }
            | Output::Stopped(Ok(_)) => tracing::trace!(output = %line(format_args!("{output:?}"))),
        }
    }

    /// Logs the end of a job, and why its last attempt was aborted if it was.
    pub(super) fn ended(&self, ended: &EndedJob, aborted: Option<AbortCause>) {
        let EndedJob { job, outcome, duration, room_closed, .. } = ended;
        let why = match aborted {
            Some(AbortCause::GraceOver) => {
                " (the handler had not returned at the end of its grace, and was aborted)"
            }
            Some(AbortCause::StopRequested | AbortCause::WorkerStopped) | None => "",
        };
        self.of_job(Line::Ended { success: outcome.is_success() }, job, |more| {
            if outcome.is_success() && *room_closed {
                tracing::info!(
                    ?duration,
                    "job ended: its handler returned without an error, but the room was closed first: the server may have recorded a \
                     failure{more}"
                );
            } else if outcome.is_success() {
                tracing::info!(?duration, "job ended: success{more}");
            } else {
                tracing::warn!(?duration, "job ended: {}{why}{more}", line(outcome));
            }
        });
    }

    /// Logs the regular stop of the worker.
    pub(super) fn stopped(&self, report: &DrainReport, stats: &WorkerStats) {
        let DrainReport { succeeded, failed, stuck, unsent, .. } = report;
        tracing::info!(
            agent = %name(&self.agent),
            jobs_succeeded = stats.succeeded,
            jobs_failed = stats.failures.values().sum::<u64>(),
            "worker stopped: while it drained {succeeded} jobs succeeded and {failed} failed, {stuck} are stuck, and {unsent} outcomes \
             could not be sent"
        );
    }

    /// Logs a panic of a job's request handler, within the span of the job.
    pub(super) fn request_panicked(&self, panic: &Caught) {
        if let Some(more) = self.limit.admit(Line::RequestPanicked) {
            tracing::error!("on_request panicked, the job is declined: {panic}{more}");
        }
    }

    /// Logs a timeout of a job's request handler, within the span of the job.
    pub(super) fn request_silent(&self, limit: Duration) {
        if let Some(more) = self.limit.admit(Line::RequestSilent) {
            tracing::warn!(
                "on_request did not answer within {limit:?} (`.answer_timeout(…)`): the job was declined{more}"
            );
        }
    }

    /// When the next summary is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.limit.due()
    }

    /// Writes summaries of the lines that were suppressed in the last second.
    pub(super) fn sum_up(&self) {
        while let Some((line, times)) = self.limit.take_due() {
            self.sum(line, times);
        }
    }

    /// Writes the remaining summaries, at the end.
    pub(super) fn finish(&self) {
        while let Some((line, times)) = self.limit.take_rest() {
            self.sum(line, times);
        }
    }

    fn notice(&self, notice: &Notice) {
        let agent = name(&self.agent);
        match notice {
            Notice::Registered { worker_id, server_version, reregistered } => {
                let (worker_id, server_version) = (name(worker_id), name(server_version));
                tracing::info!(%agent, %worker_id, %server_version, reregistered, "registered worker");
            }
            Notice::ConnectionLost { reason, wait, failures } => {
                let reason = line(reason);
                tracing::warn!(%agent, ?wait, failures, "no connection to the server: {reason}; retrying");
            }
            Notice::OfferAnswered { job, answer, .. } => self.answered(job, *answer),
            Notice::UnknownKind { job } => self.of_labels(Line::UnknownKind, job, |more| {
                tracing::warn!("failed job: {}{more}", line(DeclineReason::UnknownKind));
            }),
            Notice::BadAnswer { job, problem } => self.of_labels(Line::BadAnswer, job, |more| {
                tracing::error!("declined job: {}{more}", line(problem));
            }),
            Notice::NotAssigned { job } => self.of_labels(Line::NotAssigned, job, |more| {
                tracing::warn!("the server did not assign an accepted job{more}");
            }),
            Notice::Retrying { attempt, error, wait, .. } => {
                tracing::warn!(
                    failed_attempt = attempt,
                    ?wait,
                    "the attempt failed, retrying: {}",
                    line(error)
                );
            }
            Notice::CleanupStuck { .. } => {
                tracing::error!(
                    "a cleanup callback cannot be dropped (blocking code?): the job ends without it"
                );
            }
            Notice::Stuck { .. } => {
                tracing::error!("the handler cannot be aborted (blocking code?): its slot stays in use");
            }
            Notice::Stale { silent_for, .. } => tracing::warn!("no progress reported for {silent_for:?}"),
            Notice::ShortRoom { departure_timeout, .. } if *departure_timeout < MIN_DEPARTURE_TIMEOUT => {
                tracing::warn!(
                    "the server closes the room {departure_timeout:?} after its last person left, which may be too soon for the outcome of \
                     the job to be recorded: create the room with a `departure_timeout` of at least {MIN_DEPARTURE_TIMEOUT:?}"
                );
            }
            Notice::ShortRoom { departure_timeout, configured, wait, .. } => {
                tracing::warn!(
                    "the server closes the room {departure_timeout:?} after its last person left: the job ends after {wait:?} and not \
                     {configured:?} (`.end_when(…)`); create the room with a longer `departure_timeout`, or set a shorter wait"
                );
            }
            Notice::ClosedUnconfirmed { .. } => {
                tracing::warn!(
                    "the room was closed before the server confirmed how the job ended: it may have recorded a failure"
                );
            }
            Notice::DescriptorsExhausted { wait } => tracing::error!(
                %agent,
                "too many open files: declining jobs for {wait:?}; raise the limit of this process (`ulimit -n`, or `LimitNOFILE=` in a \
                 systemd unit), or lower `max_jobs`"
            ),
            Notice::Full(true) => {
                tracing::info!(%agent, "worker is at full capacity, marking as unavailable")
            }
            Notice::Full(false) => tracing::info!(%agent, "worker is below capacity, marking as available"),
            Notice::Quiet { quiet: true, jobs } => {
                tracing::info!(%agent, jobs, "worker is quiet: no new jobs are accepted until an undrain");
            }
            Notice::Quiet { quiet: false, jobs } => {
                tracing::info!(%agent, jobs, "worker accepts new jobs again");
            }
            Notice::Draining { jobs, within } => {
                tracing::info!(%agent, jobs, ?within, "worker is draining: no new jobs are accepted");
            }
            Notice::StillDraining { jobs, left } => {
                let left = Duration::from_secs(left.as_secs());
                tracing::info!(%agent, jobs, ?left, "worker is still draining");
            }
            Notice::Violation(violation) => {
                if let Some(more) = self.limit.admit(Line::Violation(*violation)) {
                    tracing::warn!(%agent, ?violation, "unexpected message from the server{more}");
                }
            }
        }
    }

    fn answered(&self, job: &JobLabels, answer: GivenAnswer) {
        match answer {
            GivenAnswer::Accepted => self.within(job, || tracing::trace!("accepted job")),
            GivenAnswer::Dismissed => {
                self.of_labels(Line::Dismissed, job, |more| tracing::info!("dismissed job{more}"));
            }
            // Errors of the request handler have their own, more detailed line.
            GivenAnswer::Declined(
                why @ (DeclineReason::BadAnswer | DeclineReason::Panicked | DeclineReason::Silent),
            ) => self.of_labels(Line::Declined(why), job, |more| {
                tracing::debug!("declined job: {}{more}", line(why));
            }),
            GivenAnswer::Declined(why) => self.of_labels(Line::Declined(why), job, |more| {
                tracing::info!("declined job: {}{more}", line(why));
            }),
        }
    }

    /// Writes a line within the span of its job, unless its kind is over the limit.
    fn of_job(&self, kind: Line, job: &Job, write: impl FnOnce(LeftOut)) {
        if let Some(more) = self.limit.admit_up_to(kind.most(), kind) {
            self.job_span(job).in_scope(|| write(more));
        }
    }

    fn of_labels(&self, kind: Line, job: &JobLabels, write: impl FnOnce(LeftOut)) {
        if let Some(more) = self.limit.admit_up_to(kind.most(), kind) {
            self.within(job, || write(more));
        }
    }

    fn within(&self, job: &JobLabels, write: impl FnOnce()) {
        span(&self.agent, &job.id, &job.room, job.request_id.as_deref(), None).in_scope(write);
    }

    /// Writes a summary of suppressed lines.
    fn sum(&self, kind: Line, times: u64) {
        let agent = name(&self.agent);
        match kind {
            Line::Requested => tracing::info!(%agent, times, "received more job requests"),
            Line::RequestPanicked => tracing::error!(%agent, times, "on_request panicked more often"),
            Line::RequestSilent => {
                tracing::warn!(%agent, times, "on_request did not answer in time more often");
            }
            Line::BadAnswer => {
                tracing::error!(%agent, times, "declined more jobs: the answers cannot be sent")
            }
            Line::Declined(DeclineReason::BadAnswer | DeclineReason::Panicked | DeclineReason::Silent) => {}
            Line::Declined(why) => tracing::info!(%agent, times, "declined more jobs: {}", line(why)),
            Line::Dismissed => tracing::info!(%agent, times, "dismissed more jobs"),
            Line::NotAssigned => {
                tracing::warn!(%agent, times, "the server did not assign more accepted jobs");
            }
            Line::UnknownKind => {
                tracing::warn!(%agent, times, "failed more jobs: {}", line(DeclineReason::UnknownKind));
            }
            Line::Assigned => tracing::info!(%agent, times, "more jobs assigned"),
            Line::Ended { success: true } => tracing::info!(%agent, times, "more jobs ended: success"),
            Line::Ended { success: false } => tracing::warn!(%agent, times, "more jobs ended: failed"),
            Line::Violation(violation) => {
                tracing::warn!(%agent, ?violation, times, "more unexpected messages from the server");
            }
        }
    }
}

impl Line {
    const fn most(self) -> u32 {
        match self {
            Self::Requested => MAX_REQUESTS,
            Self::Assigned | Self::Ended { .. } => MAX_JOBS,
            Self::RequestPanicked
            | Self::RequestSilent
            | Self::BadAnswer
            | Self::Declined(_)
            | Self::Dismissed
            | Self::NotAssigned
            | Self::UnknownKind
            | Self::Violation(_) => 1,
        }
    }
}
