//! Human-readable text of errors.

use std::error::Error;
use std::fmt;

use crate::text::line;

/// Longer chains of errors are not read to their end: an error may be its own source.
const MAX_CHAIN: usize = 128;

/// The text of an error and of its sources. A source whose text is already contained is left out.
pub fn chain(error: &dyn Error) -> String {
    chain_after("", error)
}

/// As [`chain`], after a prefix, which counts as contained text.
pub fn chain_after(prefix: &str, error: &dyn Error) -> String {
    let mut text = prefix.to_owned();
    let mut next = Some(error);
    for _ in 0..MAX_CHAIN {
        let Some(error) = next else { break };
        let part = error.to_string();
        if text.is_empty() {
            text = part;
        } else if !text.contains(&part) {
            text += ": ";
            text += &part;
        }
        next = error.source();
    }
    text
}

/// Implements `Debug` for errors that end a `main`: Rust shows the `Debug` of an error that `main` returns,
/// and an operator reads it.
pub fn debug(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}", line(chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with a source; the last one of a chain that is a circle is its own.
    #[derive(Debug)]
    struct Failed(&'static str, Option<Box<Failed>>);

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failed {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            match self {
                Self("circle", None) => Some(self),
                Self(_, source) => source.as_deref().map(|source| source as _),
            }
        }
    }

    fn failed(texts: &[&'static str]) -> Failed {
        let (first, rest) = texts.split_first().unwrap();
        Failed(first, (!rest.is_empty()).then(|| failed(rest).into()))
    }

    #[test]
    fn each_error_occurs_once() {
        assert_eq!(chain(&failed(&["no room", "refused"])), "no room: refused");
        // The text of some errors holds that of their source.
        assert_eq!(chain(&failed(&["no room: refused", "refused", "401"])), "no room: refused: 401");
        assert_eq!(chain_after("the job failed", &failed(&["no room"])), "the job failed: no room");
        assert_eq!(chain_after("no room", &failed(&["no room", "refused"])), "no room: refused");
        assert_eq!(chain_after("", &failed(&["circle"])), "circle");
    }
}
