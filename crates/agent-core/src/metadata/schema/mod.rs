//! `MetadataSchema`: documentation of the accepted metadata, generated from its type.

mod actions;
mod fields;
mod markdown;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde_json::Value;

/// The metadata that a type accepts, for those who dispatch jobs: as a JSON Schema, and as a Markdown table.
///
/// It describes what serde reads, with doc comments as descriptions, and the rules of `#[garde(…)]` or
/// `#[schemars(…)]` as limits.
///
/// ```
/// use agent_core::MetadataSchema;
///
/// /// Greets everybody.
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Greeting {
///     /// The name to greet.
///     #[schemars(length(max = 40))]
///     name: String,
///     /// How often.
///     #[serde(default)]
///     times: u8,
/// }
///
/// let schema = MetadataSchema::of::<Greeting>();
/// assert!(schema.json().contains(r#""$schema": "https://json-schema.org/draft/2020-12/schema""#));
/// assert_eq!(schema.markdown(), "\
/// ### Greeting
///
/// Greets everybody.
///
/// | field | type | required | default | limits | description |
/// |---|---|---|---|---|---|
/// | `name` | string | yes | | at most 40 characters | The name to greet. |
/// | `times` | integer | no | `0` | 0 to 255 | How often. |
///
/// Other fields are ignored.
/// ");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataSchema {
    schema: Value,
}

impl MetadataSchema {
    /// The schema of `T`.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        Self { schema: schemars::schema_for!(T).to_value() }
    }

    /// A JSON Schema (draft 2020-12), over several lines.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{:#}", self.schema)
    }

    /// A Markdown section: a heading, and a table with a row for each field. The values of a map are shown as
    /// `field.*`, the items of a list as `field[]`. An enum has a table for each of its variants.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::section(&self.schema)
    }
}
