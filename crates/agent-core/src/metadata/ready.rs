//! `JobMetadata`: a type for agents without one of their own.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::error::MetadataError;
use super::read::parse_metadata;

/// Metadata that names an action and its parameters. All fields may be absent or null; others are ignored.
///
/// ```
/// use agent_core::{JobMetadata, parse_metadata};
///
/// #[derive(serde::Deserialize)]
/// struct Recording { format: String }
///
/// let text = r#"{"action":"record", "parameters":{"format":"mp4"}, "priority":"high", "request_id":"r-17", "timeout":90}"#;
/// let metadata: JobMetadata = parse_metadata(text)?.unwrap_or_default();
/// assert_eq!((metadata.action.as_str(), metadata.timeout().map(|t| t.as_secs())), ("record", Some(90)));
/// assert_eq!(metadata.parameters_as::<Recording>()?.format, "mp4");
/// # Ok::<(), agent_core::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(description = "An action and its parameters. All fields may be left out or null.")
)]
#[serde(default)]
#[non_exhaustive]
pub struct JobMetadata {
    /// What to do.
    #[serde(deserialize_with = "or_null")]
    pub action: String,
    /// How to do it.
    #[serde(deserialize_with = "or_null")]
    pub parameters: Map<String, Value>,
    /// How urgent it is, in the dispatcher's terms.
    #[serde(deserialize_with = "or_null")]
    pub priority: String,
    /// The id of the request that led to the job, included in every log line about it.
    #[serde(deserialize_with = "or_null")]
    pub request_id: String,
    /// How long the job may take, in seconds.
    pub timeout: Option<f64>,
}

impl JobMetadata {
    /// The names of its fields.
    pub(super) const FIELDS: [&str; 5] = ["action", "parameters", "priority", "request_id", "timeout"];

    /// How long the job may take; `None` when it is absent, or not positive.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let seconds = self.timeout.filter(|seconds| *seconds > 0.0)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The parameters as a type of their own.
    ///
    /// # Errors
    /// [`MetadataError`], whose path begins with `$.parameters`.
    pub fn parameters_as<T: DeserializeOwned>(&self) -> Result<T, MetadataError> {
        #[derive(Deserialize)]
        struct Within<T> {
            parameters: T,
        }
        let document =
            Value::Object([("parameters".to_owned(), self.parameters.clone().into())].into_iter().collect());
        match parse_metadata::<Within<T>>(&document.to_string()) {
            Ok(Some(within)) => Ok(within.parameters),
            Ok(None) => Err(MetadataError::of_text::<T>("there is none")),
            Err(error) => {
                Err(MetadataError { type_name: MetadataError::of_text::<T>("").type_name, ..error })
            }
        }
    }
}

/// Senders in other languages write null for what is not set.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
