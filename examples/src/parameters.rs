//! The settings of a job: beside its action, or within its `parameters`.

use serde::de::DeserializeOwned;

use agent_worker::metadata::{JobMetadata, MetadataError, MetadataFormat};

/// The settings of a job: its `parameters`, as in `{"action":"record","parameters":{"format":"webm"}}`, if it
/// has any; otherwise those that were read `beside` its action.
pub(crate) fn settings<T: DeserializeOwned>(
    metadata: JobMetadata,
    format: &MetadataFormat<T>,
    beside: T,
) -> Result<T, MetadataError> {
    if metadata.parameters.is_empty() {
        return Ok(beside);
    }
    format.parse(&serde_json::Value::from(metadata.parameters).to_string()).map_err(|mut error| {
        error.path = error.path.replacen('$', "$.parameters", 1);
        error
    })
}

#[cfg(test)]
mod tests {
    use agent_worker::metadata::parse_metadata;

    use super::*;
    use crate::RecordingJobMetadata;

    fn read(text: &str) -> Result<String, String> {
        let metadata = parse_metadata::<JobMetadata>(text).unwrap().unwrap_or_default();
        let settings = settings(metadata, &RecordingJobMetadata::accepted(), RecordingJobMetadata::default());
        settings.map(|settings| format!("{:?}", settings.container())).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_read_if_there_are_any() {
        assert_eq!(read("").unwrap(), "Mp4");
        assert_eq!(read(r#"{"action":"record","parameters":null}"#).unwrap(), "Mp4");
        assert_eq!(read(r#"{"action":"record","parameters":{"format":"webm"}}"#).unwrap(), "WebM");
        for (text, expected) in [
            (
                r#"{"parameters":{"format":"avi"}}"#,
                r#"$.parameters.format = "avi": expected one of `mp4`, `webm`, `ogg`"#,
            ),
            (
                r#"{"parameters":{"max_duration_seconds":0}}"#,
                "$.parameters.max_duration_seconds = 0: lower than 1",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
