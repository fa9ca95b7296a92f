//! A cursor over JSON text that is known to be well-formed.
//!
//! It copies nothing, keeps no tree and counts what it reads. Text that is not well-formed makes it stop early, and nothing worse.

use std::borrow::Cow;
use std::cell::Cell;

/// How many bytes and values were looked at: the measure of the work on a document.
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

/// What a value is, by its first byte.
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

/// A string as it is written, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawString<'de> {
    pub(super) raw: &'de str,
    pub(super) escaped: bool,
}

impl<'de> RawString<'de> {
    /// What it means; the error says which escape means nothing.
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

    /// Compares lengths first: an escape is never shorter than what it means.
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

    /// The same text, from there on.
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

    /// Where the next thing begins that is no white space.
    pub(super) fn start(&mut self) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.advance(1);
        }
        self.at
    }

    /// The kind of the next value; `None` at the end of a list or of an object.
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

    /// Goes over a sign of punctuation, if it is the next thing.
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

    /// Goes over a whole value, however deep it is.
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
            // Whatever comes between two values.
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

    /// The next value of a list, if there is one; `first` says that none was read so far.
    pub(super) fn next_item(&mut self, first: bool) -> bool {
        if self.eat(b']') {
            return false;
        }
        (first || self.eat(b',')) && self.token().is_some()
    }

    /// Goes to that item of the list that is next, if it has so many.
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

    /// The next name of an object, if there is one, and where it is; its value comes next.
    pub(super) fn next_key(&mut self, first: bool) -> Option<(usize, RawString<'de>)> {
        if self.eat(b'}') || !(first || self.eat(b',')) {
            return None;
        }
        let at = self.start();
        let key = (self.byte() == Some(b'"')).then(|| self.string())?;
        self.eat(b':').then_some((at, key))
    }

    /// Goes into the list or object that is next.
    pub(super) fn enter(&mut self) {
        self.start();
        self.advance(1);
    }

    /// The next value as it is written; goes over it.
    pub(super) fn slice(&mut self) -> &'de str {
        let start = self.start();
        self.skip();
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }
}
