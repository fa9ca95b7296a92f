//! The document in the text of a metadata, and its limit.

use super::error::MetadataError;
use serde::de::IgnoredAny;

/// The most metadata that is looked at, in bytes (512 KiB, the server's own limit).
pub const MAX_METADATA_LEN: usize = 512 * 1024;

/// That a text is not too long to be looked at.
pub(super) fn check_len<T>(text: &str) -> Result<(), MetadataError> {
    if text.len() <= MAX_METADATA_LEN {
        return Ok(());
    }
    let message = format!("{} bytes, at most {MAX_METADATA_LEN} are taken", text.len());
    Err(MetadataError::of_text::<T>(&message))
}

/// The document in a text; `None` when there is none.
pub(super) fn content(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (!matches!(text.trim(), "" | "null")).then_some(text)
}

/// That a text is JSON; it is gone over once, and nothing is kept of it.
pub(super) fn well_formed<T>(text: &str) -> Result<(), MetadataError> {
    let read: Result<IgnoredAny, _> = serde_json::from_str(text);
    read.map(drop).map_err(|error| MetadataError::of_text::<T>(&format!("not JSON: {error}")))
}
