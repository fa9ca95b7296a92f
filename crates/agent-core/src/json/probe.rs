//! Finds the part of a value that cannot be written as JSON and read back.

use std::fmt;

use serde::Serialize;
use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Value;

use crate::metadata::Step;

/// The deepest nesting that serde_json reads.
pub(super) const MAX_DEPTH: usize = 127;
pub(super) const TOO_DEEP: &str =
    "it is nested more than 127 levels deep, and would not load again: flatten it, or save it as a text";

/// A serializer without output that fails where serde_json fails, and at what serde_json writes as a `null`
/// that would be read as something else: a float that is not finite, and `Some(None)`.
#[derive(Clone, Copy, Default)]
pub(super) struct Probe {
    depth: usize,
    /// The next value is directly within a `Some`.
    in_some: bool,
}

/// The problem, and its path.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The innermost step first.
    steps: Vec<Step>,
    pub(super) message: String,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { steps: Vec::new(), message: message.into() }
    }

    fn below(mut self, step: Option<Step>) -> Self {
        self.steps.extend(step);
        self
    }

    /// The steps from the value itself down.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps.into_iter().rev().collect()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

type Checked = Result<(), Refusal>;

impl Probe {
    /// The probe of a value `levels` deeper.
    fn inside(self, levels: usize) -> Result<Self, Refusal> {
        let depth = self.depth + levels;
        if depth > MAX_DEPTH { Err(Refusal::new(TOO_DEEP)) } else { Ok(Self { depth, in_some: false }) }
    }

    fn parts(self) -> Result<Parts, Refusal> {
        Ok(Parts { probe: self.inside(1)?, variant: None, index: 0, key: None })
    }

    fn parts_of(self, variant: &str) -> Result<Parts, Refusal> {
        let here = |refusal: Refusal| refusal.below(Some(Step::Key(variant.to_owned())));
        let probe = self.inside(2).map_err(here)?;
        Ok(Parts { probe, variant: Some(variant.to_owned()), index: 0, key: None })
    }
}

fn check_float(value: f64) -> Checked {
    let name = match value {
        _ if value.is_finite() => return Ok(()),
        _ if value.is_nan() => "NaN",
        _ if value > 0.0 => "infinity",
        _ => "-infinity",
    };
    Err(Refusal::new(format!(
        "{name} is no number in JSON, and would not load again: save a finite number, or leave it out"
    )))
}

/// Values that are always valid.
macro_rules! leaves {
    ($($method:ident($($kind:ty),*))*) => {
        $(fn $method(self $(, _: $kind)*) -> Checked { Ok(()) })*
    };
}

impl Serializer for Probe {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Parts;
    type SerializeTuple = Parts;
    type SerializeTupleStruct = Parts;
    type SerializeTupleVariant = Parts;
    type SerializeMap = Parts;
    type SerializeStruct = Parts;
    type SerializeStructVariant = Parts;

    leaves! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    fn serialize_f32(self, value: f32) -> Checked {
        check_float(value.into())
    }

    fn serialize_f64(self, value: f64) -> Checked {
        check_float(value)
    }

    fn serialize_none(self) -> Checked {
        if self.in_some {
            return Err(Refusal::new(
                "`Some(None)` is written like `None`, and would load as that: use an enum of your own",
            ));
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(Self { in_some: true, ..self })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Checked {
        let checked = self.inside(1).and_then(|probe| value.serialize(probe));
        checked.map_err(|refusal| refusal.below(Some(Step::Key(variant.to_owned()))))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts, Refusal> {
        self.parts()
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts, Refusal> {
        self.parts()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts, Refusal> {
        self.parts()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Refusal> {
        self.parts_of(variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts, Refusal> {
        self.parts()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, Refusal> {
        self.parts()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts, Refusal> {
        self.parts_of(variant)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Checked {
        Ok(())
    }
}

/// The parts of a value, one by one.
pub(super) struct Parts {
    probe: Probe,
    /// The enum's variant, which is a key around them.
    variant: Option<String>,
    index: usize,
    key: Option<String>,
}

impl Parts {
    fn part<T: Serialize + ?Sized>(&mut self, step: Step, value: &T) -> Checked {
        value
            .serialize(self.probe)
            .map_err(|refusal| refusal.below(Some(step)).below(self.variant.clone().map(Step::Key)))
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        let index = self.index;
        self.index += 1;
        self.part(Step::Index(index), value)
    }
}

macro_rules! items {
    ($($kind:ident $method:ident)*) => {
        $(impl $kind for Parts {
            type Ok = ();
            type Error = Refusal;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
                self.item(value)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

items! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! fields {
    ($($kind:ident)*) => {
        $(impl $kind for Parts {
            type Ok = ();
            type Error = Refusal;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Checked {
                self.part(Step::Key(key.to_owned()), value)
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Parts {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Checked {
        self.key = Some(key_text(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        let key = self.key.take().unwrap_or_default();
        self.part(Step::Key(key), value)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

/// A key as serde_json writes it.
fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, Refusal> {
    struct OneEntry<'a, T: ?Sized>(&'a T);

    impl<T: Serialize + ?Sized> Serialize for OneEntry<'_, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(self.0, &())?;
            map.end()
        }
    }

    match serde_json::to_value(OneEntry(key)) {
        Ok(Value::Object(entry)) => Ok(entry.into_iter().next().map(|(key, _)| key).unwrap_or_default()),
        Ok(_) => Ok(String::new()),
        Err(error) => Err(Refusal::new(error.to_string())),
    }
}
