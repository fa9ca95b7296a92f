//! Reading metadata as a type.

use serde::de::DeserializeOwned;

use super::cause::{Cause, Problem};
use super::document::{check_len, content, well_formed};
use super::error::MetadataError;
use super::fields::SDK_FIELDS;
use super::locate::{explain, flattened_field, place};
use super::reader::{Plan, Trial};
use super::scan::Work;

/// Reads JSON text as `T`; `None` when there is no metadata: the text is empty, blank or `null`. A leading
/// byte-order mark is skipped.
///
/// Fields that `T` does not know are ignored. With `#[serde(deny_unknown_fields)]` they are errors, except
/// those that the SDK reads itself (`action`, `request_id`, `timeout`): these are allowed beside the fields
/// of any type.
///
/// # Errors
/// [`MetadataError`] for text over [`MAX_METADATA_LEN`](crate::MAX_METADATA_LEN), text that is not JSON or is
/// nested deeper than 127 levels, and JSON that is not a `T`.
///
/// Where serde has to buffer values before it knows their type (`#[serde(tag = …)]`, `untagged`, `flatten`),
/// it buffers at most 7 MiB: 131,072 numbers, or 24,000 small objects.
///
/// ```
/// #[derive(serde::Deserialize, Debug)]
/// struct Recording { tracks: Vec<u32> }
///
/// let err = agent_core::parse_metadata::<Recording>(r#"{"tracks":[1,"x"]}"#).unwrap_err();
/// assert_eq!(err.path, "$.tracks[1]");
/// ```
pub fn parse_metadata<T: DeserializeOwned>(text: &str) -> Result<Option<T>, MetadataError> {
    parse_counted(text, &Work::default())
}

/// Like [`parse_metadata`], counting the work.
pub(super) fn parse_counted<T: DeserializeOwned>(
    text: &str,
    work: &Work,
) -> Result<Option<T>, MetadataError> {
    check_len::<T>(text)?;
    let Some(text) = content(text) else { return Ok(None) };
    well_formed::<T>(text)?;
    let mut hidden = Vec::new();
    loop {
        let plan = Plan { text, work, hidden: &hidden, trial: Trial::None };
        let cause = match plan.read::<T>() {
            Ok(value) => return Ok(Some(value)),
            Err(cause) => cause,
        };
        match sdk_field(&cause, plan).filter(|field| !hidden.contains(field)) {
            Some(field) => hidden.push(field),
            None => return Err(explain::<T>(&cause, plan)),
        }
    }
}

/// The top-level field of the SDK that the type refuses, if that is the cause.
fn sdk_field(cause: &Cause, plan: Plan<'_>) -> Option<&'static str> {
    let parts = cause.parts();
    let field = |found: &dyn Fn(&str) -> bool| SDK_FIELDS.into_iter().find(|field| found(field));
    match &parts.problem {
        Problem::UnknownField => {
            let field = field(&|field| parts.found.is_text(field))?;
            let exact = parts.found.offset_in(plan.text).or(parts.at.filter(|_| !parts.buffered));
            // Its place is not always known. If it is another field, hiding this one changes nothing, which
            // the caller detects.
            let top =
                exact.is_none_or(|at| place(plan.cursor(), at).is_some_and(|place| place.path.0.len() == 1));
            top.then_some(field)
        }
        Problem::Message(text) => {
            let name = flattened_field(text)?;
            field(&|field| field == name)
        }
        _ => None,
    }
}
