//! What kind of failure ended an attempt.

use std::borrow::Cow;
use std::time::Duration;

/// What kind of failure it is. With the feature `serde`: `"cancelled"`, `{"fatal":{"reason":"…"}}`, `{"retryable":{"after":1.5}}` and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
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
    /// It may succeed when it is retried.
    Retryable {
        /// How long to wait at least: the [retry policy](crate::RetryPolicy)'s backoff is added. Zero: the backoff is the whole wait.
        /// With the feature `serde` in seconds.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
        after: Duration,
    },
    /// It took too long.
    TimedOut,
}
