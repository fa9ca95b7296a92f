//! What a worker reads of the metadata itself, whatever type the agent makes of it.

use super::read::MAX_METADATA_LEN;
use serde::Deserialize;
use serde_json::Value;

/// The longest request id that is logged, in characters.
const MAX_REQUEST_ID: usize = 128;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope {
    request_id: Option<Value>,
}

/// The request id, a text or a number of at most 128 characters; a longer one is cut.
pub(crate) fn request_id(text: &str) -> Option<String> {
    // A list would be read as the fields in their order.
    if text.len() > MAX_METADATA_LEN || !text.trim_start().starts_with('{') {
        return None;
    }
    let id = match serde_json::from_str::<Envelope>(text).ok()?.request_id? {
        Value::String(id) => id,
        Value::Number(id) => id.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let cut = |id: String| match id.char_indices().nth(MAX_REQUEST_ID) {
        Some(_) => id.chars().take(MAX_REQUEST_ID - 1).chain(['…']).collect(),
        None => id,
    };
    (!id.is_empty()).then(|| cut(id))
}
