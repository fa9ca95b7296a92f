//! Reading a job's metadata as a type.

use serde::de::DeserializeOwned;

/// Why the metadata of a job is not what its agent expects.
///
/// The message names the path of the field, for example `$.tracks[1]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job's metadata is no valid {type_name}: at `{path}`: {message}")]
#[non_exhaustive]
pub struct MetadataError {
    /// The Rust type that was asked for.
    pub type_name: String,
    /// Where in the JSON document, as `$.field[index]`; `$` is the document itself.
    pub path: String,
    /// What is wrong there, and what was expected.
    pub message: String,
}

/// Reads JSON text as `T`; `None` when the text is empty (or blank), as jobs without metadata have it.
///
/// # Errors
/// [`MetadataError`] for text that is not JSON, or JSON that is no `T`.
///
/// ```
/// #[derive(serde::Deserialize, Debug)]
/// struct Recording { tracks: Vec<u32> }
///
/// let err = agent_core::parse_metadata::<Recording>(r#"{"tracks":[1,"x"]}"#).unwrap_err();
/// assert_eq!(err.path, "$.tracks[1]");
/// ```
pub fn parse_metadata<T: DeserializeOwned>(text: &str) -> Result<Option<T>, MetadataError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let error = |path: String, message: String| MetadataError {
        type_name: short_type_name::<T>(),
        path: if path == "." { "$".to_owned() } else { format!("$.{path}") },
        message,
    };
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|e| error(e.path().to_string(), e.inner().to_string()))?;
    json.end().map_err(|e| error(".".to_owned(), e.to_string()))?;
    Ok(Some(value))
}

fn short_type_name<T>() -> String {
    let full = std::any::type_name::<T>();
    let (name, generics) = full.split_at(full.find('<').unwrap_or(full.len()));
    format!("{}{generics}", name.rsplit("::").next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Recording {
        format: String,
        #[serde(default)]
        tracks: Vec<u32>,
    }

    fn check(text: &str, expected: &str) {
        let shown = match parse_metadata::<Recording>(text) {
            Ok(value) => format!("{value:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn what_is_read() {
        check("", "None");
        check(" \n", "None");
        check(r#"{"format":"mp4","extra":1}"#, r#"Some(Recording { format: "mp4", tracks: [] })"#);
    }

    #[test]
    fn errors_name_the_type_and_the_path() {
        let at = |path: &str, message: &str| {
            format!("the job's metadata is no valid Recording: at `{path}`: {message}")
        };
        check("{}", &at("$", "missing field `format` at line 1 column 2"));
        check("nonsense", &at("$", "expected ident at line 1 column 2"));
        check(
            r#"{"format":"mp4","tracks":[1,"x"]}"#,
            &at("$.tracks[1]", "invalid type: string \"x\", expected u32 at line 1 column 31"),
        );
        check(r#"{"format":"mp4"} more"#, &at("$", "trailing characters at line 1 column 18"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_metadata::<BTreeMap<String, Recording>>(&text);
        }
    }
}
