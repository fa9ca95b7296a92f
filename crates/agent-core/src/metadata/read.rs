//! Reading metadata as a type.

use super::error::MetadataError;
use super::locate::locate;
use super::path::Path;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most metadata that is looked at, in bytes (512 KiB, the server's own limit).
pub const MAX_METADATA_LEN: usize = 512 * 1024;

/// Reads JSON text as `T`; `None` when the text is empty (or blank), as jobs without metadata have it.
///
/// Fields that `T` does not know are left out, unless it says `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// [`MetadataError`] for text over [`MAX_METADATA_LEN`], text that is not JSON or is nested deeper than 127 levels, and JSON that is no `T`.
///
/// ```
/// #[derive(serde::Deserialize, Debug)]
/// struct Recording { tracks: Vec<u32> }
///
/// let err = agent_core::parse_metadata::<Recording>(r#"{"tracks":[1,"x"]}"#).unwrap_err();
/// assert_eq!(err.path, "$.tracks[1]");
/// ```
pub fn parse_metadata<T: DeserializeOwned>(text: &str) -> Result<Option<T>, MetadataError> {
    if text.len() > MAX_METADATA_LEN {
        let message = format!("{} bytes, at most {MAX_METADATA_LEN} are taken", text.len());
        return Err(MetadataError::of_text::<T>(&message));
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| diagnose::<T>(text, &error))
}

/// What is wrong with a text that serde_json did not read as `T`.
fn diagnose<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> MetadataError {
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let said = error.to_string();
            return MetadataError::of_text::<T>(&match said.strip_prefix("recursion limit exceeded at ") {
                Some(place) => format!("nested deeper than 127 levels at {place}"),
                None => format!("not JSON: {said}"),
            });
        }
    };
    // Read again off the document, errors say nothing of lines and columns, and a wrong value can be found.
    match serde_path_to_error::deserialize::<_, T>(&document) {
        Err(error) => {
            let path = Path::of_serde(error.path(), &document);
            locate::<T>(&document, text.len(), path, &error.inner().to_string())
        }
        // Some things are only seen in the text: a field that is there twice, for one.
        Ok(_) => {
            let mut json = serde_json::Deserializer::from_str(text);
            let path = serde_path_to_error::deserialize::<_, T>(&mut json)
                .err()
                .map_or_else(Path::default, |error| Path::of_serde(error.path(), &document));
            MetadataError::of::<T>(&path, &document, &error.to_string())
        }
    }
}
