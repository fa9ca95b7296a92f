//! Access to the items of a list and the fields of an object.

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Unexpected};

use super::super::cause::{Cause, Found, Problem};
use super::super::scan::RawString;
use super::keys::Key;
use super::{Reader, Trial};

pub(super) struct Elements<'r, 'n, 'de> {
    reader: &'r mut Reader<'n, 'de>,
    read: usize,
    done: bool,
}

impl<'r, 'n, 'de> Elements<'r, 'n, 'de> {
    pub(super) fn new(reader: &'r mut Reader<'n, 'de>) -> Self {
        Self { reader, read: 0, done: false }
    }

    fn next(&mut self) -> bool {
        self.done = self.done || !self.reader.cursor.next_item(self.read == 0);
        !self.done
    }

    /// Checks that no items remain.
    pub(super) fn end(mut self) -> Result<(), Cause> {
        if !self.next() {
            return Ok(());
        }
        let taken = self.read;
        while self.next() {
            self.reader.cursor.skip();
            self.read += 1;
        }
        Err(Cause::invalid_length(self.read, &format!("a tuple of size {taken}").as_str()))
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, '_, 'de> {
    type Error = Cause;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Cause> {
        if !self.next() {
            return Ok(None);
        }
        self.read += 1;
        self.reader.value(seed, self.read - 1, None).map(Some)
    }
}

pub(super) struct Entries<'r, 'n, 'de> {
    reader: &'r mut Reader<'n, 'de>,
    read: usize,
    key: Option<(usize, RawString<'de>)>,
    /// The name of an additional field, until it was passed.
    fill: Option<&'de str>,
    filling: bool,
    done: bool,
}

impl<'r, 'n, 'de> Entries<'r, 'n, 'de> {
    pub(super) fn new(reader: &'r mut Reader<'n, 'de>) -> Self {
        let opened = reader.cursor.at().saturating_sub(1);
        let fill = match reader.plan.trial {
            Trial::Fill { object, name } if object == opened => Some(name),
            _ => None,
        };
        Self { reader, read: 0, key: None, fill, filling: false, done: false }
    }

    fn next(&mut self) -> Option<(usize, RawString<'de>)> {
        while !self.done {
            let Some((at, name)) = self.reader.cursor.next_key(self.read == 0) else {
                self.done = true;
                break;
            };
            self.read += 1;
            let hidden = self.reader.depth == 1 && self.reader.plan.hidden.iter().any(|field| name.is(field));
            if !hidden {
                return Some((at, name));
            }
            self.reader.cursor.skip();
        }
        None
    }

    pub(super) fn end(mut self) -> Result<(), Cause> {
        match self.next() {
            None => Ok(()),
            Some((_, name)) => {
                Err(Cause::new(Problem::UnknownField, Found::of_text(name.raw), "no more fields".to_owned()))
            }
        }
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_, '_, 'de> {
    type Error = Cause;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Cause> {
        self.key = self.next();
        if let Some((at, name)) = self.key {
            self.reader.plan.work.add(1);
            return seed.deserialize(Key { name, at }).map(Some).map_err(|cause| cause.within(at, false));
        }
        match self.fill.take() {
            Some(name) => {
                self.filling = true;
                let at = self.reader.cursor.at();
                seed.deserialize(Key { name: RawString { raw: name, escaped: false }, at }).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Cause> {
        if self.filling {
            let null = serde::de::value::UnitDeserializer::new();
            return seed.deserialize(null);
        }
        let field = self.key.take();
        if field.is_none() {
            return Err(Cause::invalid_type(Unexpected::Map, &"a field"));
        }
        self.reader.value(seed, self.read - 1, field)
    }
}
