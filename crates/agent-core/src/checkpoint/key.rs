//! The key of a job's checkpoint: jobs with the same key continue each other's work.

use std::fmt::{self, Write};

use super::error::KeyError;
use crate::job::{Job, JobKind};
use crate::metadata::{NameField, name_field};

/// The longest key, in bytes.
const MAX_KEY_LEN: usize = 4096;

/// The key of one checkpoint, as text that any store accepts: ASCII letters, digits and `._-~%/:`, at most
/// 4096 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointKey(String);

/// What the key of a checkpoint is derived from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyBy {
    /// Agent name, room name, kind of job and target identity: what jobs have in common that are dispatched
    /// again, as job id and dispatch id are new then.
    #[default]
    Target,
    /// The job id: only attempts of one assignment share it.
    Job,
    /// The dispatch, and within it the kind of job and the target.
    Dispatch,
    /// The agent name and the value of a top-level field of the job's metadata, for example `request_id`, in
    /// any room: a non-empty string or a number.
    Metadata(String),
    /// The agent name and a non-empty text of your own.
    Text(String),
}

impl CheckpointKey {
    /// The key of a job.
    ///
    /// # Errors
    /// [`KeyError`], when the job lacks what the key is derived from.
    ///
    /// ```
    /// # use agent_core::{CheckpointKey, Job, KeyBy, JobId, JobKind};
    /// let mut job = Job::new("AJ_1", JobKind::Room, "lobby");
    /// job.agent_name = "greeter".to_owned();
    /// job.raw_metadata = r#"{"request_id":"r 7"}"#.to_owned();
    /// assert_eq!(CheckpointKey::of(&job, &KeyBy::Target).unwrap().as_str(), "target:greeter/lobby/room/");
    /// let by_request = KeyBy::Metadata("request_id".to_owned());
    /// assert_eq!(CheckpointKey::of(&job, &by_request).unwrap().as_str(), "metadata:greeter/request_id/r%207");
    /// ```
    pub fn of(job: &Job, by: &KeyBy) -> Result<Self, KeyError> {
        let target = job.target.as_ref().map_or("", |target| target.identity.as_str());
        let kind = match job.kind {
            JobKind::Room => "room",
            JobKind::Publisher => "publisher",
            JobKind::Participant => "participant",
        };
        let agent = job.agent_name.as_str();
        match by {
            KeyBy::Target => Self::made(
                "target",
                &[agent, &job.room.name, kind, target],
                "the names of agent, room and participant",
            ),
            KeyBy::Job => Self::made("job", &[job.id.as_str()], "the job id"),
            KeyBy::Dispatch if job.dispatch_id.is_empty() => Err(KeyError::NoDispatch),
            KeyBy::Dispatch => {
                Self::made("dispatch", &[&job.dispatch_id, kind, target], "the identity of the participant")
            }
            KeyBy::Metadata(field) if field.is_empty() => Err(KeyError::Empty { what: "KeyBy::Metadata" }),
            KeyBy::Text(text) if text.is_empty() => Err(KeyError::Empty { what: "KeyBy::Text" }),
            KeyBy::Metadata(field) => {
                let value = metadata_field(job, field)?;
                Self::made("metadata", &[agent, field, &value], "the value of the metadata's field")
            }
            KeyBy::Text(text) => Self::made("text", &[agent, text], "the text of `KeyBy::Text`"),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn made(class: &str, parts: &[&str], what: &'static str) -> Result<Self, KeyError> {
        // Parts cannot contain the separators, so that no two lists of parts produce the same key.
        let mut key = format!("{class}:");
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                key.push('/');
            }
            for byte in part.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'~' => {
                        key.push(char::from(byte))
                    }
                    _ => {
                        // Writing to a String cannot fail.
                        let _ = write!(key, "%{byte:02X}");
                    }
                }
            }
        }
        if key.len() > MAX_KEY_LEN {
            return Err(KeyError::TooLong { len: key.len(), what });
        }
        Ok(Self(key))
    }
}

fn metadata_field(job: &Job, field: &str) -> Result<String, KeyError> {
    match name_field(&job.raw_metadata, field)? {
        NameField::Name(name) => Ok(name),
        NameField::Other => Err(KeyError::NoText { field: field.to_owned() }),
        NameField::Absent => Err(KeyError::NoField { field: field.to_owned() }),
    }
}

