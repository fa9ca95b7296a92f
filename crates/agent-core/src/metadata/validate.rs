//! Validation rules of a type, with garde.

use serde::de::DeserializeOwned;

use super::error::MetadataError;
use super::format::MetadataFormat;

impl<T> MetadataFormat<T>
where
    T: DeserializeOwned + garde::Validate,
    T::Context: Default,
{
    /// Checks the rules that the type derives with [`garde::Validate`]; the first broken one is reported.
    ///
    /// ```
    /// use agent_core::MetadataFormat;
    /// use garde::Validate;
    ///
    /// #[derive(Default, serde::Deserialize, Validate)]
    /// #[serde(default, rename_all = "camelCase")]
    /// struct Recording {
    ///     #[garde(range(min = 1, max = 3600))]
    ///     max_seconds: u32,
    /// }
    ///
    /// let format = MetadataFormat::<Recording>::required().validated();
    /// let error = format.parse(r#"{"maxSeconds":0}"#).err().unwrap();
    /// assert_eq!(error.to_string(), "the job's metadata is no valid Recording: $.maxSeconds = 0: lower than 1");
    /// ```
    pub fn validated(self) -> Self {
        self.check(|value| match value.validate() {
            Ok(()) => Ok(()),
            Err(report) => Err(first_problem(&report)),
        })
    }
}

/// The first broken rule.
pub(crate) fn first_problem(report: &garde::Report) -> MetadataError {
    match report.iter().next() {
        Some((path, error)) => MetadataError::at(path, error),
        None => MetadataError::at("$", "not valid"),
    }
}
