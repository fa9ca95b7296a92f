//! `MetadataFormat`: the metadata that an agent accepts.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::document::content;
use super::error::MetadataError;
use super::path::Path;
use super::read::parse_metadata;
use super::scan::{Cursor, Work};
#[cfg(feature = "schema")]
use super::schema::MetadataSchema;
use super::show::show;
use super::unknown::unknown_fields;

/// The metadata that an agent accepts: a type, the meaning of missing metadata, and rules for the values.
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
    #[cfg(feature = "schema")]
    schema: Option<fn() -> MetadataSchema>,
}

type Check<T> = Arc<dyn Fn(&T) -> Result<(), MetadataError> + Send + Sync>;

impl<T: DeserializeOwned + Default> MetadataFormat<T> {
    /// A job without metadata means the default of the type.
    pub fn or_default() -> Self {
        Self::new(|| Some(T::default()))
    }
}

impl<T: DeserializeOwned> MetadataFormat<T> {
    /// A job without metadata is invalid.
    pub fn required() -> Self {
        Self::new(|| None)
    }

    fn new(empty: fn() -> Option<T>) -> Self {
        Self {
            empty,
            checks: Vec::new(),
            #[cfg(feature = "schema")]
            schema: None,
        }
    }

    /// Adds the schema of the type, for those who dispatch jobs: [`MetadataSchema`] prints it, and a router
    /// combines those of its agents.
    ///
    /// ```
    /// use agent_core::MetadataFormat;
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Call { number: String }
    ///
    /// let format = MetadataFormat::<Call>::required().with_schema();
    /// assert!(format.schema().unwrap().markdown().contains("| `number` | string | yes |"));
    /// ```
    #[cfg(feature = "schema")]
    pub fn with_schema(mut self) -> Self
    where
        T: schemars::JsonSchema,
    {
        self.schema = Some(MetadataSchema::of::<T>);
        self
    }

    /// The schema, if it was added by [`with_schema`](Self::with_schema).
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema(&self) -> Option<MetadataSchema> {
        self.schema.map(|schema| schema())
    }

    /// Adds a rule, which returns [`MetadataError::at`] the invalid field. Keep it fast: it runs before each
    /// job.
    pub fn check(mut self, check: impl Fn(&T) -> Result<(), MetadataError> + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Reads a job's metadata and checks the rules, in their order.
    ///
    /// # Errors
    /// Those of [`parse_metadata`]; missing metadata; the first rule that is broken.
    pub fn parse(&self, text: &str) -> Result<T, MetadataError> {
        let parsed = parse_metadata::<T>(text)?;
        let missing = || MetadataError::of_text::<T>("there is none, and it is required");
        let value = parsed.or_else(self.empty).ok_or_else(missing)?;
        for check in &self.checks {
            check(&value).map_err(|error| complete::<T>(error, text))?;
        }
        Ok(value)
    }

    /// The paths of fields that the type does not know, at most 16; for a log, since they may be typing
    /// errors. The fields of [`JobMetadata`](crate::JobMetadata) are allowed beside those of any type. To
    /// refuse unknown fields, add `#[serde(deny_unknown_fields)]` to the type; within enums with
    /// `#[serde(tag = …)]` and fields with `#[serde(flatten)]` unknown fields are not found.
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

/// Adds what a rule cannot know: the type, the field's name in JSON, and its value.
fn complete<T>(error: MetadataError, text: &str) -> MetadataError {
    let work = Work::default();
    let cursor = Cursor::new(content(text).unwrap_or_default(), &work);
    let (path, at) = Path::parse(&error.path).resolve(cursor.clone());
    let value = at.and_then(|at| show(cursor.from(at)));
    MetadataError { expected: error.expected, ..MetadataError::of::<T>(&path, value, &error.message) }
}

impl<T> Clone for MetadataFormat<T> {
    fn clone(&self) -> Self {
        Self {
            empty: self.empty,
            checks: self.checks.clone(),
            #[cfg(feature = "schema")]
            schema: self.schema,
        }
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
