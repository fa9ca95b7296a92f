//! Errors of checkpoints and their stores.

use std::fmt;

use agent_proto::error_text;

use crate::chain::BoxError;
use crate::metadata::MetadataError;

/// Why a store failed.
///
/// `Debug` shows the message and its sources, as Rust prints it when `main` returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer has claimed the key since.
    #[error("another worker has taken this checkpoint over")]
    Superseded,
    /// Temporarily unavailable: unreachable, locked, full.
    #[error("{problem}")]
    Unavailable {
        /// Names the store and what to do.
        problem: String,
        /// The source error.
        source: Option<BoxError>,
    },
    /// Not usable without an intervention: not a store, damaged, refusing the credentials.
    #[error("{problem}")]
    Unusable {
        /// Names the store and what to do.
        problem: String,
        /// The source error.
        source: Option<BoxError>,
    },
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_text::chain(self))
    }
}

/// Why a job has no checkpoint key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The metadata lacks the field that the key is derived from.
    #[error(
        "the job's metadata has no field `{field}`, which its checkpoint key needs: dispatch the job with it"
    )]
    NoField {
        /// The field.
        field: String,
    },
    /// The field's value is not usable as a key.
    #[error(
        "the field `{field}` of the job's metadata, which its checkpoint key needs, must be a non-empty string or a number"
    )]
    NoText {
        /// The field.
        field: String,
    },
    /// The metadata is not JSON.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The job comes from no dispatch.
    #[error(
        "the job has no dispatch id, which its checkpoint key needs: the server created the job without a dispatch"
    )]
    NoDispatch,
    /// The configured text is empty, so that unrelated jobs would share the key.
    #[error("the checkpoint's key is made of an empty text: give `{what}` at least a byte")]
    Empty {
        /// `KeyBy::Metadata` or `KeyBy::Text`.
        what: &'static str,
    },
    /// The key would be too long.
    #[error("the key of the checkpoint would have {len} bytes, the limit is 4096: shorten {what}")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The part that makes it long.
        what: &'static str,
    },
}

/// The failure reasons of jobs that end with a [`CheckpointError`].
pub(crate) const REASONS: [&str; 8] = [
    "checkpoint_no_store",
    "checkpoint_newer",
    "checkpoint_damaged",
    "checkpoint_unreadable",
    "checkpoint_unwritable",
    "checkpoint_job_over",
    "checkpoint_superseded",
    "checkpoint_store",
];

/// Why a checkpoint could not be loaded, saved or deleted.
///
/// Returned with `?`, it ends the job with a reason of its own (`checkpoint_superseded`, `checkpoint_newer`,
/// …); a temporary one, such as an unreachable store, is retried. None of them deletes a checkpoint that
/// could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The worker has no store.
    #[error("there is no store for checkpoints: call `.checkpoints(…)` on the worker's builder")]
    NoStore,
    /// The job has no checkpoint key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A newer agent has saved it.
    #[error(
        "the checkpoint was saved by version {saved} of this agent, and this one is version {known}: run the newer agent, or delete the checkpoint"
    )]
    Newer {
        /// The version that saved it.
        saved: u32,
        /// The version of the code that reads it.
        known: u32,
    },
    /// Its bytes are damaged.
    #[error("the checkpoint cannot be read: {problem}; delete it to start over")]
    Damaged {
        /// The problem.
        problem: &'static str,
    },
    /// It is intact, but not a value of the type.
    #[error(
        "the checkpoint, saved by version {saved} of this agent, is no valid {type_name}: at `{path}`: {message}; make the type read the older form, or delete the checkpoint"
    )]
    Unreadable {
        /// The Rust type that was asked for.
        type_name: String,
        /// The version that saved it.
        saved: u32,
        /// Where in the JSON document.
        path: String,
        /// The problem there.
        message: String,
    },
    /// The value cannot be written as JSON, or would not load again.
    #[error("the checkpoint (a {type_name}) cannot be saved: at `{path}`: {message}")]
    Unwritable {
        /// Its Rust type.
        type_name: String,
        /// Where in the value, as `$.field[index]`; `$` is the value itself.
        path: String,
        /// The problem there, and what to do.
        message: String,
    },
    /// The value is too large.
    #[error(
        "the checkpoint (a {type_name}) has {len} bytes as JSON, the limit is 16777216: save less, or a reference to it"
    )]
    TooLarge {
        /// Its Rust type.
        type_name: String,
        /// Its size, in bytes.
        len: usize,
    },
    /// A change of the value panicked, so that it may be partly changed.
    #[error("the checkpoint is not saved any more: a change of its value panicked, and may be incomplete")]
    HalfChanged,
    /// The job has its outcome: remaining tasks of it can no longer save.
    #[error("the job of this checkpoint is over: nothing more is saved")]
    JobOver,
    /// Another worker has taken the job over: this one can no longer save.
    #[error("another worker has taken this checkpoint over: nothing more is saved here")]
    Superseded,
    /// The store failed.
    #[error("the checkpoint store failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Superseded => Self::Superseded,
            error @ (StoreError::Unavailable { .. } | StoreError::Unusable { .. }) => Self::Store(error),
        }
    }
}

