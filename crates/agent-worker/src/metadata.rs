//! Typed metadata of jobs: see the [guide](crate::guide::metadata).

#[cfg(feature = "schema")]
pub use agent_core::MetadataSchema;
pub use agent_core::{JobMetadata, MAX_METADATA_LEN, MetadataError, MetadataFormat, parse_metadata};
