//! What a handler returns when it fails, and what kind of failure that is.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::MetadataError;

/// Any error, as [`JobError`] keeps it.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What a handler returns.
pub type JobResult = Result<(), JobError>;

/// Why a handler failed: a kind, and the error behind it.
///
/// It does not implement [`Error`], so that `?` turns *any* error into it and classifies it on the way (see [`From`]).
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
}

/// What kind of failure it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobErrorKind {
    /// The handler stopped because it was told to.
    Cancelled,
    /// It cannot succeed, for this reason (a short snake_case word that metrics count by).
    Fatal {
        /// `unknown_error` when nothing better is known.
        reason: Cow<'static, str>,
    },
    /// The job's input is wrong.
    Invalid {
        /// Which field.
        field: String,
        /// What it held.
        value: String,
        /// What is wrong with it.
        message: String,
    },
    /// The handler panicked.
    Panicked,
    /// It may succeed when it is tried again.
    Retryable {
        /// How long to wait before.
        after: Duration,
    },
    /// It took too long.
    TimedOut,
}

/// How long to wait after an error of the network, unless the handler says otherwise.
const NETWORK_RETRY: Duration = Duration::from_secs(5);

impl JobError {
    /// An error that may go away: worth another try after `after`.
    pub fn retryable(source: impl Into<BoxError>, after: Duration) -> Self {
        Self { kind: JobErrorKind::Retryable { after }, source: Some(source.into()) }
    }

    /// An error that will not go away, with a short reason such as `quota_exceeded`.
    pub fn fatal(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: JobErrorKind::Fatal { reason: reason.into() }, source: None }
    }

    /// The job's input is wrong: `field` holds `value`, and `message` says what was expected.
    pub fn invalid(field: impl Into<String>, value: impl fmt::Display, message: impl Into<String>) -> Self {
        let kind =
            JobErrorKind::Invalid { field: field.into(), value: value.to_string(), message: message.into() };
        Self { kind, source: None }
    }

    /// The handler stopped because it was told to.
    #[must_use]
    pub const fn cancelled() -> Self {
        Self { kind: JobErrorKind::Cancelled, source: None }
    }

    /// Adds the error behind this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> &JobErrorKind {
        &self.kind
    }

    /// The error behind it, when there is one.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }
}

/// Classifies any error by walking its source chain: wrong metadata is `Invalid`, network and timeout kinds of
/// [`io::Error`] are `Retryable` after 5 s, everything else is `Fatal` with the reason `unknown_error`.
impl<E: Into<BoxError>> From<E> for JobError {
    fn from(error: E) -> Self {
        let source = error.into();
        Self { kind: classify(source.as_ref()), source: Some(source) }
    }
}

fn classify(error: &(dyn Error + 'static)) -> JobErrorKind {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<MetadataError>() {
            let MetadataError { path, message, .. } = error;
            return JobErrorKind::Invalid {
                field: path.clone(),
                value: String::new(),
                message: message.clone(),
            };
        }
        if error.downcast_ref::<io::Error>().is_some_and(|e| is_network(e.kind())) {
            return JobErrorKind::Retryable { after: NETWORK_RETRY };
        }
        // An io::Error hides the error that it was made of from `source()`.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    JobErrorKind::Fatal { reason: Cow::Borrowed("unknown_error") }
}

const fn is_network(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
    )
}

/// The text that the server is told: the kind where it says something, then the chain of errors behind it.
impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            JobErrorKind::Invalid { field, message, .. } => {
                return write!(f, "invalid_input: {field}: {message}");
            }
            JobErrorKind::Fatal { reason } if self.source.is_none() || reason != "unknown_error" => {
                f.write_str(reason)?;
                if self.source.is_some() {
                    f.write_str(": ")?;
                }
            }
            JobErrorKind::Cancelled if self.source.is_none() => f.write_str("cancelled")?,
            JobErrorKind::Panicked if self.source.is_none() => f.write_str("panicked")?,
            JobErrorKind::TimedOut if self.source.is_none() => f.write_str("timed out")?,
            JobErrorKind::Retryable { .. } if self.source.is_none() => f.write_str("temporary failure")?,
            JobErrorKind::Fatal { .. }
            | JobErrorKind::Cancelled
            | JobErrorKind::Panicked
            | JobErrorKind::TimedOut
            | JobErrorKind::Retryable { .. } => {}
        }
        self.source.as_ref().map_or(Ok(()), |source| write_chain(f, source.as_ref()))
    }
}

/// Writes an error and those behind it, leaving out a source whose text the error above has already said.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    let mut said = error.to_string();
    f.write_str(&said)?;
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !said.contains(&text) {
            write!(f, ": {text}")?;
        }
        said = text;
        next = error.source();
    }
    Ok(())
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobError").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the model did not load")]
    struct Outer(#[source] BoxError);

    fn check(error: impl Into<JobError>, expected: &str) {
        let error = error.into();
        assert_eq!(format!("{:?} | {error}", error.kind()), expected);
    }

    #[test]
    fn any_error_is_classified() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        check("plain text", r#"Fatal { reason: "unknown_error" } | plain text"#);
        check(refused(), "Retryable { after: 5s } | connection refused");
        check(
            Outer(refused().into()),
            "Retryable { after: 5s } | the model did not load: connection refused",
        );
        check(
            Outer(io::Error::other(Outer(refused().into())).into()),
            "Retryable { after: 5s } | the model did not load: connection refused",
        );
        check(
            io::Error::from(io::ErrorKind::NotFound),
            r#"Fatal { reason: "unknown_error" } | entity not found"#,
        );
        let invalid = crate::parse_metadata::<u32>("true").unwrap_err();
        check(
            invalid,
            r#"Invalid { field: "$", value: "", message: "invalid type: boolean `true`, expected u32 at line 1 column 4" } | invalid_input: $: invalid type: boolean `true`, expected u32 at line 1 column 4"#,
        );
    }

    #[test]
    fn constructors_say_their_kind() {
        check(JobError::fatal("quota_exceeded"), r#"Fatal { reason: "quota_exceeded" } | quota_exceeded"#);
        check(
            JobError::fatal("quota_exceeded").with_source("5 of 5 used"),
            r#"Fatal { reason: "quota_exceeded" } | quota_exceeded: 5 of 5 used"#,
        );
        check(JobError::cancelled(), "Cancelled | cancelled");
        check(
            JobError::invalid("language", "xx", "not a language"),
            r#"Invalid { field: "language", value: "xx", message: "not a language" } | invalid_input: language: not a language"#,
        );
    }
}
