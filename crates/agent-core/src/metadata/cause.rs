//! Why a value was not read: serde's error in parts, as its text would have to be parsed again and may be as
//! long as the document.

use std::fmt::{self, Write as _};

use serde::de::{self, Expected, Unexpected};

use super::wording;
use crate::text::MAX_VALUE;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 400;
/// How much is kept of a found string, in bytes; the rest is compared by length only.
const MAX_HEAD: usize = 4 * MAX_VALUE;

/// Boxed to be small, since types with alternatives create and drop one for each alternative that does not
/// match.
#[derive(Clone, Debug)]
pub(super) struct Cause(Box<Parts>);

#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) problem: Problem,
    pub(super) found: Found,
    /// In the wording of serde, or of a type with its own errors.
    pub(super) expected: String,
    /// The start of the innermost value that could not be read.
    pub(super) at: Option<usize>,
    /// Whether serde buffered a part of that value, so that the error may be anywhere within it.
    pub(super) buffered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Type,
    Value,
    Length(usize),
    Variant,
    UnknownField,
    MissingField(&'static str),
    DuplicateField(&'static str),
    /// The name of a field is invalid, such as that of a map with numbers as keys.
    Key,
    /// A message of a type, or ours, without a value to search for.
    Message(String),
    /// An error of the document as text, without a place.
    Text(String),
}

/// The value that serde found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// Its address in memory, which gives its place in the document, unless it was written with escapes.
    Text {
        address: usize,
        len: usize,
        head: String,
    },
    List,
    Object,
    /// Not a value to search for.
    Other,
}

impl Cause {
    pub(super) fn new(problem: Problem, found: Found, expected: String) -> Self {
        Self(Box::new(Parts { problem, found, expected, at: None, buffered: false }))
    }

    pub(super) fn message(text: impl fmt::Display) -> Self {
        Self::new(Problem::Message(bounded(text)), Found::Other, String::new())
    }

    pub(super) fn text(text: impl fmt::Display) -> Self {
        Self::new(Problem::Text(bounded(text)), Found::Other, String::new())
    }

    /// Sets the place, unless an inner value has done so.
    pub(super) fn within(mut self, at: usize, buffered: bool) -> Self {
        if self.0.at.is_none() {
            self.0.at = Some(at);
            self.0.buffered = buffered;
        }
        self
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0
    }

    /// Whether it is the same error about the same value.
    pub(super) fn same(&self, other: &Self) -> bool {
        let (this, other) = (&*self.0, &*other.0);
        this.problem == other.problem
            && this.found == other.found
            && this.expected == other.expected
            && this.at == other.at
    }
}

impl Found {
    pub(super) fn of_text(text: &str) -> Self {
        let head = text.get(..text.floor_char_boundary(MAX_HEAD)).unwrap_or_default();
        Self::Text { address: text.as_ptr().addr(), len: text.len(), head: head.to_owned() }
    }

    /// Where in the document this text is, if it is a part of it.
    pub(super) fn offset_in(&self, document: &str) -> Option<usize> {
        let Self::Text { address, len, .. } = self else { return None };
        let offset = address.checked_sub(document.as_ptr().addr())?;
        (offset.checked_add(*len)? <= document.len()).then_some(offset)
    }

    /// Whether a string may be the one that was found.
    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text { len, head, .. } if *len == text.len() && text.starts_with(head.as_str()))
    }
}

impl From<Unexpected<'_>> for Found {
    fn from(found: Unexpected<'_>) -> Self {
        match found {
            Unexpected::Bool(value) => Self::Bool(value),
            Unexpected::Unsigned(value) => Self::Unsigned(value),
            Unexpected::Signed(value) => Self::Signed(value),
            Unexpected::Float(value) => Self::Float(value),
            Unexpected::Str(text) => Self::of_text(text),
            Unexpected::Unit | Unexpected::Option => Self::Null,
            Unexpected::Seq => Self::List,
            Unexpected::Map => Self::Object,
            _ => Self::Other,
        }
    }
}

impl de::Error for Cause {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::message(message)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Problem::Type, found.into(), bounded(expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Problem::Value, found.into(), bounded(expected))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::new(Problem::Length(len), Found::Other, bounded(expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Problem::Variant, Found::of_text(variant), wording::one_of(expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Problem::UnknownField, Found::of_text(field), wording::one_of(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Problem::MissingField(field), Found::Other, String::new())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Problem::DuplicateField(field), Found::Other, String::new())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.problem)
    }
}

impl std::error::Error for Cause {}

/// The start of a text, which is not formatted further.
fn bounded(text: impl fmt::Display) -> String {
    let mut kept = Bounded(String::new());
    // An error only means that there is more.
    let _ = write!(kept, "{text}");
    kept.0
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_MESSAGE.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}
