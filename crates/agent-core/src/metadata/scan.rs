//! A cursor over JSON text that is known to be well-formed.
//!
//! It copies nothing, builds no tree and counts what it reads. On malformed text it stops early.

use std::borrow::Cow;
use std::cell::Cell;

/// The number of bytes and values that were read: the measure of the work on a document.
#[derive(Debug, Default)]
pub(super) struct Work(Cell<usize>);

impl Work {
    pub(super) fn add(&self, steps: usize) {
        self.0.set(self.0.get().saturating_add(steps));
    }

    pub(super) fn steps(&self) -> usize {
        self.0.get()
    }
}

/// The type of a value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

/// A string as written, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawString<'de> {
    pub(super) raw: &'de str,
    pub(super) escaped: bool,
}

impl<'de> RawString<'de> {
    /// The decoded string; the error names the invalid escape.
    pub(super) fn decode(&self) -> Result<Cow<'de, str>, String> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        let decoded = serde_json::from_str(&format!("\"{}\"", self.raw));
        decoded.map(Cow::Owned).map_err(|error| {
            let text = error.to_string();
            text.split(" at line").next().unwrap_or_default().to_owned()
        })
    }

    /// Compares lengths first: an escape is never shorter than its value.
    pub(super) fn is(&self, text: &str) -> bool {
        if self.escaped {
            self.raw.len() > text.len() && self.decode().is_ok_and(|decoded| decoded == text)
        } else {
            self.raw == text
        }
    }
}

#[derive(Clone)]
pub(super) struct Cursor<'de> {
    text: &'de str,
    at: usize,
    work: &'de Work,
}

impl<'de> Cursor<'de> {
    pub(super) fn new(text: &'de str, work: &'de Work) -> Self {
        Self { text, at: 0, work }
    }

    /// The same text from `at` on.
    pub(super) fn from(&self, at: usize) -> Self {
        Self { at, ..self.clone() }
    }

    pub(super) fn text(&self) -> &'de str {
        self.text
    }

    pub(super) fn work(&self) -> &'de Work {
        self.work
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.work.add(bytes);
    }

    /// Skips white space and returns the offset.
    pub(super) fn start(&mut self) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.advance(1);
        }
        self.at
    }

    /// The type of the next value; `None` at the end of a list or of an object.
    pub(super) fn token(&mut self) -> Option<Token> {
        self.start();
        Some(match self.byte()? {
            b'n' => Token::Null,
            b't' => Token::True,
            b'f' => Token::False,
            b'"' => Token::String,
            b'[' => Token::Array,
            b'{' => Token::Object,
            b'-' | b'0'..=b'9' => Token::Number,
            _ => return None,
        })
    }

    /// Skips a punctuation character, if it comes next.
    pub(super) fn eat(&mut self, sign: u8) -> bool {
        self.start();
        let there = self.byte() == Some(sign);
        if there {
            self.advance(1);
        }
        there
    }

    /// A number, `true`, `false` or `null`, as it is written.
    pub(super) fn literal(&mut self) -> &'de str {
        let start = self.start();
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let end = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'));
        self.advance(rest.iter().position(end).unwrap_or(rest.len()));
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn string(&mut self) -> RawString<'de> {
        let start = self.start() + 1;
        let bytes = self.text.as_bytes();
        let (mut end, mut escaped) = (start, false);
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    end += 2;
                }
                _ => end += 1,
            }
        }
        self.advance(end.saturating_add(1).min(bytes.len()).saturating_sub(self.at));
        RawString { raw: self.text.get(start..end).unwrap_or_default(), escaped }
    }

    /// Skips a whole value of any depth, without recursion.
    pub(super) fn skip(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.token() {
                Some(Token::String) => drop(self.string()),
                Some(Token::Array | Token::Object) => {
                    depth += 1;
                    self.advance(1);
                    continue;
                }
                Some(_) => drop(self.literal()),
                None => {}
            }
            // Everything between two values.
            loop {
                if depth == 0 {
                    return;
                }
                match self.byte() {
                    Some(b']' | b'}') => depth -= 1,
                    Some(b',' | b':' | b' ' | b'\n' | b'\r' | b'\t') => {}
                    Some(_) => break,
                    None => return,
                }
                self.advance(1);
            }
        }
    }

    /// Moves to the next item of a list, if there is one; `first`: none was read so far.
    pub(super) fn next_item(&mut self, first: bool) -> bool {
        if self.eat(b']') {
            return false;
        }
        (first || self.eat(b',')) && self.token().is_some()
    }

    /// Moves to the item at `index` of the next list, if it exists.
    pub(super) fn go_to_item(&mut self, index: usize) -> bool {
        self.enter();
        for before in 0..=index {
            if !self.next_item(before == 0) {
                return false;
            }
            if before < index {
                self.skip();
            }
        }
        true
    }

    /// The next name of an object and its offset, if there is one; its value comes next.
    pub(super) fn next_key(&mut self, first: bool) -> Option<(usize, RawString<'de>)> {
        if self.eat(b'}') || !(first || self.eat(b',')) {
            return None;
        }
        let at = self.start();
        let key = (self.byte() == Some(b'"')).then(|| self.string())?;
        self.eat(b':').then_some((at, key))
    }

    /// Enters the next list or object.
    pub(super) fn enter(&mut self) {
        self.start();
        self.advance(1);
    }

    /// The next value as written; skips it.
    pub(super) fn slice(&mut self) -> &'de str {
        let start = self.start();
        self.skip();
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }
}
