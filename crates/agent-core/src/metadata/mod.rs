//! A job's metadata: a text of the dispatcher, usually JSON, read as a type.
//!
//! The only error is [`MetadataError`], for any text, and the work is bounded: a fixed number of passes over
//! a text of at most [`MAX_METADATA_LEN`]. No tree of values is built: `scan` reads the text, `reader` passes
//! it to serde, `walk` searches it.

mod cause;
mod disambiguate;
mod document;
mod error;
mod fields;
mod format;
mod locate;
mod number;
mod path;
mod read;
mod reader;
mod ready;
mod scan;
#[cfg(feature = "schema")]
mod schema;
mod show;
#[cfg(test)]
mod tests;
mod unknown;
#[cfg(feature = "validate")]
mod validate;
mod walk;
mod wording;

pub use document::MAX_METADATA_LEN;
pub use error::MetadataError;
pub(crate) use error::short_type_name;
pub(crate) use fields::{NameField, action, name_field, request_id, timeout};
pub use format::MetadataFormat;
pub(crate) use path::{Step, json_path, shown_path};
pub use read::parse_metadata;
pub use ready::JobMetadata;
#[cfg(feature = "schema")]
pub use schema::MetadataSchema;
#[cfg(feature = "validate")]
pub(crate) use validate::first_problem;
