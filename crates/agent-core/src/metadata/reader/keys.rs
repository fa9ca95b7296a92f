//! Deserializers of field names, which may be numbers, and of variant names.

use std::borrow::Cow;

use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::super::cause::{Cause, Found, Problem};
use super::super::number::Number;
use super::super::scan::RawString;
use super::decode;

pub(super) struct Key<'de> {
    pub(super) name: RawString<'de>,
    pub(super) at: usize,
}

impl Key<'_> {
    fn wrong(&self, expected: &str) -> Cause {
        Cause::new(Problem::Key, Found::of_text(self.name.raw), expected.to_owned()).within(self.at, false)
    }

    fn number<'de, V: Visitor<'de>>(
        &self,
        visitor: V,
        visit: impl FnOnce(V, &str) -> Option<Result<V::Value, Cause>>,
    ) -> Result<V::Value, Cause> {
        let expected = expected_by(&visitor);
        let plain = self.name.raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let read = if plain { visit(visitor, self.name.raw) } else { None };
        read.and_then(Result::ok).ok_or_else(|| self.wrong(&expected))
    }
}

fn expected_by<'de>(visitor: &impl Visitor<'de>) -> String {
    struct Expecting<'v, V>(&'v V);
    impl<'de, V: Visitor<'de>> std::fmt::Display for Expecting<'_, V> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.expecting(f)
        }
    }
    Expecting(visitor).to_string()
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
            self.number(visitor, |visitor, text| Some(Number::of(text).ok()?.visit(visitor)))
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Cause;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        match decode(self.name)? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        match self.name.raw {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.wrong(&expected_by(&visitor))),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        self.number(visitor, |visitor, text| Some(visitor.visit_i128(text.parse().ok()?)))
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        self.number(visitor, |visitor, text| Some(visitor.visit_u128(text.parse().ok()?)))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        match decode(self.name)? {
            Cow::Borrowed(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Cow::Owned(text) => visitor.visit_byte_buf(text.into_bytes()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Cause> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cause> {
        visitor.visit_enum(super::variants::Unit(self))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        visitor.visit_unit()
    }
}
