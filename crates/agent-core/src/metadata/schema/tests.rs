#![allow(dead_code, reason = "types that are only described")]

use super::MetadataSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to do.
///
/// One of two things.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Task {
    /// Records the room.
    Record(Recording),
    /// Says something.
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

#[test]
fn json() {
    insta::assert_snapshot!(MetadataSchema::of::<Task>().json());
}
