//! Classification of temporary errors from libraries that agent-core does not know.

use std::error::Error;

use tokio::time::error::Elapsed;

use agent_core::{JobError, JobErrorKind, JoinFailureKind, classify_with};
use agent_net::ConnectError;
use agent_rtc::{JoinError, JoinFailure};

/// Classifies an error by its type and those of its sources; the outermost that is known decides:
///
/// | error | kind |
/// |---|---|
/// | [`MetadataError`](crate::metadata::MetadataError), `garde::Report` | [`Invalid`](JobErrorKind::Invalid), reported as `invalid_input` |
/// | [`CancelReason::Deadline`](crate::CancelReason::Deadline) | [`Fatal`](JobErrorKind::Fatal), `job_timeout` |
/// | any other [`CancelReason`](crate::CancelReason) | [`Cancelled`](JobErrorKind::Cancelled) |
/// | [`std::io::Error`] of the network, or of a timeout | [`Retryable`](JobErrorKind::Retryable), after the retry policy's backoff |
/// | `Elapsed` of [`tokio::time::timeout`] | the same |
/// | [`JoinError`], [`ConnectError`]: no address, no answer or one that breaks off, no file descriptor left, HTTP 429, or 500 and above | the same, or after the `Retry-After` of a join |
/// | [`CheckpointError`](crate::checkpoint::CheckpointError) of an unavailable store | the same |
/// | any other [`CheckpointError`](crate::checkpoint::CheckpointError) | [`Fatal`](JobErrorKind::Fatal), `checkpoint_…` |
/// | everything else | [`Fatal`](JobErrorKind::Fatal), `unknown_error` |
///
/// The worker applies it to each error that a handler returned with `?`, unless the program sets its own
/// [rule](crate::WorkerBuilder::classify). It is a pure function: the same error is always of the same kind.
///
/// ```
/// use agent_worker::{JobErrorKind, job::classify};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let elapsed = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
/// assert_eq!(classify(&elapsed), JobErrorKind::Retryable { after: Duration::ZERO });
/// # }
/// ```
#[must_use]
pub fn classify(error: &(dyn Error + 'static)) -> JobErrorKind {
    classify_with(error, is_temporary)
}

/// Classifies an error that a handler has returned.
pub(crate) fn classified(error: JobError) -> JobError {
    error.reclassify_with(is_temporary)
}

fn is_temporary(error: &(dyn Error + 'static)) -> bool {
    error.is::<Elapsed>()
        || error.downcast_ref().is_some_and(|error| join_failure(error).is_temporary())
        || error.downcast_ref().is_some_and(|error| connect_failure(error).is_temporary())
}

/// The kind of a failed join, for the worker machine.
pub(crate) fn join_failure(error: &JoinError) -> JoinFailureKind {
    match error {
        JoinError::Connect(error) => connect_failure(error),
        JoinError::TooManyOpenFiles(_) => JoinFailureKind::OutOfDescriptors,
        JoinError::Failed(JoinFailure::Unreachable { .. } | JoinFailure::SignalTimeout) => {
            JoinFailureKind::NoAnswer
        }
        JoinError::Failed(JoinFailure::MediaTimeout { .. } | JoinFailure::Media { .. }) => {
            JoinFailureKind::NoMedia
        }
        JoinError::Failed(JoinFailure::Refused { status, .. }) => {
            JoinFailureKind::Refused { status: *status, retry_after: None }
        }
        _ => JoinFailureKind::Other,
    }
}

fn connect_failure(error: &ConnectError) -> JoinFailureKind {
    match error {
        // A resolver that is overloaded is not to be told from a name that does not exist, and a load
        // balancer that closes the connection not from a server that is no LiveKit server.
        ConnectError::Unreachable { .. }
        | ConnectError::Resolve { .. }
        | ConnectError::Protocol { .. }
        | ConnectError::ProxyUnreachable { .. }
        | ConnectError::Timeout { .. } => JoinFailureKind::NoAnswer,
        ConnectError::TooManyOpenFiles { .. } => JoinFailureKind::OutOfDescriptors,
        ConnectError::Refused { status, retry_after, .. } => {
            JoinFailureKind::Refused { status: Some(*status), retry_after: *retry_after }
        }
        _ => JoinFailureKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    /// The worker's own connection is retried after these, too, and another region is tried.
    #[test]
    fn an_answer_that_breaks_off_and_a_name_without_an_address_are_temporary() {
        let endpoint = || "example.com:443".to_owned();
        let source = io::Error::other("Temporary failure in name resolution");
        for error in [
            ConnectError::Resolve { endpoint: endpoint(), source },
            ConnectError::Protocol { endpoint: endpoint(), source: "connection closed".into() },
        ] {
            assert_eq!(classify(&error), JobErrorKind::Retryable { after: Duration::ZERO }, "{error}");
            assert!(join_failure(&JoinError::Connect(error)).is_temporary());
        }
    }
}
