//! serde's way through a document: a deserializer that says where and why it stopped, without a text of it or a tree of values.
//!
//! Types with `#[serde(tag = …)]`, `flatten` or `untagged` have serde keep values that it reads as anything at all, 32 bytes for a
//! number and 64 for a field, so that half a megabyte of text may become 20 of memory. How much of that there may be has a limit.

mod elements;
mod keys;
mod value;
mod variants;

use super::cause::Cause;
use super::number::Number;
use super::scan::{Cursor, RawString, Token, Work};
use elements::{Elements, Entries};
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, Expected, Unexpected, Visitor};
use std::borrow::Cow;
use std::marker::PhantomData;
use value::Value;

/// How deep lists and objects may be in each other.
pub(super) const MAX_DEPTH: usize = 127;
/// What serde may keep of a document, as [`Reader::keep`] counts it.
pub(super) const MAX_KEPT: usize = 7 * 1024 * 1024;

/// What is read otherwise than it is written, to find out which value is meant by an error.
#[derive(Clone, Copy, Default)]
pub(super) enum Trial<'de> {
    #[default]
    None,
    /// The values that begin at these places, in this order, are texts, each a part of the document that begins there.
    Texts(&'de [usize]),
    /// Each of them is the number of its place in the list.
    Numbers(&'de [usize]),
    /// The object that begins there has another field, which is null.
    Fill { object: usize, name: &'de str },
}

/// What a reading is about.
#[derive(Clone, Copy)]
pub(super) struct Plan<'de> {
    pub(super) text: &'de str,
    pub(super) work: &'de Work,
    /// Fields of the document itself that are not shown to the type.
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

    /// The places of fields that `T` ignores, as long as the rule wants more of them.
    pub(super) fn ignored<T: DeserializeOwned>(self, note: &mut dyn FnMut(Ignored<'de>)) -> Result<T, Cause> {
        Reader::new(self, Some(note)).document()
    }
}

/// A field that the type does not know.
pub(super) struct Ignored<'de> {
    pub(super) at: usize,
    pub(super) name: RawString<'de>,
    /// It is one of the document itself.
    pub(super) top: bool,
}

pub(super) struct Reader<'n, 'de> {
    cursor: Cursor<'de>,
    plan: Plan<'de>,
    depth: usize,
    /// How many values were read as anything at all.
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

    /// Reads the next value, the one of this number in its list or object; it belongs to this field, if to any.
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
            // A type that wants to know nothing.
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

    /// Counts what serde keeps of a value that it reads as anything at all, the one of this number in its list or object: a vector that
    /// begins with four and doubles, of 32 bytes for a value and as many for its name. An `untagged` type that is in itself keeps it once
    /// more at each level, so what is deep counts more often.
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
        Err(Cause::said(
            "too many values: a part with alternatives takes about 131072 plain ones, or 24000 small objects",
        ))
    }

    /// Shows the type what is there.
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

    /// The kind of the next value, as an error names it.
    fn complain(&mut self, expected: &dyn Expected) -> Cause {
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

/// What a well-formed document never is.
fn unfinished() -> Cause {
    Cause::text("not JSON: it ends too early")
}

fn decode(text: RawString<'_>) -> Result<Cow<'_, str>, Cause> {
    text.decode().map_err(Cause::said)
}

/// As serde_json says it.
fn line_and_column(text: &str, at: usize) -> String {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("line {line} column {column}")
}