impl CheckpointError {
    /// Whether it is temporary.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable { .. }))
    }

    /// Whether the value itself is refused: every store would refuse it again.
    #[must_use]
    pub const fn is_about_value(&self) -> bool {
        matches!(self, Self::Unwritable { .. } | Self::TooLarge { .. })
    }

    /// The value of the metric label for this error.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoStore => "no_store",
            Self::Key(_) => "key",
            Self::Newer { .. } => "newer",
            Self::Damaged { .. } => "damaged",
            Self::Unreadable { .. } => "unreadable",
            Self::Unwritable { .. } => "unwritable",
            Self::TooLarge { .. } => "too_large",
            Self::HalfChanged => "half_changed",
            Self::JobOver => "job_over",
            Self::Superseded | Self::Store(StoreError::Superseded) => "superseded",
            Self::Store(StoreError::Unavailable { .. }) => "unavailable",
            Self::Store(StoreError::Unusable { .. }) => "unusable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobError;

    fn check(error: CheckpointError, expected: &str) {
        let error = JobError::from(error);
        assert_eq!(format!("{:?} | {error}", error.kind()), expected);
    }

    #[test]
    fn errors_that_end_a_job_have_a_separate_reason() {
        check(
            CheckpointError::Superseded,
            r#"Fatal { reason: "checkpoint_superseded" } | checkpoint_superseded: another worker has taken this checkpoint over: nothing more is saved here"#,
        );
        check(
            unavailable().into(),
            "Retryable { after: 0ns } | the checkpoint store failed: the disk is full: no space",
        );
        check(
            unusable().into(),
            r#"Fatal { reason: "checkpoint_store" } | checkpoint_store: the checkpoint store failed: it is no store"#,
        );
        check(
            KeyError::NoField { field: "request_id".into() }.into(),
            r#"Invalid { field: "$.request_id", value: "", message: "the job's metadata has no field `request_id`, which its checkpoint key needs: dispatch the job with it" } | invalid_input: $.request_id: the job's metadata has no field `request_id`, which its checkpoint key needs: dispatch the job with it"#,
        );
    }

    fn unavailable() -> StoreError {
        StoreError::Unavailable { problem: "the disk is full".into(), source: Some("no space".into()) }
    }

    fn unusable() -> StoreError {
        StoreError::Unusable { problem: "it is no store".into(), source: None }
    }

    /// Every error; its label; whether it is temporary; whether it is about the value.
    #[test]
    fn the_table() {
        use CheckpointError as E;
        let type_name = String::new;
        let table = [
            (E::NoStore, "no_store", false, false),
            (E::Key(KeyError::NoDispatch), "key", false, false),
            (E::Newer { saved: 2, known: 1 }, "newer", false, false),
            (E::Damaged { problem: "it is cut short" }, "damaged", false, false),
            (
                E::Unreadable { type_name: type_name(), saved: 1, path: "$".into(), message: String::new() },
                "unreadable",
                false,
                false,
            ),
            (
                E::Unwritable { type_name: type_name(), path: "$".into(), message: String::new() },
                "unwritable",
                false,
                true,
            ),
            (E::TooLarge { type_name: type_name(), len: 1 }, "too_large", false, true),
            (E::HalfChanged, "half_changed", false, false),
            (E::JobOver, "job_over", false, false),
            (E::Superseded, "superseded", false, false),
            (E::Store(StoreError::Superseded), "superseded", false, false),
            (E::Store(unavailable()), "unavailable", true, false),
            (E::Store(unusable()), "unusable", false, false),
        ];
        for (error, label, temporary, about_value) in table {
            let found = (error.label(), error.is_temporary(), error.is_about_value());
            assert_eq!(found, (label, temporary, about_value), "{error}");
        }
    }

    #[test]
    fn debug_shows_the_message_and_its_sources() {
        assert_eq!(format!("{:?}", unavailable()), "the disk is full: no space");
    }
}
