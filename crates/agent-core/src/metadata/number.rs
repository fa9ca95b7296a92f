//! Numbers, with serde_json's distinction of types.

use serde::de::Visitor;

use super::cause::Cause;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    pub(super) fn of(literal: &str) -> Result<Self, Cause> {
        if literal == "-0" {
            return Ok(Self::Float(-0.0));
        }
        if let Ok(value) = literal.parse() {
            return Ok(Self::Unsigned(value));
        }
        if let Ok(value) = literal.parse() {
            return Ok(Self::Signed(value));
        }
        match literal.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Self::Float(value)),
            _ => Err(Cause::message("number out of range")),
        }
    }

    pub(super) fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cause> {
        match self {
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
        }
    }
}
