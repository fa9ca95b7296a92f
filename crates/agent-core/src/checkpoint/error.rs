//! What can be wrong with a checkpoint, and what that means for its job.

use crate::chain::{BoxError, write_chain};
use crate::metadata::MetadataError;
use std::fmt;

/// Why a store did not do what it was asked to.
///
/// `Debug` shows the message and what is behind it: it is what Rust prints when `main` returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer has claimed the key since.
    #[error("another worker has taken this checkpoint over")]
    Superseded,
    /// It cannot be used now: unreachable, locked, full. It may be again.
    #[error("{problem}")]
    Unavailable {
        /// Names the store, and says what to do.
        problem: String,
        /// What is behind it.
        source: Option<BoxError>,
    },
    /// It cannot be used before somebody mends it: not a store, damaged, refusing the credentials.
    #[error("{problem}")]
    Unusable {
        /// Names the store, and says what to do.
        problem: String,
        /// What is behind it.
        source: Option<BoxError>,
    },
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(f, "", self)
    }
}

/// Why a job has no such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The metadata lacks the field that the key is made of.
    #[error(
        "the job's metadata has no field `{field}`, which its checkpoint is kept by: dispatch the job with it"
    )]
    NoField {
        /// Which field.
        field: String,
    },
    /// The field can be no key.
    #[error(
        "the field `{field}` of the job's metadata, which its checkpoint is kept by, must be a text that is not empty, or a number"
    )]
    NoText {
        /// Which field.
        field: String,
    },
    /// The metadata is no JSON.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The job comes from no dispatch.
    #[error("the job has no dispatch id, which its checkpoint is kept by: the server made it by itself")]
    NoDispatch,
    /// What the program gave for it is empty, so that jobs would share it that have nothing in common.
    #[error("the checkpoint's key is made of an empty text: give `{what}` at least a byte")]
    Empty {
        /// `KeyBy::Metadata` or `KeyBy::Text`.
        what: &'static str,
    },
    /// It would be too long.
    #[error("the key of the checkpoint would have {len} bytes, and 4096 are the most: shorten {what}")]
    TooLong {
        /// How long it would be.
        len: usize,
        /// What makes it long.
        what: &'static str,
    },
}

/// The reasons of jobs that [`CheckpointError`] ends.
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
/// Returned with `?`, it ends the job with a reason of its own (`checkpoint_superseded`, `checkpoint_newer`, …); what may go away, as a
/// store that cannot be reached, is worth another attempt. None of them deletes a checkpoint that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The worker has no store.
    #[error("there is no store for checkpoints: call `.checkpoints(…)` on the worker's builder")]
    NoStore,
    /// The job has no such key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A newer agent has saved it.
    #[error(
        "the checkpoint was saved by version {saved} of this agent, and this one is version {known}: run the newer agent, or delete the checkpoint"
    )]
    Newer {
        /// The version that saved it.
        saved: u32,
        /// The version that wants to read it.
        known: u32,
    },
    /// Its bytes are not what was written.
    #[error("the checkpoint cannot be read: {problem}; delete it to begin anew")]
    Damaged {
        /// What is wrong.
        problem: &'static str,
    },
    /// It is whole, but no value of the type.
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
        /// What is wrong there.
        message: String,
    },
    /// The value cannot be written as JSON, or would not load again.
    #[error("the checkpoint (a {type_name}) cannot be saved: at `{path}`: {message}")]
    Unwritable {
        /// Its Rust type.
        type_name: String,
        /// Where in the value, as `$.field[index]`; `$` is the value itself.
        path: String,
        /// What is wrong there, and what to do.
        message: String,
    },
    /// The value is too large.
    #[error(
        "the checkpoint (a {type_name}) has {len} bytes as JSON, and 16777216 are the most: save less, or a reference to it"
    )]
    TooLarge {
        /// Its Rust type.
        type_name: String,
        /// How large it is.
        len: usize,
    },
    /// A change of the value panicked, so that it may be half changed.
    #[error("the checkpoint is not saved any more: a change of its value panicked, and may be half done")]
    HalfChanged,
    /// The job has its outcome: what still runs of it saves nothing any more.
    #[error("the job of this checkpoint is over: nothing more is saved")]
    JobOver,
    /// Another worker has taken the job over: nothing of this one is saved any more.
    #[error("another worker has taken this checkpoint over: nothing more is saved here")]
    Superseded,
    /// The store did not do it.
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
    /// Whether it may go away by itself.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable { .. }))
    }

    /// Whether it is about the value: the same value will be refused again, in whatever store.
    #[must_use]
    pub const fn is_about_value(&self) -> bool {
        matches!(self, Self::Unwritable { .. } | Self::TooLarge { .. })
    }

    /// What it is in one word, as metrics count it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
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
    fn what_ends_a_job_has_a_reason_of_its_own() {
        check(
            CheckpointError::Superseded,
            r#"Fatal { reason: "checkpoint_superseded" } | checkpoint_superseded: another worker has taken this checkpoint over: nothing more is saved here"#,
        );
        check(
            StoreError::Unavailable { problem: "the disk is full".into(), source: Some("no space".into()) }
                .into(),
            "Retryable { after: 0ns } | the checkpoint store failed: the disk is full: no space",
        );
        check(
            StoreError::Unusable { problem: "it is no store".into(), source: None }.into(),
            r#"Fatal { reason: "checkpoint_store" } | checkpoint_store: the checkpoint store failed: it is no store"#,
        );
        check(
            KeyError::NoField { field: "request_id".into() }.into(),
            r#"Invalid { field: "$.request_id", value: "", message: "the job's metadata has no field `request_id`, which its checkpoint is kept by: dispatch the job with it" } | invalid_input: $.request_id: the job's metadata has no field `request_id`, which its checkpoint is kept by: dispatch the job with it"#,
        );
    }
}
