//! Errors and those behind them.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Any error, as [`JobError`](crate::JobError) keeps it.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Longer chains of errors are not looked at to their end.
const MAX_CHAIN: usize = 128;

/// The error and those behind it.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| behind(*error)).take(MAX_CHAIN)
}

fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    // These hide from `source()` the error that they hold: they give its source as their own.
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

/// Writes an error and those behind it after what was said, leaving out what that has told already.
pub(crate) fn write_chain(
    f: &mut fmt::Formatter<'_>,
    said: &str,
    error: &(dyn Error + 'static),
) -> fmt::Result {
    let mut said = said.to_owned();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if said.is_empty() {
            f.write_str(&text)?;
        } else if !said.contains(&text) {
            write!(f, ": {text}")?;
        }
        said = text;
        next = error.source();
    }
    Ok(())
}
