//! Fields that a type does not know.

use super::path::{Path, Step};
use super::read::MAX_METADATA_LEN;
use super::ready::JobMetadata;
use serde::de::DeserializeOwned;

/// How many of them are told.
const MAX_FIELDS: usize = 16;

/// The paths of what reading the text as `T` leaves out, 16 at most. Not seen are fields within enums with `#[serde(tag = …)]` and
/// fields with `#[serde(flatten)]`. The fields of [`JobMetadata`] may stand beside those of any type.
pub(super) fn unknown_fields<T: DeserializeOwned>(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if text.len() <= MAX_METADATA_LEN {
        let mut json = serde_json::Deserializer::from_str(text);
        let read: Result<T, _> = serde_ignored::deserialize(&mut json, |path| {
            let path = Path(steps(&path));
            let common = matches!(path.0.as_slice(), [Step::Key(name)] if JobMetadata::FIELDS.contains(&name.as_str()));
            if !common && found.len() < MAX_FIELDS {
                found.push(path.to_string());
            }
        });
        if read.is_err() {
            found.clear();
        }
    }
    found
}

fn steps(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    use serde_ignored::Path as P;
    let (parent, step) = match path {
        P::Root => return Vec::new(),
        P::Seq { parent, index } => (parent, Some(Step::Index(*index))),
        P::Map { parent, key } => (parent, Some(Step::Key(key.clone()))),
        P::Some { parent } | P::NewtypeStruct { parent } | P::NewtypeVariant { parent } => (parent, None),
    };
    let mut above = steps(parent);
    above.extend(step);
    above
}
