//! `JobError`: the error of a handler, with its kind.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use agent_proto::error_text;

use crate::as_error::AsError;
use crate::chain::{BoxError, chain};
use crate::classify::{classify, classify_with};
use crate::error_kind::JobErrorKind;
use crate::text::{MAX_VALUE, shorten};

/// The result of a handler.
pub type JobResult = Result<(), JobError>;

/// Why a handler failed: a kind, and the source error.
///
/// It does not implement [`Error`], so that `?` turns *any* error into it and classifies it on the way (see
/// [`From`] and [`classify`]).
///
/// ```
/// use agent_core::{JobError, JobErrorKind, JobResult};
///
/// fn handler() -> JobResult {
///     let port: u16 = "eighty".parse()?; // any error
///     if port == 0 {
///         return Err("no port".into()); // any text
///     }
///     Ok(())
/// }
/// let error = handler().unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert!(matches!(error.kind(), JobErrorKind::Fatal { reason } if reason == "unknown_error"));
/// ```
pub struct JobError {
    kind: JobErrorKind,
    source: Option<BoxError>,
    /// Where it happened; the first part of the text.
    context: Option<Box<str>>,
    /// The kind was derived from the source instead of given by the handler.
    derived: bool,
}

impl JobError {
    /// A temporary error: the job is retried after `after`, to which the [retry policy](crate::RetryPolicy)
    /// adds its backoff. With [`Duration::ZERO`] the backoff is the whole wait.
    pub fn retryable(source: impl Into<BoxError>, after: Duration) -> Self {
        Self {
            kind: JobErrorKind::Retryable { after },
            source: Some(source.into()),
            context: None,
            derived: false,
        }
    }

    /// A permanent error, with a short reason such as `quota_exceeded`.
    pub fn fatal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: JobErrorKind::Fatal { reason: reason.into() },
            source: None,
            context: None,
            derived: false,
        }
    }

    /// Invalid input: `field` is `value` (100 characters of it are kept), and `message` is what was expected.
    pub fn invalid(field: impl Into<String>, value: impl fmt::Display, message: impl Into<String>) -> Self {
        let value = shorten(&value.to_string(), MAX_VALUE);
        let kind = JobErrorKind::Invalid { field: field.into(), value, message: message.into() };
        Self { kind, source: None, context: None, derived: false }
    }

    /// The handler stopped because the job was cancelled.
    #[must_use]
    pub const fn cancelled() -> Self {
        Self { kind: JobErrorKind::Cancelled, source: None, context: None, derived: false }
    }

    /// A part of the handler panicked with this message, and the panic was caught.
    pub fn panicked(message: impl fmt::Display) -> Self {
        let source = Some(format!("panicked: {message}").into());
        Self { kind: JobErrorKind::Panicked, source, context: None, derived: false }
    }

    /// Sets the source error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Prepends where it happened to the text. The kind is unchanged.
    ///
    /// ```
    /// use agent_core::{JobError, JobErrorKind};
    /// use std::time::Duration;
    ///
    /// let error = JobError::retryable("busy", Duration::from_secs(5)).context("stage decode failed");
    /// assert_eq!(error.to_string(), "stage decode failed: busy");
    /// assert!(matches!(error.kind(), JobErrorKind::Retryable { .. }));
    /// ```
    #[must_use]
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        let context = match self.context {
            Some(inner) => format!("{place}: {inner}"),
            None => place.to_string(),
        };
        self.context = Some(context.into());
        self
    }

    /// Classifies an error from `?` or [`From`] again, with additional [temporary](classify_with) errors. A
    /// kind that the handler gave is unchanged.
    #[must_use]
    pub fn reclassify_with(mut self, temporary: impl Fn(&(dyn Error + 'static)) -> bool) -> Self {
        if self.derived
            && let Some(source) = &self.source
        {
            self.kind = classify_with(source.as_ref(), temporary);
        }
        self
    }

    /// Lets `rule` decide the kind of an error from `?` or [`From`], instead of [`classify`]. It is called
    /// for the error and its sources, the outermost first, until it returns a kind; otherwise the kind is
    /// unchanged, as is one that the handler gave.
    ///
    /// ```
    /// use agent_core::{JobError, JobErrorKind};
    /// use std::time::Duration;
    ///
    /// let error: JobError = std::fmt::Error.into();
    /// let error = error.classified_by(|error| {
    ///     error.is::<std::fmt::Error>().then(|| JobErrorKind::Retryable { after: Duration::from_secs(1) })
    /// });
    /// assert!(matches!(error.kind(), JobErrorKind::Retryable { .. }));
    /// ```
    #[must_use]
    pub fn classified_by(mut self, rule: impl Fn(&(dyn Error + 'static)) -> Option<JobErrorKind>) -> Self {
        if self.derived
            && let Some(source) = &self.source
            && let Some(kind) = chain(source.as_ref()).find_map(rule)
        {
            self.kind = kind;
        }
        self
    }

    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> &JobErrorKind {
        &self.kind
    }

    /// This as an [`Error`], for a function that returns another kind of error; [`From`] makes the same
    /// `JobError` of it again.
    ///
    /// ```
    /// use agent_core::{JobError, JobErrorKind, JobResult};
    ///
    /// fn helper() -> JobResult {
    ///     Err(JobError::fatal("quota_exceeded"))
    /// }
    ///
    /// fn caller() -> anyhow::Result<()> {
    ///     helper().map_err(JobError::into_error)?;
    ///     Ok(())
    /// }
    /// let error = JobError::from(caller().unwrap_err());
    /// assert!(matches!(error.kind(), JobErrorKind::Fatal { reason } if reason == "quota_exceeded"));
    /// ```
    pub fn into_error(self) -> impl Error + Send + Sync + 'static {
        let text = self.to_string();
        let Self { kind, source, context, derived } = self;
        AsError { kind, source, context, derived, text }
    }

    /// The source error, if there is one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }
}

/// Converts any error, or text, and [classifies](classify) it.
///
/// With the feature `anyhow` (on by default) it also sees the error inside an `anyhow::Error`; without, that
/// is hidden.
impl<E: Into<BoxError> + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        let source = match boxed(error).downcast::<AsError>() {
            Ok(ours) => {
                let AsError { kind, source, context, derived, .. } = *ours;
                return Self { kind, source, context, derived };
            }
            Err(other) => other,
        };
        Self { kind: classify(source.as_ref()), source: Some(source), context: None, derived: true }
    }
}

