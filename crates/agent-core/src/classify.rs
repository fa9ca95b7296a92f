//! Classification of errors into kinds of failure.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::time::Duration;

use crate::as_error::AsError;
use crate::chain::chain;
use crate::checkpoint::{CheckpointError, KeyError, StoreError};
use crate::error_kind::JobErrorKind;
use crate::metadata::MetadataError;
use crate::outcome::CancelReason;

/// A temporary error without a wait of its own: the retry policy's backoff is the whole wait.
const TEMPORARY: JobErrorKind = JobErrorKind::Retryable { after: Duration::ZERO };

/// Classifies an error by its type and those of its sources; the outermost that has a row decides:
///
/// | error | kind |
/// |---|---|
/// | [`JobError::into_error`](crate::JobError::into_error) | its own |
/// | [`MetadataError`], `garde::Report` | [`Invalid`](JobErrorKind::Invalid), reported as `invalid_input` |
/// | [`CancelReason::Deadline`] | [`Fatal`](JobErrorKind::Fatal), `job_timeout` |
/// | any other [`CancelReason`] | [`Cancelled`](JobErrorKind::Cancelled) |
/// | [`io::Error`] of the network, or of a timeout | [`Retryable`](JobErrorKind::Retryable), after the retry policy's backoff |
/// | [`CheckpointError`] of an unavailable store | [`Retryable`](JobErrorKind::Retryable), after the retry policy's backoff |
/// | any other [`CheckpointError`] | [`Fatal`](JobErrorKind::Fatal), `checkpoint_…` |
/// | everything else | [`Fatal`](JobErrorKind::Fatal), `unknown_error` |
///
/// `?` in a handler does this. It is a pure function: the same error always has the same kind. The worker
/// adds errors that this crate does not know, such as tokio's `Elapsed`: see [`classify_with`].
///
/// ```
/// use agent_core::{JobErrorKind, classify};
/// use std::io;
///
/// let error = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
/// assert!(matches!(classify(&error), JobErrorKind::Retryable { .. }));
/// ```
#[must_use]
pub fn classify(error: &(dyn Error + 'static)) -> JobErrorKind {
    classify_with(error, |_| false)
}

/// Like [`classify`]; an error that is `temporary` counts as an [`io::Error`] of the network does.
/// `temporary` is called for each error of the chain without a row in the table; the outermost that has a
/// row, or is temporary, decides.
///
/// ```
/// use agent_core::{JobErrorKind, classify_with};
/// use std::{fmt, io, time::Duration};
///
/// let temporary = |error: &(dyn std::error::Error + 'static)| error.is::<fmt::Error>();
/// let kind = classify_with(&io::Error::other(fmt::Error), temporary);
/// assert_eq!(kind, JobErrorKind::Retryable { after: Duration::ZERO });
/// ```
#[must_use]
pub fn classify_with(
    error: &(dyn Error + 'static),
    temporary: impl Fn(&(dyn Error + 'static)) -> bool,
) -> JobErrorKind {
    let unknown = || JobErrorKind::Fatal { reason: Cow::Borrowed("unknown_error") };
    chain(error)
        .find_map(|error| kind_of(error).or_else(|| temporary(error).then_some(TEMPORARY)))
        .unwrap_or_else(unknown)
}

/// The kind of this error alone, without its sources.
fn kind_of(error: &(dyn Error + 'static)) -> Option<JobErrorKind> {
    if let Some(error) = error.downcast_ref::<AsError>() {
        return Some(error.kind.clone());
    }
    if let Some(error) = error.downcast_ref::<MetadataError>() {
        return Some(invalid(error));
    }
    #[cfg(feature = "validate")]
    if let Some(report) = error.downcast_ref::<garde::Report>() {
        return Some(invalid(&crate::metadata::first_problem(report)));
    }
    if let Some(reason) = error.downcast_ref::<CancelReason>() {
        return Some(match reason {
            CancelReason::Deadline => JobErrorKind::Fatal { reason: Cow::Borrowed("job_timeout") },
            _ => JobErrorKind::Cancelled,
        });
    }
    if let Some(error) = error.downcast_ref::<CheckpointError>() {
        return Some(of_checkpoint(error));
    }
    let kind = error.downcast_ref::<io::Error>()?.kind();
    is_network(kind).then_some(TEMPORARY)
}

/// The kind of a checkpoint error.
fn of_checkpoint(error: &CheckpointError) -> JobErrorKind {
    use CheckpointError as E;
    let reason = match error {
        E::Store(StoreError::Unavailable { .. }) => return TEMPORARY,
        E::Key(error) => {
            return JobErrorKind::Invalid {
                field: match error {
                    KeyError::NoField { field } | KeyError::NoText { field } => format!("$.{field}"),
                    KeyError::Metadata(error) => error.path.clone(),
                    KeyError::NoDispatch | KeyError::Empty { .. } | KeyError::TooLong { .. } => {
                        "checkpoint key".to_owned()
                    }
                },
                value: String::new(),
                message: error.to_string(),
            };
        }
        E::NoStore => "checkpoint_no_store",
        E::Newer { .. } => "checkpoint_newer",
        E::Damaged { .. } => "checkpoint_damaged",
        E::Unreadable { .. } => "checkpoint_unreadable",
        E::Unwritable { .. } | E::TooLarge { .. } | E::HalfChanged => "checkpoint_unwritable",
        E::JobOver => "checkpoint_job_over",
        E::Superseded => "checkpoint_superseded",
        E::Store(StoreError::Superseded | StoreError::Unusable { .. }) => "checkpoint_store",
    };
    JobErrorKind::Fatal { reason: Cow::Borrowed(reason) }
}

fn invalid(error: &MetadataError) -> JobErrorKind {
    JobErrorKind::Invalid {
        field: error.path.clone(),
        value: error.value.clone().unwrap_or_default(),
        message: error.message.clone(),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chain::BoxError;
    use crate::checkpoint::REASONS;
    use crate::error::JobError;
    use crate::{AttemptEnd, CheckpointRetention, checkpoint_retention};

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] BoxError);

    fn io_error(kind: io::ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    fn metadata() -> MetadataError {
        crate::parse_metadata::<u32>("true").unwrap_err()
    }

    fn report() -> garde::Report {
        let mut report = garde::Report::new();
        report.append(garde::Path::new("tracks").join(1usize), garde::Error::new("too long"));
        report
    }

    /// The whole table: the kind of each error, alone and inside others.
    #[test]
    fn the_table() {
        use io::ErrorKind as K;
        const NETWORK: &str = "retry after 0ns";
        const UNKNOWN: &str = "fatal unknown_error";
        let cases: Vec<(&str, JobError, &str)> = vec![
            // Wrong input.
            ("metadata", metadata().into(), "invalid $"),
            ("metadata inside", Outer(metadata().into()).into(), "invalid $"),
            ("metadata inside I/O", io::Error::other(metadata()).into(), "invalid $"),
            ("metadata in anyhow", anyhow::Error::from(metadata()).into(), "invalid $"),
            ("rules", report().into(), "invalid $.tracks[1]"),
            ("rules inside", Outer(report().into()).into(), "invalid $.tracks[1]"),
            // Cancelled.
            ("deadline", CancelReason::Deadline.into(), "fatal job_timeout"),
            ("deadline inside", Outer(CancelReason::Deadline.into()).into(), "fatal job_timeout"),
            ("drained", CancelReason::Drained.into(), "cancelled"),
            ("shutdown", CancelReason::Shutdown("enough".into()).into(), "cancelled"),
            ("room closed", CancelReason::RoomClosed.into(), "cancelled"),
            ("terminated", CancelReason::Terminated.into(), "cancelled"),
            ("kicked", CancelReason::Kicked.into(), "cancelled"),
            ("duplicate identity", CancelReason::DuplicateIdentity.into(), "cancelled"),
            ("room gone", Outer(CancelReason::RoomGone.into()).into(), "cancelled"),
            // The network, and time.
            ("refused", io_error(K::ConnectionRefused).into(), NETWORK),
            ("reset", io_error(K::ConnectionReset).into(), NETWORK),
            ("aborted", io_error(K::ConnectionAborted).into(), NETWORK),
            ("not connected", io_error(K::NotConnected).into(), NETWORK),
            ("host unreachable", io_error(K::HostUnreachable).into(), NETWORK),
            ("network unreachable", io_error(K::NetworkUnreachable).into(), NETWORK),
            ("network down", io_error(K::NetworkDown).into(), NETWORK),
            ("no address", io_error(K::AddrNotAvailable).into(), NETWORK),
            ("broken pipe", io_error(K::BrokenPipe).into(), NETWORK),
            ("timed out", io_error(K::TimedOut).into(), NETWORK),
            ("cut off", io_error(K::UnexpectedEof).into(), NETWORK),
            (
                "by number",
                io::Error::from_raw_os_error(111).into(),
                if cfg!(target_os = "linux") { NETWORK } else { UNKNOWN },
            ),
            ("network inside", Outer(io_error(K::TimedOut).into()).into(), NETWORK),
            ("network inside I/O", io::Error::other(Outer(io_error(K::TimedOut).into())).into(), NETWORK),
            ("network in anyhow", anyhow::Error::from(io_error(K::TimedOut)).into(), NETWORK),
            (
                "network in anyhow with context",
                anyhow::Error::from(io_error(K::TimedOut)).context("context").into(),
                NETWORK,
            ),
            ("network in a box", JobError::from(BoxError::from(io_error(K::TimedOut))), NETWORK),
            ("network in a box of its own", Outer(Box::new(Box::new(io_error(K::TimedOut)))).into(), NETWORK),
            ("network, shared", Arc::new(io_error(K::TimedOut)).into(), NETWORK),
            ("network, shared inside", Outer(Box::new(Arc::new(io_error(K::TimedOut)))).into(), NETWORK),
            (
                "network, shared as any error",
                Outer(Box::new(Arc::<dyn Error + Send + Sync>::from(BoxError::from(io_error(K::TimedOut)))))
                    .into(),
                NETWORK,
            ),
            (
                "metadata, shared",
                Outer(Box::new(Arc::<dyn Error + Send + Sync>::from(BoxError::from(metadata())))).into(),
                "invalid $",
            ),
            (
                "a store that is unavailable",
                CheckpointError::from(StoreError::Unavailable { problem: "full".into(), source: None })
                    .into(),
                NETWORK,
            ),
            // The outer one decides.
            ("both", io::Error::new(K::TimedOut, metadata()).into(), NETWORK),
            // Everything else.
            ("not found", io_error(K::NotFound).into(), UNKNOWN),
            ("denied", io_error(K::PermissionDenied).into(), UNKNOWN),
            ("disk full", io_error(K::StorageFull).into(), UNKNOWN),
            ("other I/O", io::Error::other("x").into(), UNKNOWN),
            ("number", "x".parse::<u8>().unwrap_err().into(), UNKNOWN),
            ("JSON of the user", serde_json::from_str::<u8>("x").unwrap_err().into(), UNKNOWN),
            ("text", "text".into(), UNKNOWN),
            ("own text", "text".to_owned().into(), UNKNOWN),
            ("anyhow text", anyhow::anyhow!("text").into(), UNKNOWN),
            // Explicit kinds.
            ("retryable", JobError::retryable("x", Duration::from_secs(9)), "retry after 9s"),
            ("fatal", JobError::fatal("quota").with_source(io_error(K::TimedOut)), "fatal quota"),
            ("invalid", JobError::invalid("language", "xx", "unknown"), "invalid language"),
            ("cancelled", JobError::cancelled(), "cancelled"),
        ];
        for (name, error, expected) in cases {
            let shown = match error.kind() {
                JobErrorKind::Cancelled => "cancelled".to_owned(),
                JobErrorKind::Fatal { reason } => format!("fatal {reason}"),
                JobErrorKind::Invalid { field, .. } => format!("invalid {field}"),
                JobErrorKind::Retryable { after } => format!("retry after {after:?}"),
                other => format!("{other:?}"),
            };
            assert_eq!(shown, expected, "{name}");
        }
    }

    #[test]
    fn a_job_that_failed_because_of_its_checkpoint_keeps_it() {
        let (type_name, path, message) = (String::new, || "$".to_owned(), String::new);
        let errors = [
            CheckpointError::NoStore,
            CheckpointError::Newer { saved: 2, known: 1 },
            CheckpointError::Damaged { problem: "x" },
            CheckpointError::Unreadable {
                type_name: type_name(),
                saved: 1,
                path: path(),
                message: message(),
            },
            CheckpointError::Unwritable { type_name: type_name(), path: path(), message: message() },
            CheckpointError::TooLarge { type_name: type_name(), len: 1 },
            CheckpointError::HalfChanged,
            CheckpointError::JobOver,
            CheckpointError::Superseded,
            CheckpointError::Store(StoreError::Unusable { problem: String::new(), source: None }),
        ];
        for error in errors {
            let JobErrorKind::Fatal { reason } = of_checkpoint(&error) else { panic!("{error}") };
            assert!(REASONS.contains(&&*reason), "{reason}");
            let end = AttemptEnd::Error { kind: JobErrorKind::Fatal { reason }, text: String::new() };
            assert_eq!(checkpoint_retention(None, &end), CheckpointRetention::Keep, "{error}");
        }
    }

    /// An error that the caller knows to be temporary keeps its place in the chain: an outer error decides
    /// before it.
    #[test]
    fn errors_that_only_the_caller_knows() {
        #[derive(Debug, thiserror::Error)]
        #[error("elapsed")]
        struct Elapsed;
        let temporary = |error: &(dyn Error + 'static)| error.is::<Elapsed>();
        let unusable = |source: BoxError| {
            CheckpointError::from(StoreError::Unusable {
                problem: "not a store".into(),
                source: Some(source),
            })
        };
        let cases: Vec<(&str, JobError, JobErrorKind)> = vec![
            ("alone", Elapsed.into(), TEMPORARY),
            ("inside", Outer(Elapsed.into()).into(), TEMPORARY),
            ("inside I/O", io::Error::other(Elapsed).into(), TEMPORARY),
            ("in anyhow", anyhow::Error::from(Elapsed).context("loading").into(), TEMPORARY),
            ("in a box", JobError::from(BoxError::from(Elapsed)), TEMPORARY),
            (
                "shared",
                Outer(Box::new(Arc::<dyn Error + Send + Sync>::from(BoxError::from(Elapsed)))).into(),
                TEMPORARY,
            ),
            (
                "behind an error with a row",
                unusable(Elapsed.into()).into(),
                JobErrorKind::Fatal { reason: "checkpoint_store".into() },
            ),
            ("not there", "text".into(), JobErrorKind::Fatal { reason: "unknown_error".into() }),
            (
                "the handler gave a kind",
                JobError::fatal("quota").with_source(Elapsed),
                JobErrorKind::Fatal { reason: "quota".into() },
            ),
            (
                "the handler asks for a wait",
                JobError::retryable(Elapsed, Duration::from_secs(9)),
                JobErrorKind::Retryable { after: Duration::from_secs(9) },
            ),
        ];
        for (name, error, expected) in cases {
            assert_eq!(*error.reclassify_with(temporary).kind(), expected, "{name}");
        }
    }

    #[test]
    fn a_chain_has_an_end() {
        let mut error: BoxError = io_error(io::ErrorKind::TimedOut).into();
        for _ in 0..200 {
            error = Outer(error).into();
        }
        assert_eq!(classify(error.as_ref()), JobErrorKind::Fatal { reason: "unknown_error".into() });
    }
}
