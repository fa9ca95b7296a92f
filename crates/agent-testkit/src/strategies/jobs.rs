//! Jobs of all kinds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use agent_worker::job::Target;
use agent_worker::{Job, JobKind};

use super::texts::{names, texts};
use crate::mock::JobSpec;

fn kinds() -> impl Strategy<Value = JobKind> {
    prop::sample::select(&[JobKind::Room, JobKind::Participant, JobKind::Publisher][..])
}

fn attributes() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(names(), texts(), 0..=3)
}

/// Metadata that is nothing, a text, or a JSON object.
fn metadata() -> impl Strategy<Value = String> {
    let object = prop::collection::btree_map(names(), texts(), 0..=3)
        .prop_map(|fields| serde_json::Value::from_iter(fields).to_string());
    prop_oneof![Just(String::new()), texts(), object]
}

/// Jobs of all kinds, with unusual texts in room, target, attributes and metadata. A participant or publisher
/// job has a target. Shrinks to a room job without texts.
pub fn jobs() -> impl Strategy<Value = Job> {
    let room = (names(), texts());
    let target = (names(), texts(), attributes());
    let flags = any::<(bool, bool, bool)>();
    (names(), kinds(), room, target, metadata(), attributes(), flags).prop_map(
        |(id, kind, room, target, metadata, attributes, flags)| {
            let mut job = Job::new(&format!("AJ_{id}"), kind, &room.0);
            job.room.sid = format!("RM_{}", room.0);
            job.room.metadata = room.1;
            if kind != JobKind::Room {
                let mut ada = Target::new(&target.0, &format!("PA_{}", target.0));
                (ada.metadata, ada.attributes) = (target.1, target.2);
                job.target = Some(ada);
            }
            (job.raw_metadata, job.attributes) = (metadata, attributes);
            (job.enable_recording, job.enable_redaction, job.resuming) = flags;
            job
        },
    )
}

/// Jobs of all kinds to run with [`run_job`](crate::run_job), in a room with up to 3 participants, with
/// unusual texts as in [`jobs`]. Shrinks to a room job without participants and texts.
pub fn job_specs() -> impl Strategy<Value = JobSpec> {
    let people = prop::collection::btree_set(names(), 0..=3);
    (names(), kinds(), names(), metadata(), attributes(), people, any::<(bool, bool)>()).prop_map(
        |(room, kind, target, metadata, attributes, people, (recording, redaction))| {
            let spec = match kind {
                JobKind::Participant => JobSpec::for_participant(room, target),
                JobKind::Publisher => JobSpec::for_publisher(room, target),
                _ => JobSpec::room(room),
            };
            let spec = spec.metadata(metadata).attributes(attributes);
            people.into_iter().fold(spec.recording(recording).redaction(redaction), |spec, identity| {
                spec.participant(identity)
            })
        },
    )
}
