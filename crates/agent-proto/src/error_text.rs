//! Errors as people read them.

use crate::text::line;
use std::error::Error;
use std::fmt;

/// The text of an error and of those behind it; a source that the text above has said already is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text += &format!(": {said}");
        }
        next = source.source();
    }
    text
}

/// `Debug` for the errors that end a `main`: Rust shows the `Debug` of an error that `main` returns, and people read it.
pub fn debug(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", line(chain(error)))
}
