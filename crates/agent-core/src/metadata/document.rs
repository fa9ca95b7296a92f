//! The JSON document in a metadata text, and its limit.

use serde::de::IgnoredAny;

use super::error::MetadataError;

/// The longest metadata that is read, in bytes (512 KiB, the server's own limit).
pub const MAX_METADATA_LEN: usize = 512 * 1024;

/// Checks the length of a text.
pub(super) fn check_len<T>(text: &str) -> Result<(), MetadataError> {
    if text.len() <= MAX_METADATA_LEN {
        return Ok(());
    }
    let message = format!("{} bytes, the limit is {MAX_METADATA_LEN}", text.len());
    Err(MetadataError::of_text::<T>(&message))
}

/// The document in a text; `None` when it is empty.
pub(super) fn content(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (!matches!(text.trim(), "" | "null")).then_some(text)
}

/// Checks that a text is JSON, in one pass without storing values.
pub(super) fn well_formed<T>(text: &str) -> Result<(), MetadataError> {
    let read: Result<IgnoredAny, _> = serde_json::from_str(text);
    read.map(drop).map_err(|error| MetadataError::of_text::<T>(&format!("not JSON: {error}")))
}
