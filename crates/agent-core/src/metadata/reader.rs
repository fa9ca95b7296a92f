//! A deserializer that reports where and why it stopped, without copying the text or building a tree of
//! values.
//!
//! For types with `#[serde(tag = …)]`, `flatten` or `untagged` serde buffers values of any type, with 32
//! bytes for a number and 64 for a field, so that half a megabyte of text may become 20 MB of memory. The
//! size of that buffer is limited.

mod elements;
mod keys;
mod value;
mod variants;

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, Expected, Unexpected, Visitor};

use super::cause::Cause;
use super::number::Number;
use super::scan::{Cursor, RawString, Token, Work};
use elements::{Elements, Entries};
use value::Value;

/// The deepest nesting of lists and objects.
pub(super) const MAX_DEPTH: usize = 127;
/// The limit of serde's buffers, as [`Reader::keep`] counts them.
pub(super) const MAX_KEPT: usize = 7 * 1024 * 1024;

/// Changes to the document while reading, to determine which value an error refers to.
#[derive(Clone, Copy, Default)]
pub(super) enum Trial<'de> {
    #[default]
    None,
    /// The values at these offsets are read as strings: slices of the document at the same offset.
    Texts(&'de [usize]),
    /// The values at these offsets are read as their index in this list.
    Numbers(&'de [usize]),
    /// The object at this offset gets another field, which is null.
    Fill { object: usize, name: &'de str },
}

/// What to read, and how.
#[derive(Clone, Copy)]
pub(super) struct Plan<'de> {
    pub(super) text: &'de str,
    pub(super) work: &'de Work,
    /// Top-level fields that are hidden from the type.
    pub(super) hidden: &'de [&'static str],
    pub(super) trial: Trial<'de>,
}

impl<'de> Plan<'de> {
    pub(super) fn cursor(&self) -> Cursor<'de> {
        Cursor::new(self.text, self.work)
    }

    /// Reads the text as `T`.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Cause> {
        Reader::new(self, None).document()
    }

    /// Reads the text as `T`, and notes the fields that `T` ignores.
    pub(super) fn ignored<T: DeserializeOwned>(self, note: &mut dyn FnMut(Ignored<'de>)) -> Result<T, Cause> {
        Reader::new(self, Some(note)).document()
    }
}

/// A field that the type does not know.
pub(super) struct Ignored<'de> {
    pub(super) at: usize,
    pub(super) name: RawString<'de>,
    /// Whether it is a top-level field.
    pub(super) top: bool,
}

pub(super) struct Reader<'n, 'de> {
    cursor: Cursor<'de>,
    plan: Plan<'de>,
    depth: usize,
    /// The number of values that were read without a type, into a buffer.
    anything: usize,
    kept: usize,
    note: Option<&'n mut dyn FnMut(Ignored<'de>)>,
}

impl<'n, 'de> Reader<'n, 'de> {
    fn new(plan: Plan<'de>, note: Option<&'n mut dyn FnMut(Ignored<'de>)>) -> Self {
        Self { cursor: plan.cursor(), plan, depth: 0, anything: 0, kept: 0, note }
    }

    fn document<T: DeserializeOwned>(mut self) -> Result<T, Cause> {
        self.value(PhantomData, 1, None)
    }

    /// Reads the next value, at `index` of its list or object; `field` is its name, if any.
    fn value<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
        index: usize,
        field: Option<(usize, RawString<'de>)>,
    ) -> Result<S::Value, Cause> {
        let start = self.cursor.start();
        let before = self.anything;
        self.plan.work.add(1);
        let result = seed.deserialize(Value { reader: self, field, index });
        if result.is_ok() && self.cursor.at() == start {
            // The type has read nothing.
            self.cursor.skip();
        }
        result.map_err(|cause| cause.within(start, self.anything != before))
    }

    fn enter(&mut self) -> Result<(), Cause> {
        if self.depth == MAX_DEPTH {
            let at = self.cursor.start();
            return Err(Cause::text(format_args!(
                "nested deeper than {MAX_DEPTH} levels at {}",
                line_and_column(self.plan.text, at)
            )));
        }
        self.depth += 1;
        self.cursor.enter();
        Ok(())
    }

    /// Counts what serde buffers for a value without a type, at `index` of its list or object: a vector that
    /// starts with capacity four and doubles, of 32 bytes for a value and as many for its name. A recursive
    /// `untagged` type buffers it again at each level, so deep values count more.
    fn keep(&mut self, index: usize, named: bool) -> Result<(), Cause> {
        let one = if named { 64 } else { 32 } * (self.depth / 4).max(1);
        self.kept += match index {
            0 => 4 * one,
            index if index >= 4 && index.is_power_of_two() => index * one,
            _ => 0,
        };
        if self.kept <= MAX_KEPT {
            return Ok(());
        }
        Err(Cause::message(
            "too many values: a part with alternatives takes about 131072 plain ones, or 24000 small objects",
        ))
    }

    /// Passes the next value to the type.
    fn visit<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Cause> {
        match self.cursor.token() {
            Some(Token::Null) => {
                self.cursor.literal();
                visitor.visit_unit()
            }
            Some(token @ (Token::True | Token::False)) => {
                self.cursor.literal();
                visitor.visit_bool(token == Token::True)
            }
            Some(Token::Number) => Number::of(self.cursor.literal())?.visit(visitor),
            Some(Token::String) => match decode(self.cursor.string())? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Some(Token::Array) => {
                self.enter()?;
                let mut elements = Elements::new(self);
                let value = visitor.visit_seq(&mut elements)?;
                elements.end()?;
                self.depth -= 1;
                Ok(value)
            }
            Some(Token::Object) => {
                self.enter()?;
                let mut entries = Entries::new(self);
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                self.depth -= 1;
                Ok(value)
            }
            None => Err(unfinished()),
        }
    }

    /// The error about the next value's type.
    fn error_of(&mut self, expected: &dyn Expected) -> Cause {
        let found = match self.cursor.token() {
            Some(Token::True) => Unexpected::Bool(true),
            Some(Token::False) => Unexpected::Bool(false),
            Some(Token::Number) => match Number::of(self.cursor.clone().literal()) {
                Ok(Number::Unsigned(value)) => Unexpected::Unsigned(value),
                Ok(Number::Signed(value)) => Unexpected::Signed(value),
                Ok(Number::Float(value)) => Unexpected::Float(value),
                Err(cause) => return cause,
            },
            Some(Token::String) => Unexpected::Str(self.cursor.clone().string().raw),
            Some(Token::Array) => Unexpected::Seq,
            Some(Token::Object) => Unexpected::Map,
            Some(Token::Null) | None => Unexpected::Unit,
        };
        Cause::invalid_type(found, expected)
    }
}

/// Never happens for a well-formed document.
fn unfinished() -> Cause {
    Cause::text("not JSON: it ends too early")
}

fn decode(text: RawString<'_>) -> Result<Cow<'_, str>, Cause> {
    text.decode().map_err(Cause::message)
}

/// In serde_json's form.
fn line_and_column(text: &str, at: usize) -> String {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("line {line} column {column}")
}
