//! Chains of errors and their sources.

use std::error::Error;
use std::io;
use std::sync::Arc;

/// Any error, as [`JobError`](crate::JobError) keeps it.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The longest part of a chain that is examined.
const MAX_CHAIN: usize = 128;

/// The error and its sources.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| behind(*error)).take(MAX_CHAIN)
}

fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // `source()` of these skips the error that they hold: they return its source as their own.
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return Some(&**shared);
    }
    if let Some(shared) = error.downcast_ref::<Arc<io::Error>>() {
        return Some(&**shared);
    }
    if let Some(boxed) = error.downcast_ref::<Box<io::Error>>() {
        return Some(&**boxed);
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
