//! Kinds of failure of an attempt.

use std::borrow::Cow;
use std::time::Duration;

/// The kind of a failure. With the feature `serde`: `"cancelled"`, `{"fatal":{"reason":"…"}}`,
/// `{"retryable":{"after":1.5}}` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum JobErrorKind {
    /// The handler stopped because the job was cancelled.
    Cancelled,
    /// A permanent failure, with a reason (a short snake_case word, which is a metric label).
    Fatal {
        /// `unknown_error` without a more specific one.
        reason: Cow<'static, str>,
    },
    /// The job's input is invalid.
    Invalid {
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// The problem.
        message: String,
    },
    /// The handler panicked.
    Panicked,
    /// A temporary failure: a retry may succeed.
    Retryable {
        /// How long to wait at least: the [retry policy](crate::RetryPolicy)'s backoff is added. Zero: the
        /// backoff is the whole wait. With the feature `serde` in seconds.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
        after: Duration,
    },
    /// It took too long.
    TimedOut,
}
