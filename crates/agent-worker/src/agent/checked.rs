//! The wrapper that the builder adds to an agent: limits, declared metadata, and the user's classification of
//! errors.

use std::error::Error;
use std::sync::Arc;

use serde::de::DeserializeOwned;

#[cfg(all(feature = "schema", feature = "cli"))]
use agent_core::MetadataSchema;
use agent_core::{Answer, Config, EndedJob, Job, JobError, JobErrorKind, JobResult, MetadataFormat};
use agent_proto::text::line;
use agent_rtc::BoxFuture;

use crate::agent::AnyAgent;
use crate::job::context::JobContext;
use crate::job::temporary::classified;
use crate::telemetry::line_limit::LineLimit;
use crate::worker::redact;

/// Classifies an error; `None` leaves it to the default.
pub(crate) type ClassifyFn = Arc<dyn Fn(&(dyn Error + 'static)) -> Option<JobErrorKind> + Send + Sync>;

/// A [`MetadataFormat`] with its type erased.
pub(crate) trait ErasedFormat: Send + Sync {
    fn check(&self, job: &Job) -> JobResult;
    fn unknown_fields(&self, job: &Job) -> Vec<String>;
    #[cfg(all(feature = "schema", feature = "cli"))]
    fn schema(&self) -> Option<MetadataSchema>;
}

impl<T: DeserializeOwned> ErasedFormat for MetadataFormat<T> {
    fn check(&self, job: &Job) -> JobResult {
        self.parse(&job.raw_metadata)?;
        Ok(())
    }

    fn unknown_fields(&self, job: &Job) -> Vec<String> {
        Self::unknown_fields(self, &job.raw_metadata)
    }

    #[cfg(all(feature = "schema", feature = "cli"))]
    fn schema(&self) -> Option<MetadataSchema> {
        Self::schema(self)
    }
}

/// The builder's settings for the agent's jobs and errors.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) format: Option<Arc<dyn ErasedFormat>>,
    pub(crate) dismiss_invalid: bool,
    pub(crate) classify: Option<ClassifyFn>,
}

pub(crate) struct CheckedAgent {
    agent: Arc<dyn AnyAgent>,
    checks: Checks,
    /// Whether the worker has time limits, so that the SDK reads the metadata's `timeout`.
    time_limits: bool,
    /// Limits log lines, as dispatches decide how many there are.
    dismissals: LineLimit<()>,
}

impl CheckedAgent {
    pub(crate) fn new(agent: Arc<dyn AnyAgent>, checks: Checks, rules: &Config) -> Self {
        let time_limits = rules.job_timeout.is_some() || rules.max_job_timeout.is_some();
        Self { agent, checks, time_limits, dismissals: LineLimit::new() }
    }
}

impl AnyAgent for CheckedAgent {
    fn on_request<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Answer> {
        if self.checks.dismiss_invalid
            && let Err(error) = self.check(job)
        {
            if let Some(more) = self.dismissals.admit(()) {
                let error = redact::shown(error.to_string());
                tracing::warn!("dismissed job: {}{more}", line(error));
            }
            self.agent.on_dismissed();
            return Box::pin(std::future::ready(Answer::Dismiss));
        }
        self.agent.on_request(job)
    }

    fn check(&self, job: &Job) -> JobResult {
        job.check_limits()?;
        if self.time_limits {
            job.check_timeout()?;
        }
        if let Some(format) = &self.checks.format {
            format.check(job)?;
        }
        self.agent.check(job)
    }

    fn run(self: Arc<Self>, ctx: JobContext) -> BoxFuture<'static, JobResult> {
        if let Some(format) = &self.checks.format
            && ctx.attempt() == 1
        {
            let fields = format.unknown_fields(ctx.job());
            if !fields.is_empty() {
                tracing::info!(
                    fields = %line(format_args!("{fields:?}")),
                    "unknown metadata fields are ignored"
                );
            }
        }
        Arc::clone(&self.agent).run(ctx)
    }

    fn classify(&self, error: JobError) -> JobError {
        let error = classified(error);
        match &self.checks.classify {
            Some(rule) => error.classified_by(|error| rule(error)),
            None => error,
        }
    }

    fn on_ended<'a>(&'a self, ended: &'a EndedJob) -> BoxFuture<'a, ()> {
        self.agent.on_ended(ended)
    }
}
