//! An iterator over all values of a document, with the current path.

use super::path::{Path, Step};
use super::reader::MAX_DEPTH;
use super::scan::{Cursor, RawString, Token};

/// A list or an object around the current value.
#[derive(Clone)]
pub(super) struct Frame<'de> {
    pub(super) start: usize,
    object: bool,
    pub(super) items: usize,
    key: Option<RawString<'de>>,
    /// For use by the caller.
    pub(super) mark: bool,
}

impl Frame<'_> {
    pub(super) fn is_object(&self) -> bool {
        self.object
    }
}

pub(super) enum Event<'de> {
    /// The name of a field, without its value.
    Key { at: usize, name: RawString<'de> },
    /// A value; of a list and an object the beginning.
    Value { at: usize, token: Token },
    /// The end of a list or an object.
    Close(Frame<'de>),
}

pub(super) struct Walk<'de> {
    pub(super) cursor: Cursor<'de>,
    stack: Vec<Frame<'de>>,
    /// A list or an object to enter next.
    open: Option<(usize, bool)>,
    begun: bool,
    /// A name was read, and its value comes next.
    named: bool,
}

impl<'de> Walk<'de> {
    /// Walks over the whole next value.
    pub(super) fn over(cursor: Cursor<'de>) -> Self {
        Self { cursor, stack: Vec::new(), open: None, begun: false, named: false }
    }

    /// The list or object around the current value.
    pub(super) fn frame(&mut self) -> Option<&mut Frame<'de>> {
        self.stack.last_mut()
    }

    /// The path of the last event.
    pub(super) fn path(&self) -> Path {
        let step = |frame: &Frame<'de>| match frame.key {
            Some(key) => Step::Key(key.decode().unwrap_or_default().into_owned()),
            None => Step::Index(frame.items.saturating_sub(1)),
        };
        Path(self.stack.iter().map(step).collect())
    }

    fn value(&mut self) -> Option<Event<'de>> {
        self.cursor.work().add(1);
        let at = self.cursor.start();
        let token = self.cursor.token()?;
        match token {
            // Nothing is read below this, so no error refers to it.
            Token::Array | Token::Object if self.stack.len() > MAX_DEPTH => self.cursor.skip(),
            Token::Array | Token::Object => self.open = Some((at, token == Token::Object)),
            Token::String => drop(self.cursor.string()),
            Token::Null | Token::True | Token::False | Token::Number => drop(self.cursor.literal()),
        }
        Some(Event::Value { at, token })
    }
}

impl<'de> Iterator for Walk<'de> {
    type Item = Event<'de>;

    fn next(&mut self) -> Option<Event<'de>> {
        if let Some((start, object)) = self.open.take() {
            self.cursor.enter();
            self.stack.push(Frame { start, object, items: 0, key: None, mark: false });
        }
        if !self.begun || self.named {
            self.begun = true;
            self.named = false;
            return self.value();
        }
        let frame = self.stack.last_mut()?;
        let first = frame.items == 0;
        let name = frame.object.then(|| self.cursor.next_key(first)).flatten();
        let item = !frame.object && self.cursor.next_item(first);
        frame.items += usize::from(item || name.is_some());
        if let Some((at, name)) = name {
            frame.key = Some(name);
            self.named = true;
            return Some(Event::Key { at, name });
        }
        if item {
            return self.value();
        }
        self.stack.pop().map(Event::Close)
    }
}
