//! Human-readable text of errors.

use crate::text::line;
use std::error::Error;
use std::fmt;

/// The text of an error and of its sources. A source whose text is already contained is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        if !text.contains(&part) {
            text += &format!(": {part}");
        }
        next = source.source();
    }
    text
}

/// Implements `Debug` for errors that end a `main`: Rust shows the `Debug` of an error that `main` returns,
/// and an operator reads it.
pub fn debug(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", line(chain(error)))
}
