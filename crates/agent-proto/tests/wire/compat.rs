//! The checks: a value of ours through their type and back, a value of theirs through our type and back.

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use agent_proto::{MAX_FRAME_LEN, decode, encode};

use crate::arbitrary::{self, Enums, Sample};
use crate::table::{POOL, TABLE};

/// The checks of one message, for its two Rust types.
pub(crate) struct Check {
    /// Binary: ours → theirs → ours, and theirs → ours → theirs.
    binary: fn(&Sample) -> Result<(), String>,
    /// JSON with our names → theirs, and theirs → JSON with their names → ours.
    json: fn(&Sample) -> Result<(), String>,
    /// Our decoder on any bytes: `Ok(length of the message, encoded again)` or its error.
    pub(crate) decode: fn(&bytes::Bytes, usize) -> Result<usize, agent_proto::DecodeError>,
}

impl Check {
    pub(crate) const fn of<O, T>() -> Self
    where
        O: Message + Default + PartialEq + Debug,
        T: Message + Default + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        Self {
            binary: binary::<O, T>,
            json: json::<O, T>,
            decode: |frame, limit| decode::<O>(frame, limit).map(|message| encode(&message).len()),
        }
    }
}

fn binary<O, T>(value: &Sample) -> Result<(), String>
where
    O: Message + Default + PartialEq + Debug,
    T: Message + Default + PartialEq + Debug,
{
    let ours: O = ours(value)?;
    let theirs = T::decode(encode(&ours)).map_err(|e| format!("theirs cannot read ours: {e}"))?;
    let back: O = decode(&theirs.encode_to_vec().into(), MAX_FRAME_LEN)
        .map_err(|e| format!("ours cannot read theirs: {e}"))?;
    same("ours, after theirs", &back, &ours)?;
    let again = T::decode(encode(&back)).map_err(|e| e.to_string())?;
    same("theirs, after ours", &again, &theirs)
}

fn json<O, T>(value: &Sample) -> Result<(), String>
where
    O: Message + Default + PartialEq + Debug,
    T: Message + Default + PartialEq + Debug + Serialize + DeserializeOwned,
{
    let ours: O = ours(value)?;
    // Defaults are written out, so that a field which is `optional` on one side only makes a difference.
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let mut text = Vec::new();
    let message = &value.0;
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .map_err(|e| e.to_string())?;
    let theirs: T = serde_json::from_slice(&text)
        .map_err(|e| format!("theirs cannot read our JSON: {e}: {}", String::from_utf8_lossy(&text)))?;
    let back: O = decode(&theirs.encode_to_vec().into(), MAX_FRAME_LEN)
        .map_err(|e| format!("ours cannot read theirs: {e}"))?;
    same("ours, by way of our JSON and their encoding", &back, &ours)?;
    let again = T::decode(encode(&ours)).map_err(|e| format!("theirs cannot read ours: {e}"))?;
    same("theirs, by way of our encoding", &again, &theirs)?;

    let text = serde_json::to_string(&theirs).map_err(|e| format!("their JSON: {e}"))?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    let read = DynamicMessage::deserialize(message.descriptor(), &mut reader)
        .map_err(|e| format!("ours cannot read their JSON: {e}: {text}"))?;
    same("ours, by way of their JSON", &Sample(read), value)
}

/// The value as our Rust type, which must lose nothing.
fn ours<O: Message + Default>(value: &Sample) -> Result<O, String> {
    let ours: O = value.0.transcode_to().map_err(|e| e.to_string())?;
    let read = DynamicMessage::decode(value.0.descriptor(), encode(&ours)).map_err(|e| e.to_string())?;
    same("our generated type", &Sample(read), value)?;
    Ok(ours)
}

fn same<M: PartialEq + Debug>(what: &str, got: &M, wanted: &M) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what}: got {got:?}\nwanted {wanted:?}")) }
}

/// Runs a check on random values of a message; the smallest that fails is in the error.
pub(crate) fn random<S: proptest::strategy::Strategy>(
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), String>,
) -> Result<(), String> {
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    runner.run(strategy, |v| check(v).map_err(TestCaseError::fail)).map_err(|e| e.to_string())
}

fn every_message(test: impl Fn(&Check, &MessageDescriptor) -> Result<(), String>) {
    let failed: Vec<String> = TABLE
        .iter()
        .filter_map(|case| test(&case.check, &case.descriptor()).err().map(|e| format!("{}: {e}", case.name)))
        .collect();
    assert!(failed.is_empty(), "{} of {} messages:\n{}", failed.len(), TABLE.len(), failed.join("\n\n"));
}

#[test]
fn random_values_pass_in_binary() {
    every_message(|check, descriptor| {
        random(&arbitrary::message(descriptor, Enums::Any), |value| (check.binary)(&value))
    });
}

#[test]
fn random_values_pass_in_json() {
    every_message(|check, descriptor| {
        random(&arbitrary::message(descriptor, Enums::Defined), |value| (check.json)(&value))
    });
}

#[test]
fn each_field_and_each_enum_value_passes_alone() {
    every_message(|check, descriptor| {
        for value in arbitrary::each_field(descriptor) {
            (check.binary)(&value)
                .and_then(|()| (check.json)(&value))
                .map_err(|e| format!("{value:?}: {e}"))?;
        }
        Ok(())
    });
}

/// If it fails, their crate has the fields now: compare them too.
#[test]
fn exempt_fields_are_unknown_to_livekit_protocol() {
    use agent_proto::livekit as ours;
    fn unknown<T: Message + Default + PartialEq + Debug>(ours: &impl Message) {
        assert_eq!(T::decode(encode(ours)).unwrap(), T::default());
    }
    let update = ours::ParticipantUpdate { full_snapshot: true, ..Default::default() };
    unknown::<livekit_protocol::ParticipantUpdate>(&update);
    let migrate = ours::MigrateJobRequest { jobs: vec![ours::Job::default()], ..Default::default() };
    unknown::<livekit_protocol::MigrateJobRequest>(&migrate);
    let join_timing = Some(ours::JobJoinTiming::default());
    let status = ours::UpdateJobStatus { join_timing, ..Default::default() };
    unknown::<livekit_protocol::UpdateJobStatus>(&status);
    assert_eq!(arbitrary::NEWER.len(), 3);
}

/// As the Go module github.com/livekit/protocol v1.54.1 writes it.
#[test]
fn join_timing_is_that_of_the_go_module() {
    use agent_proto::livekit as ours;
    let status = ours::UpdateJobStatus {
        job_id: "AJ_1".to_owned(),
        status: ours::JobStatus::JsRunning.into(),
        error: String::new(),
        join_timing: Some(ours::JobJoinTiming {
            offer_received_us: 1,
            accepted_us: 2,
            assignment_received_us: 3,
            launched_us: 4,
            launch_warm: true,
            entrypoint_started_us: 6,
            connect_called_us: 7,
            connected_us: 300,
        }),
    };
    let go =
        b"\n\x04AJ_1\x10\x01\x22\x11\x08\x01\x10\x02\x18\x03\x20\x04\x28\x01\x30\x06\x38\x07\x40\xac\x02";
    assert_eq!(encode(&status).as_ref(), go);
}

#[test]
fn a_field_reaches_every_enum() {
    let seen: BTreeSet<String> =
        TABLE.iter().flat_map(|case| arbitrary::enums_of(&DynamicMessage::new(case.descriptor()))).collect();
    let all: BTreeSet<String> = POOL.all_enums().map(|e| e.full_name().to_owned()).collect();
    assert_eq!(seen, all, "an enum that no field is of cannot be compared");
}
