#![allow(dead_code, reason = "types that are only described")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MetadataSchema;

/// What to do.
///
/// One of two things.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Task {
    /// Records the room.
    Record(Recording),
    /// Speaks a text.
    Say {
        /// The words | all of them.
        text: String,
    },
    Stop,
}

#[derive(Deserialize, JsonSchema, garde::Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
struct Recording {
    /// The container.
    #[serde(default)]
    format: Format,
    /// Ids of tracks;
    /// all of them if none is named.
    #[serde(default)]
    #[garde(length(max = 8), inner(length(min = 1)))]
    track_ids: Vec<String>,
    #[garde(range(min = 1, max = 86400))]
    max_seconds: Option<u32>,
    #[schemars(regex(pattern = "^[a-z]+$"))]
    file: String,
    ratio: f64,
    encoder: Encoder,
    outputs: Vec<Output>,
    labels: BTreeMap<String, Encoder>,
    anything: serde_json::Value,
    pair: (u8, bool),
}

#[derive(Deserialize, Serialize, Default, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// For players.
    #[default]
    Mp4,
    Webm,
}

#[derive(Deserialize, JsonSchema)]
struct Encoder {
    /// Bits per second.
    rate: u32,
    /// When it fails.
    fallback: Option<Box<Encoder>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Output {
    File { path: String },
    Stream { url: String, keys: Vec<String> },
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outside {
    Off,
    On(u8),
    Set { level: u8 },
}

#[derive(Deserialize, JsonSchema)]
struct Flat {
    own: bool,
    #[serde(flatten)]
    encoder: Encoder,
}

#[test]
fn markdown() {
    let all = [
        MetadataSchema::of::<Task>().markdown(),
        MetadataSchema::of::<Outside>().markdown(),
        MetadataSchema::of::<Flat>().markdown(),
        MetadataSchema::of::<Vec<u8>>().markdown(),
        MetadataSchema::of::<crate::JobMetadata>().markdown(),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Strict {
    /// Seconds of silence.
    timeout: u8,
    encoder: other::Encoder,
}

/// Types of two modules may have one name.
mod other {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    pub(super) struct Encoder {
        name: String,
    }
}

/// A minimal validator, sufficient for these tests.
fn fits(schema: &serde_json::Value, root: &serde_json::Value, value: &serde_json::Value) -> bool {
    let list = |key: &str| schema.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default();
    let of = |part: &serde_json::Value| fits(part, root, value);
    if let Some(name) = schema.get("$ref").and_then(|name| name.as_str()) {
        return fits(root.pointer(name.trim_start_matches('#')).unwrap(), root, value);
    }
    let fields = |name: &String, inner: &serde_json::Value| match schema["properties"].get(name) {
        Some(field) => fits(field, root, inner),
        None => schema.get("additionalProperties") != Some(&false.into()),
    };
    (list("oneOf").is_empty() || list("oneOf").iter().filter(|part| of(part)).count() == 1)
        && (list("anyOf").is_empty() || list("anyOf").iter().any(of))
        && schema.get("const").is_none_or(|constant| constant == value)
        && list("required").iter().all(|name| value.get(name.as_str().unwrap()).is_some())
        && value.as_object().is_none_or(|object| object.iter().all(|(name, inner)| fields(name, inner)))
        && (schema.get("type") != Some(&"object".into()) || value.is_object())
}

#[test]
fn several_agents_have_one_schema() {
    let schema = MetadataSchema::of_actions(
        [
            ("flat", Some(MetadataSchema::of::<Flat>())),
            ("strict", Some(MetadataSchema::of::<Strict>())),
            ("any", None),
            ("task", Some(MetadataSchema::of::<Output>())),
        ],
        [],
    );
    let root: serde_json::Value = serde_json::from_str(&schema.json()).unwrap();
    for (text, expected) in [
        (r#"{"action":"flat","own":true,"rate":1,"timeout":5,"request_id":"r"}"#, true),
        (r#"{"action":"strict","timeout":5,"encoder":{"name":"x"},"request_id":"r"}"#, true),
        (r#"{"action":"strict","timeout":5,"encoder":{"rate":1},"request_id":"r"}"#, false),
        (r#"{"action":"strict","timeout":5,"encoder":{"name":"x"},"other":1}"#, false),
        (r#"{"action":"any","more":[1]}"#, true),
        (r#"{"action":"task","kind":"File","path":"x","timeout":5}"#, true),
        (r#"{"action":"task","kind":"Stream","path":"x"}"#, false),
        (r#"{"action":"none"}"#, false),
        (r#"{"own":true,"rate":1}"#, false),
    ] {
        assert_eq!(fits(&root, &root, &serde_json::from_str(text).unwrap()), expected, "{text}\n{root:#}");
    }
    insta::assert_snapshot!(schema.markdown());
    // No selection by action.
    let kinds = MetadataSchema::of_actions([], [MetadataSchema::of::<Flat>(), schema]);
    assert!(
        kinds.json().contains("anyOf") && !kinds.json().contains("oneOf\": [\n        {\n          \"$ref"),
        "{}",
        kinds.json()
    );
}

#[test]
fn json() {
    insta::assert_snapshot!(MetadataSchema::of::<Task>().json());
}
