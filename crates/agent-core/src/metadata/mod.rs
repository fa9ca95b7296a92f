//! A job's metadata: text that the dispatcher wrote, mostly JSON, read as a type.
//!
//! Nothing in here fails but with a [`MetadataError`], whatever the text is, and none of it takes more than a bounded number of
//! passes over a text of at most [`MAX_METADATA_LEN`]. No tree is made of the text: `scan` reads it, `reader` shows it to serde, `walk`
//! looks for places in it.

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
