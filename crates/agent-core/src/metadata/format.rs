//! What metadata an agent takes.

use super::error::MetadataError;
use super::path::Path;
use super::read::parse_metadata;
use super::unknown::unknown_fields;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The metadata that an agent takes: a type, what a job without metadata means, and rules for the values.
///
/// ```
/// use agent_core::{MetadataError, MetadataFormat};
///
/// #[derive(serde::Deserialize)]
/// struct Call { number: String }
///
/// let format = MetadataFormat::<Call>::required().check(|call| {
///     if call.number.starts_with('+') { Ok(()) } else { Err(MetadataError::at("number", "no `+` in front")) }
/// });
/// assert_eq!(format.parse(r#"{"number":"+4930"}"#)?.number, "+4930");
/// assert_eq!(format.parse("").err().unwrap().message, "there is none, and it is required");
/// assert_eq!(format.parse(r#"{"number":"030"}"#).err().unwrap().path, "$.number");
/// # Ok::<(), MetadataError>(())
/// ```
#[must_use]
pub struct MetadataFormat<T> {
    empty: fn() -> Option<T>,
    checks: Vec<Check<T>>,
}

type Check<T> = Arc<dyn Fn(&T) -> Result<(), MetadataError> + Send + Sync>;

impl<T: DeserializeOwned + Default> MetadataFormat<T> {
    /// A job without metadata means the default of the type.
    pub fn or_default() -> Self {
        Self { empty: || Some(T::default()), checks: Vec::new() }
    }
}

impl<T: DeserializeOwned> MetadataFormat<T> {
    /// A job without metadata is invalid.
    pub fn required() -> Self {
        Self { empty: || None, checks: Vec::new() }
    }

    /// Adds a rule. It returns [`MetadataError::at`] the wrong field. Keep it short: it runs before each job.
    pub fn check(mut self, check: impl Fn(&T) -> Result<(), MetadataError> + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Reads a job's metadata and holds it to the rules, in their order.
    ///
    /// # Errors
    /// As [`parse_metadata`]; that there is none; the first rule that it breaks.
    pub fn parse(&self, text: &str) -> Result<T, MetadataError> {
        let parsed = parse_metadata::<T>(text)?;
        let missing = || MetadataError::of_text::<T>("there is none, and it is required");
        let value = parsed.or_else(self.empty).ok_or_else(missing)?;
        for check in &self.checks {
            check(&value).map_err(|error| complete::<T>(error, text))?;
        }
        Ok(value)
    }

    /// The paths of fields that the type does not know, 16 at most; for a log, since they may be typing errors. The
    /// fields of [`JobMetadata`](crate::JobMetadata) may stand beside those of any type. To refuse unknown fields, give the type
    /// `#[serde(deny_unknown_fields)]`; within enums with `#[serde(tag = …)]` and fields with `#[serde(flatten)]` this sees none.
    ///
    /// ```
    /// use agent_core::MetadataFormat;
    ///
    /// #[derive(Default, serde::Deserialize)]
    /// #[serde(default)]
    /// struct Recording { tracks: Vec<String>, audio_only: bool }
    ///
    /// let format = MetadataFormat::<Recording>::or_default();
    /// let text = r#"{"request_id":"r1", "tracks":[], "audioOnly":true}"#;
    /// assert_eq!(format.unknown_fields(text), ["$.audioOnly"]);
    /// ```
    #[must_use]
    pub fn unknown_fields(&self, text: &str) -> Vec<String> {
        unknown_fields::<T>(text)
    }
}

/// Adds what a rule cannot know: the type, the field's name in JSON, and what is there.
fn complete<T>(error: MetadataError, text: &str) -> MetadataError {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let path = Path::parse(&error.path).in_document(&document);
    let complete = MetadataError::of::<T>(&path, &document, &error.message);
    MetadataError {
        expected: error.expected,
        value: if text.trim().is_empty() { None } else { complete.value },
        ..complete
    }
}

impl<T> Clone for MetadataFormat<T> {
    fn clone(&self) -> Self {
        Self { empty: self.empty, checks: self.checks.clone() }
    }
}

impl<T> fmt::Debug for MetadataFormat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataFormat")
            .field("type", &std::any::type_name::<T>())
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}
