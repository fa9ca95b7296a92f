//! A `JobError` where an `Error` is asked for: all its parts, so that it comes back whole.

use std::error::Error;
use std::fmt;

use crate::chain::BoxError;
use crate::error_kind::JobErrorKind;

/// Its text has the whole chain of errors, so it has no source.
pub(crate) struct AsError {
    pub(crate) kind: JobErrorKind,
    pub(crate) source: Option<BoxError>,
    pub(crate) context: Option<Box<str>>,
    pub(crate) derived: bool,
    pub(crate) text: String,
}

impl Error for AsError {}

impl fmt::Display for AsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for AsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobError").field("kind", &self.kind).field("text", &self.text).finish()
    }
}
