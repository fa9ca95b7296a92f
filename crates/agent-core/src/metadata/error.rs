//! Errors of a job's metadata.

use std::fmt;

use super::path::{MAX_PATH, Path};
use crate::text::shorten;

/// Why the metadata of a job is invalid for its agent. `?` in a handler converts it into an
/// [`Invalid`](crate::JobErrorKind::Invalid) error, which ends the job as `invalid_input`.
///
/// ```
/// #[derive(serde::Deserialize, Debug)]
/// struct Recording { tracks: Vec<u32> }
///
/// let error = agent_core::parse_metadata::<Recording>(r#"{"tracks":[1,"x"]}"#).unwrap_err();
/// assert_eq!((error.path.as_str(), error.field().as_str()), ("$.tracks[1]", "tracks"));
/// assert_eq!(error.value.as_deref(), Some(r#""x""#));
/// assert_eq!(error.expected.as_deref(), Some("a whole number from 0 to 4294967295"));
/// assert_eq!(
///     error.to_string(),
///     r#"the job's metadata is no valid Recording: $.tracks[1] = "x": expected a whole number from 0 to 4294967295"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataError {
    /// The Rust type that was asked for, without its module; empty for a field that the SDK reads itself.
    pub type_name: String,
    /// Where in the JSON document, as `$.field[index]`; `$` is the document itself.
    pub path: String,
    /// The value there, as at most 100 characters of JSON; an object is shown as `{…}`. `None` when there is
    /// none.
    pub value: Option<String>,
    /// What the type expects there, if known.
    pub expected: Option<String>,
    /// The problem in words, including what was expected.
    pub message: String,
}

const MAX_MESSAGE: usize = 400;
impl MetadataError {
    /// An invalid value, for a check of [`MetadataFormat::check`](crate::MetadataFormat::check), which adds
    /// the type and the value. The path is that of the field: `tracks[1]`, or `$` for the document itself.
    ///
    /// ```
    /// use agent_core::{MetadataError, MetadataFormat};
    ///
    /// #[derive(Default, serde::Deserialize)]
    /// struct Range { from: u32, to: u32 }
    ///
    /// let format = MetadataFormat::<Range>::or_default().check(|range| {
    ///     if range.from <= range.to { Ok(()) } else { Err(MetadataError::at("to", "is before `from`")) }
    /// });
    /// let error = format.parse(r#"{"from":2,"to":1}"#).err().unwrap();
    /// assert_eq!(error.to_string(), "the job's metadata is no valid Range: $.to = 1: is before `from`");
    /// ```
    #[must_use]
    pub fn at(path: impl fmt::Display, message: impl fmt::Display) -> Self {
        let path = Path::parse(&path.to_string());
        Self {
            type_name: String::new(),
            path: path.to_string(),
            value: None,
            expected: None,
            message: shorten(&message.to_string(), MAX_MESSAGE),
        }
    }

    /// The name of the field, or of the field that contains the item; empty for the document itself.
    #[must_use]
    pub fn field(&self) -> String {
        Path::parse(&self.path).field()
    }

    /// An error about this place of a document, read as `T`.
    pub(super) fn of<T>(path: &Path, value: Option<String>, message: &str) -> Self {
        Self {
            type_name: short_type_name::<T>(),
            path: path.shown(MAX_PATH),
            value,
            expected: None,
            message: shorten(message, MAX_MESSAGE),
        }
    }

    /// An error about the text itself.
    pub(super) fn of_text<T>(message: &str) -> Self {
        Self::of::<T>(&Path::default(), None, message)
    }

    pub(super) fn expecting(self, expected: &str) -> Self {
        Self { expected: Some(shorten(expected, MAX_MESSAGE)), ..self }
    }
}

pub(crate) fn short_type_name<T>() -> String {
    let full = std::any::type_name::<T>();
    let (name, generics) = full.split_at(full.find('<').unwrap_or(full.len()));
    format!("{}{generics}", name.rsplit("::").next().unwrap_or(name))
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_name, path, value, message, .. } = self;
        match type_name.as_str() {
            "" => write!(f, "the job's metadata is not valid: {path}")?,
            name => write!(f, "the job's metadata is no valid {name}: {path}")?,
        }
        if let Some(value) = value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {message}")
    }
}

impl std::error::Error for MetadataError {}
