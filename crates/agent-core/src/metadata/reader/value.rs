//! The deserializer of one value.

use std::borrow::Cow;

use serde::de::{Deserializer, Visitor};

use super::super::cause::{Cause, Found, Problem};
use super::super::scan::{RawString, Token};
use super::super::wording::one_of;
use super::keys::Key;
use super::variants::{Tagged, Unit};
use super::{Ignored, Reader, Trial, decode};

/// The next value of a reader.
pub(super) struct Value<'r, 'n, 'de> {
    pub(super) reader: &'r mut Reader<'n, 'de>,
    pub(super) field: Option<(usize, RawString<'de>)>,
    pub(super) index: usize,
}

macro_rules! as_it_is {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
            self.reader.visit(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Value<'_, '_, 'de> {
    type Error = Cause;

    as_it_is! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_unit deserialize_seq deserialize_map
    }

    /// The name of a variant: a string. Serde would also accept the variant's index.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        match self.reader.cursor.token() {
            Some(Token::String) => self.reader.visit(visitor),
            _ => Err(self.reader.error_of(&visitor)),
        }
    }

    /// All values that serde buffers pass here.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        let reader = self.reader;
        reader.anything += 1;
        reader.keep(self.index, self.field.is_some())?;
        let at = reader.cursor.start();
        match reader.plan.trial {
            Trial::Texts(places) if places.contains(&at) => {
                reader.cursor.skip();
                visitor.visit_borrowed_str(reader.plan.text.get(at..=at).unwrap_or_default())
            }
            Trial::Numbers(places) => match places.iter().position(|place| *place == at) {
                Some(number) => {
                    reader.cursor.skip();
                    visitor.visit_u64(number as u64)
                }
                None => reader.visit(visitor),
            },
            Trial::None | Trial::Texts(_) | Trial::Fill { .. } => reader.visit(visitor),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        let token = self.reader.cursor.token();
        match self.reader.cursor.clone().literal().parse() {
            Ok(value) if token == Some(Token::Number) => {
                self.reader.cursor.literal();
                visitor.visit_i128(value)
            }
            _ => self.reader.visit(visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        let token = self.reader.cursor.token();
        match self.reader.cursor.clone().literal().parse() {
            Ok(value) if token == Some(Token::Number) => {
                self.reader.cursor.literal();
                visitor.visit_u128(value)
            }
            _ => self.reader.visit(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        if self.reader.cursor.token() != Some(Token::String) {
            return self.reader.visit(visitor);
        }
        match decode(self.reader.cursor.string())? {
            Cow::Borrowed(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Cow::Owned(text) => visitor.visit_byte_buf(text.into_bytes()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        if self.reader.cursor.token() == Some(Token::Null) {
            self.reader.cursor.literal();
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Cause> {
        self.reader.visit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Cause> {
        // How serde_json passes a value as written (its `RawValue`).
        if name == "$serde_json::private::RawValue" {
            let raw = std::iter::once((name, self.reader.cursor.slice()));
            return visitor.visit_map(serde::de::value::MapDeserializer::new(raw));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Cause> {
        self.reader.visit(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Cause> {
        self.reader.visit(visitor)
    }

    /// Like serde, accepts a list as the fields in their order; the error for an invalid list is that it is
    /// not an object.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cause> {
        let reader = self.reader;
        let at = reader.cursor.start();
        let list = reader.cursor.token() == Some(Token::Array);
        reader.visit(visitor).map_err(|cause| match &cause.parts().problem {
            Problem::Message(_) | Problem::Text(_) => cause,
            _ if !list => cause,
            _ => Cause::new(Problem::Type, Found::List, "a map".to_owned()).within(at, false),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cause> {
        let reader = self.reader;
        match reader.cursor.token() {
            Some(Token::String) => {
                let at = reader.cursor.start();
                let name = reader.cursor.string();
                visitor.visit_enum(Unit(Key { name, at }))
            }
            Some(Token::Object) => {
                let mut whole = reader.cursor.clone();
                whole.enter();
                let one = whole.next_key(true).is_some_and(|_| {
                    whole.skip();
                    whole.next_key(false).is_none()
                });
                if !one {
                    return Err(reader.error_of(&"an object with one field"));
                }
                reader.enter()?;
                let value = visitor.visit_enum(Tagged { reader: &mut *reader })?;
                reader.cursor.eat(b'}');
                reader.depth -= 1;
                Ok(value)
            }
            _ => Err(reader.error_of(&one_of(variants).as_str())),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        let top = self.reader.depth == 1;
        if let (Some((at, name)), Some(note)) = (self.field, &mut self.reader.note) {
            note(Ignored { at, name, top });
        }
        self.reader.cursor.skip();
        visitor.visit_unit()
    }
}