#[cfg(not(feature = "anyhow"))]
fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    error.into()
}

/// Unwraps an `anyhow::Error`: its plain conversion into a box hides the type of its outermost error, and
/// with it an I/O error.
#[cfg(feature = "anyhow")]
fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    let mut error = Some(error);
    let any: &mut dyn std::any::Any = &mut error;
    if let Some(error) = any.downcast_mut::<Option<anyhow::Error>>().and_then(Option::take) {
        return error.reallocate_into_boxed_dyn_error_without_backtrace();
    }
    // It was not an `anyhow::Error`.
    error.map_or_else(|| "no error".into(), Into::into)
}

/// The text that is reported to the server: the context if there is one, the kind where it adds information,
/// then the chain of sources.
impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(context) = &self.context {
            write!(f, "{context}: ")?;
        }
        let source = self.source.as_deref();
        let kind = match &self.kind {
            JobErrorKind::Invalid { field, value, message } => {
                write!(f, "invalid_input: {field}")?;
                if !value.is_empty() {
                    write!(f, " = {value}")?;
                }
                return write!(f, ": {message}");
            }
            JobErrorKind::Fatal { reason } if source.is_none() || reason != "unknown_error" => reason,
            JobErrorKind::Cancelled if source.is_none() => "cancelled",
            JobErrorKind::Panicked if source.is_none() => "panicked",
            JobErrorKind::TimedOut if source.is_none() => "timed out",
            JobErrorKind::Retryable { .. } if source.is_none() => "temporary failure",
            JobErrorKind::Fatal { .. }
            | JobErrorKind::Cancelled
            | JobErrorKind::Panicked
            | JobErrorKind::TimedOut
            | JobErrorKind::Retryable { .. } => "",
        };
        match source {
            Some(source) => f.write_str(&error_text::chain_after(kind, source)),
            None => f.write_str(kind),
        }
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobError")
            .field("kind", &self.kind)
            .field("context", &self.context)
            .field("source", &self.source)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the model did not load")]
    struct Outer(#[source] BoxError);

    fn check(error: impl Into<JobError>, expected: &str) {
        let error = error.into();
        assert_eq!(format!("{:?} | {error}", error.kind()), expected);
    }

    #[test]
    fn the_text_is_that_of_the_whole_chain_without_repetition() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        check("plain text", r#"Fatal { reason: "unknown_error" } | plain text"#);
        check(refused(), "Retryable { after: 0ns } | connection refused");
        check(
            Outer(refused().into()),
            "Retryable { after: 0ns } | the model did not load: connection refused",
        );
        check(
            Outer(io::Error::other(Outer(refused().into())).into()),
            "Retryable { after: 0ns } | the model did not load: connection refused",
        );
        check(crate::CancelReason::Deadline, r#"Fatal { reason: "job_timeout" } | job_timeout"#);
        let invalid = crate::parse_metadata::<u32>("true").unwrap_err();
        check(
            invalid,
            r#"Invalid { field: "$", value: "true", message: "expected a whole number from 0 to 4294967295" } | invalid_input: $ = true: expected a whole number from 0 to 4294967295"#,
        );
    }

    #[test]
    fn a_rule_of_the_user_decides_what_was_not_decided_by_the_handler() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let rule = |error: &(dyn Error + 'static)| {
            let kind = error.downcast_ref::<io::Error>()?.kind();
            (kind == io::ErrorKind::NotFound)
                .then(|| JobErrorKind::Retryable { after: Duration::from_secs(1) })
        };
        check(
            JobError::from(Outer(missing().into())).classified_by(rule),
            "Retryable { after: 1s } | the model did not load: entity not found",
        );
        check(JobError::from("text").classified_by(rule), r#"Fatal { reason: "unknown_error" } | text"#);
        check(
            JobError::fatal("gone").with_source(missing()).classified_by(rule),
            r#"Fatal { reason: "gone" } | gone: entity not found"#,
        );
        check(JobError::cancelled().classified_by(rule), "Cancelled | cancelled");
    }

    #[test]
    fn an_error_converted_to_another_type_and_back_is_unchanged() {
        let busy = || JobError::retryable("busy", Duration::from_secs(5)).context("decoder");
        check(JobError::from(busy().into_error()), "Retryable { after: 5s } | decoder: busy");
        check(anyhow::Error::from(busy().into_error()), "Retryable { after: 5s } | decoder: busy");
        check(
            anyhow::Error::from(busy().into_error()).context("stage 2"),
            "Retryable { after: 5s } | stage 2: decoder: busy",
        );
    }

    #[test]
    fn each_constructor_gives_an_error_of_its_kind() {
        check(JobError::fatal("quota_exceeded"), r#"Fatal { reason: "quota_exceeded" } | quota_exceeded"#);
        check(
            JobError::fatal("quota_exceeded").with_source("5 of 5 used"),
            r#"Fatal { reason: "quota_exceeded" } | quota_exceeded: 5 of 5 used"#,
        );
        check(JobError::cancelled(), "Cancelled | cancelled");
        check(
            JobError::invalid("language", "xx", "not a language"),
            r#"Invalid { field: "language", value: "xx", message: "not a language" } | invalid_input: language = xx: not a language"#,
        );
        check(JobError::panicked("index 3"), "Panicked | panicked: index 3");
    }

    #[test]
    fn the_context_comes_first_the_outer_before_the_inner() {
        check(
            JobError::invalid("sum", "one", "no number").context("stage read failed"),
            r#"Invalid { field: "sum", value: "one", message: "no number" } | stage read failed: invalid_input: sum = one: no number"#,
        );
        check(
            JobError::fatal("no_licence").context("a model").context("the pool could not make one"),
            r#"Fatal { reason: "no_licence" } | the pool could not make one: a model: no_licence"#,
        );
        let rule = |_: &(dyn Error + 'static)| Some(JobErrorKind::TimedOut);
        check(JobError::from("text").context("here").classified_by(rule), "TimedOut | here: text");
    }
}