impl fmt::Display for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use agent_proto::ParticipantKind;

    use super::*;
    use crate::job::Target;

    fn job(room: &str, kind: JobKind, target: Option<&str>, metadata: &str) -> Job {
        let mut job = Job::new("AJ_1", kind, room);
        job.agent_name = "greeter".to_owned();
        job.dispatch_id = "AD_1".to_owned();
        job.raw_metadata = metadata.to_owned();
        job.target = target.map(|identity| Target {
            identity: identity.to_owned(),
            sid: String::new(),
            name: String::new(),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: BTreeMap::new(),
            hidden: false,
        });
        job
    }

    fn check(job: &Job, by: KeyBy, expected: &str) {
        let key = CheckpointKey::of(job, &by);
        if let Ok(key) = &key {
            assert_eq!(key.as_str(), expected);
        }
        assert_eq!(key.map_or_else(|error| error.to_string(), |key| key.to_string()), expected);
    }

    #[test]
    fn keys_of_a_job_that_is_dispatched_again() {
        let mut first = job("a/b", JobKind::Participant, Some("Ada ü"), "");
        check(&first, KeyBy::Target, "target:greeter/a%2Fb/participant/Ada%20%C3%BC");
        check(&first, KeyBy::Job, "job:AJ_1");
        check(&first, KeyBy::Dispatch, "dispatch:AD_1/participant/Ada%20%C3%BC");
        check(&first, KeyBy::Text("x:y".to_owned()), "text:greeter/x%3Ay");
        let empty = "the checkpoint's key is made of an empty text: give";
        check(&first, KeyBy::Text(String::new()), &format!("{empty} `KeyBy::Text` at least a byte"));
        check(&first, KeyBy::Metadata(String::new()), &format!("{empty} `KeyBy::Metadata` at least a byte"));
        first.id = crate::JobId::new("AJ_2");
        first.dispatch_id = String::new();
        check(&first, KeyBy::Target, "target:greeter/a%2Fb/participant/Ada%20%C3%BC");
        check(
            &first,
            KeyBy::Dispatch,
            "the job has no dispatch id, which its checkpoint key needs: the server created the job without a dispatch",
        );
    }

    #[test]
    fn a_field_of_the_metadata() {
        let by = || KeyBy::Metadata("request_id".to_owned());
        let job = |metadata| job("lobby", JobKind::Room, None, metadata);
        check(&job(r#"{"request_id":"r-1"}"#), by(), "metadata:greeter/request_id/r-1");
        check(&job(r#"{"request_id":7}"#), by(), "metadata:greeter/request_id/7");
        let missing = "the job's metadata has no field `request_id`, which its checkpoint key needs: dispatch the job with it";
        check(&job(""), by(), missing);
        check(&job("[]"), by(), missing);
        let no_text = "the field `request_id` of the job's metadata, which its checkpoint key needs, must be a non-empty string or a number";
        check(&job(r#"{"request_id":""}"#), by(), no_text);
        check(&job(r#"{"request_id":null}"#), by(), no_text);
        assert!(matches!(CheckpointKey::of(&job("{"), &by()), Err(KeyError::Metadata(_))));
    }

    #[test]
    fn the_error_of_a_long_key_names_the_long_part() {
        let long = job(&"é".repeat(1000), JobKind::Room, None, "");
        check(
            &long,
            KeyBy::Target,
            "the key of the checkpoint would have 6021 bytes, the limit is 4096: shorten the names of agent, room and participant",
        );
        let prefix = "text:greeter/";
        let longest = "x".repeat(MAX_KEY_LEN - prefix.len());
        check(&long, KeyBy::Text(longest.clone()), &format!("{prefix}{longest}"));
        check(
            &long,
            KeyBy::Text(longest + "x"),
            "the key of the checkpoint would have 4097 bytes, the limit is 4096: shorten the text of `KeyBy::Text`",
        );
    }

    proptest! {
        #[test]
        fn different_jobs_have_different_keys(a in "[a/:%.é]{0,4}", b in "[a/:%.é]{0,4}", c in "[a/:%.é]{0,4}", d in "[a/:%.é]{0,4}") {
            let key = |room: &str, identity: &str| {
                CheckpointKey::of(&job(room, JobKind::Publisher, Some(identity), ""), &KeyBy::Target).unwrap()
            };
            prop_assert_eq!(key(&a, &b) == key(&c, &d), (&a, &b) == (&c, &d));
            prop_assert!(key(&a, &b).as_str().is_ascii());
        }
    }
}
