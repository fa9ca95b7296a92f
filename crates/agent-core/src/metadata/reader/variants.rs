//! Variants of an enum: a string that names one, or an object with one field.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};

use super::super::cause::{Cause, Found, Problem};
use super::keys::Key;
use super::{Reader, unfinished};

/// A variant given by its name alone.
pub(super) struct Unit<'de>(pub(super) Key<'de>);

/// The name of a variant that may need content.
pub(super) struct Bare<'de>(Key<'de>);

impl<'de> EnumAccess<'de> for Unit<'de> {
    type Error = Cause;
    type Variant = Bare<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Bare<'de>), Cause> {
        let Key { name, at } = self.0;
        Ok((seed.deserialize(Key { name, at })?, Bare(Key { name, at })))
    }
}

impl Bare<'_> {
    fn incomplete(&self) -> Cause {
        let name = crate::text::shorten(self.0.name.raw, crate::text::MAX_VALUE);
        let expected = format!("an object with the field `{name}`");
        Cause::new(Problem::Type, Found::of_text(self.0.name.raw), expected)
    }
}

impl<'de> VariantAccess<'de> for Bare<'de> {
    type Error = Cause;

    fn unit_variant(self) -> Result<(), Cause> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Cause> {
        Err(self.incomplete())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Cause> {
        Err(self.incomplete())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Cause> {
        Err(self.incomplete())
    }
}

/// A variant given by an object with one field.
pub(super) struct Tagged<'r, 'n, 'de> {
    pub(super) reader: &'r mut Reader<'n, 'de>,
}

impl<'de> EnumAccess<'de> for Tagged<'_, '_, 'de> {
    type Error = Cause;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Cause> {
        let (at, name) = self.reader.cursor.next_key(true).ok_or_else(unfinished)?;
        let variant = seed.deserialize(Key { name, at }).map_err(|cause| cause.within(at, false))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, '_, 'de> {
    type Error = Cause;

    fn unit_variant(self) -> Result<(), Cause> {
        self.reader.value(std::marker::PhantomData::<()>, 1, None)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Cause> {
        self.reader.value(seed, 1, None)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Cause> {
        self.reader.value(Tuple { len, visitor }, 1, None)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cause> {
        self.reader.value(Struct { fields, visitor }, 1, None)
    }
}

struct Tuple<V> {
    len: usize,
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Tuple<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_tuple(self.len, self.visitor)
    }
}

struct Struct<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Struct<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_struct("", self.fields, self.visitor)
    }
}
