//! The protobuf JSON form of the wire messages, based on their descriptors.
//!
//! Two dialects, as on the real server: workers read `camelCase` without default values, the API answers in
//! `snake_case` with default values. Both cases are read; unknown fields and enum values are skipped.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};

use agent_proto::DESCRIPTORS;

/// Why a message could not be converted to or from JSON.
#[derive(Debug, thiserror::Error)]
pub(super) enum JsonError {
    #[error("unknown message type {0}")]
    Name(&'static str),
    #[error("not the JSON of a {0}: {1}")]
    Json(&'static str, #[source] serde_json::Error),
    #[error("not a {0}: {1}")]
    Wire(&'static str, #[source] prost::DecodeError),
}

/// The form for workers. `name` is the message's name without the package.
pub(super) fn to_json<M: Message>(name: &'static str, message: &M) -> Result<String, JsonError> {
    write(name, message, &SerializeOptions::new())
}

/// The form of API responses.
pub(super) fn to_api_json<M: Message>(name: &'static str, message: &M) -> Result<String, JsonError> {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    write(name, message, &options)
}

pub(super) fn from_json<M: Message + Default>(name: &'static str, text: &str) -> Result<M, JsonError> {
    let json = |error| JsonError::Json(name, error);
    let mut reader = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor(name)?, &mut reader, &options);
    let message = message.map_err(json)?;
    reader.end().map_err(json)?;
    M::decode(message.encode_to_vec().as_slice()).map_err(|error| JsonError::Wire(name, error))
}

fn write<M: Message>(
    name: &'static str,
    message: &M,
    options: &SerializeOptions,
) -> Result<String, JsonError> {
    let message = DynamicMessage::decode(descriptor(name)?, message.encode_to_vec().as_slice())
        .map_err(|error| JsonError::Wire(name, error))?;
    let mut text = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), options)
        .map_err(|error| JsonError::Json(name, error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn descriptor(name: &'static str) -> Result<MessageDescriptor, JsonError> {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    let pool = POOL.get_or_init(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());
    pool.get_message_by_name(&format!("livekit.{name}")).ok_or(JsonError::Name(name))
}

#[cfg(test)]
mod tests {
    use agent_proto::livekit::{
        AgentDispatch, CreateAgentDispatchRequest, Job, UpdateWorkerStatus, WorkerPing, WorkerStatus,
    };

    use super::*;

    #[test]
    fn workers_read_camel_case_and_no_defaults() {
        let job = Job { agent_name: "a".into(), r#type: 1, ..Job::default() };
        assert_eq!(to_json("Job", &job).unwrap(), r#"{"type":"JT_PUBLISHER","agentName":"a"}"#);
        let ping = WorkerPing { timestamp: 1 << 60 };
        assert_eq!(to_json("WorkerPing", &ping).unwrap(), r#"{"timestamp":"1152921504606846976"}"#);
    }

    #[test]
    fn the_api_answers_in_snake_case_with_defaults() {
        let dispatch = AgentDispatch { id: "AD_1".into(), ..AgentDispatch::default() };
        let json: serde_json::Value =
            serde_json::from_str(&to_api_json("AgentDispatch", &dispatch).unwrap()).unwrap();
        assert_eq!(json["id"], "AD_1");
        assert_eq!(json["agent_name"], "");
        assert_eq!(json["restart_policy"], "JRP_ON_FAILURE");
        assert_eq!(json["attributes"], serde_json::json!({}));
    }

    #[test]
    fn both_cases_are_read_and_unknown_fields_are_skipped() {
        let text = r#"{"agent_name":"a","restartPolicy":"JRP_NEVER","what":[{}],"attributes":{"k":"v"},"room":null}"#;
        let request: CreateAgentDispatchRequest = from_json("CreateAgentDispatchRequest", text).unwrap();
        assert_eq!(
            (request.agent_name.as_str(), request.restart_policy, request.room.as_str()),
            ("a", 1, "")
        );
        assert_eq!(request.attributes["k"], "v");

        let status: UpdateWorkerStatus =
            from_json("UpdateWorkerStatus", r#"{"status":"WS_FULL","load":0.5}"#).unwrap();
        assert_eq!((status.status(), status.load), (WorkerStatus::WsFull, 0.5));
        let status: UpdateWorkerStatus =
            from_json("UpdateWorkerStatus", r#"{"status":"WS_NEW","jobCount":"3"}"#).unwrap();
        assert_eq!((status.status, status.job_count), (None, 3));
    }

    #[test]
    fn invalid_messages_are_reported() {
        for text in ["", "{", "[]", "7", r#"{"timestamp":{}}"#, r#"{"timestamp":1} x"#, &"[".repeat(1000)] {
            let error = from_json::<WorkerPing>("WorkerPing", text).unwrap_err();
            assert!(error.to_string().starts_with("not the JSON of a WorkerPing: "), "{error}");
        }
        assert!(matches!(to_json("Nope", &WorkerPing::default()), Err(JsonError::Name("Nope"))));
    }
}
