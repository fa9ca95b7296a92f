//! Replaces the JSON form of the wire messages if the feature `json` is off: every use of it is an error.

use prost::Message;

/// The JSON form is not part of this build.
#[derive(Debug, thiserror::Error)]
#[error("{0}: JSON is not supported by this build of agent-testkit: enable its feature `json`")]
pub(super) struct JsonError(&'static str);

pub(super) fn to_json<M: Message>(name: &'static str, _: &M) -> Result<String, JsonError> {
    Err(JsonError(name))
}

pub(super) fn to_api_json<M: Message>(name: &'static str, _: &M) -> Result<String, JsonError> {
    Err(JsonError(name))
}

pub(super) fn from_json<M: Message + Default>(name: &'static str, _: &str) -> Result<M, JsonError> {
    Err(JsonError(name))
}
