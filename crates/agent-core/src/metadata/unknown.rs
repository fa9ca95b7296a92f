//! Unknown fields of a document.

use serde::de::DeserializeOwned;

use super::document::{MAX_METADATA_LEN, content};
use super::locate::place;
use super::reader::{Plan, Trial};
use super::ready::JobMetadata;
use super::scan::Work;

/// Maximum number of reported fields.
const MAX_FIELDS: usize = 16;

/// The paths of the fields that `T` ignores, at most 16. Fields within enums with `#[serde(tag = …)]` and
/// fields with `#[serde(flatten)]` are not found. The fields of [`JobMetadata`] are allowed beside those of
/// any type.
pub(super) fn unknown_fields<T: DeserializeOwned>(text: &str) -> Vec<String> {
    let Some(text) = content(text).filter(|text| text.len() <= MAX_METADATA_LEN) else { return Vec::new() };
    let work = Work::default();
    let plan = Plan { text, work: &work, hidden: &[], trial: Trial::None };
    let mut found = Vec::new();
    let read = plan.ignored::<T>(&mut |field| {
        let common = field.top && JobMetadata::FIELDS.iter().any(|name| field.name.is(name));
        if !common && found.len() < MAX_FIELDS {
            found.push(field.at);
        }
    });
    if read.is_err() {
        return Vec::new();
    }
    found.into_iter().filter_map(|at| place(plan.cursor(), at)).map(|place| place.path.to_string()).collect()
}
