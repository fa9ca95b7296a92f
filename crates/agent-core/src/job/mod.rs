//! Jobs, as the server describes them.

pub(crate) mod lifecycle;
pub(crate) mod time_limit;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use agent_proto::ParticipantKind;
use agent_proto::livekit as wire;

use crate::error::JobError;
use crate::metadata::{MAX_METADATA_LEN, MetadataError, action, parse_metadata, request_id, timeout};

/// The most attributes of a job or a participant, in bytes of keys and values (64 KiB, the server's own
/// limit).
pub const MAX_ATTRIBUTES_LEN: usize = 64 * 1024;

/// The id of a job, `AJ_…`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JobId(Arc<str>);

/// The kind of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
#[doc(alias = "JobType")]
#[doc(alias = "WorkerType")]
pub enum JobKind {
    /// An agent for a room.
    #[default]
    Room,
    /// An agent for a participant that publishes media.
    Publisher,
    /// An agent for a participant.
    Participant,
}

/// One unit of work that the server offers, then assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: JobKind,
    /// The room.
    pub room: JobRoom,
    /// The participant of a participant or publisher job.
    pub target: Option<Target>,
    /// The agent that was requested; empty for a worker without a name.
    pub agent_name: String,
    /// The deployment that was requested; empty unless deployments are used.
    pub deployment: String,
    /// The dispatch that it comes from, `AD_…`; empty when the server created it without a dispatch.
    pub dispatch_id: String,
    /// The dispatch's metadata, as text; see [`Job::metadata`].
    pub raw_metadata: String,
    /// The field `request_id` of the metadata, when that is a JSON object with such a string or number: at
    /// most 128 characters, for logs.
    pub request_id: Option<String>,
    /// The dispatch's attributes.
    pub attributes: BTreeMap<String, String>,
    /// Whether the server requests a recording of the session.
    pub enable_recording: bool,
    /// Whether the server requests the redaction of personal data.
    pub enable_redaction: bool,
    /// Whether the job ran before, on another worker.
    pub resuming: bool,
}

/// A room, as a job describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct JobRoom {
    /// Its name.
    pub name: String,
    /// Its id, `RM_…`: unique for each instance of a room of this name.
    pub sid: String,
    /// Its metadata.
    pub metadata: String,
}

/// The target participant of a job, at the time of the job's creation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Target {
    /// Its identity.
    pub identity: String,
    /// Its id, `PA_…`.
    pub sid: String,
    /// Its display name.
    pub name: String,
    /// Its kind.
    pub kind: ParticipantKind,
    /// Its metadata.
    pub metadata: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Whether it is hidden from the other participants, including agents.
    pub hidden: bool,
}

/// The log fields of a job.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct JobLabels {
    /// Its id.
    pub id: JobId,
    /// The name of its room.
    pub room: String,
    /// The request id of its metadata, as in [`Job::request_id`].
    pub request_id: Option<String>,
}

impl JobLabels {
    /// The fields of a job from the wire, even one that cannot be run; `None` when it has no id.
    pub(crate) fn from_wire(job: &wire::Job) -> Option<Self> {
        (!job.id.is_empty()).then(|| Self {
            id: JobId::new(&job.id),
            room: job.room.as_ref().map(|room| room.name.clone()).unwrap_or_default(),
            request_id: request_id(&job.metadata),
        })
    }
}

impl From<&Job> for JobLabels {
    fn from(job: &Job) -> Self {
        Self { id: job.id.clone(), room: job.room.name.clone(), request_id: job.request_id.clone() }
    }
}

/// The id.
impl fmt::Debug for JobLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl Job {
    /// A job with only this id, kind and room, for tests and tools.
    #[must_use]
    pub fn new(id: &str, kind: JobKind, room: &str) -> Self {
        Self {
            id: JobId::new(id),
            kind,
            room: JobRoom { name: room.to_owned(), ..JobRoom::default() },
            target: None,
            agent_name: String::new(),
            deployment: String::new(),
            dispatch_id: String::new(),
            raw_metadata: String::new(),
            request_id: None,
            attributes: BTreeMap::new(),
            enable_recording: false,
            enable_redaction: false,
            resuming: false,
        }
    }

    /// Reads the metadata as `T`; `None` when the job has none.
    ///
    /// # Errors
    /// [`MetadataError`], which names the field, when it is not JSON or not a `T`.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<Option<T>, MetadataError> {
        parse_metadata(&self.raw_metadata)
    }

    /// The field `action` of the metadata, which names the task; `None` without it, and for a job without
    /// metadata.
    ///
    /// # Errors
    /// [`MetadataError`] when the metadata is not a JSON object, or the action not a string.
    pub fn action(&self) -> Result<Option<String>, MetadataError> {
        action(&self.raw_metadata)
    }

    /// Checks the field `timeout` of the metadata, as a worker with a job timeout does: a number of seconds
    /// above 0, at most 4294967295. It may be absent or null, and metadata that is not a JSON object has
    /// none.
    ///
    /// # Errors
    /// [`MetadataError`], whose path is `$.timeout`.
    pub fn check_timeout(&self) -> Result<(), MetadataError> {
        timeout(&self.raw_metadata).map(drop)
    }

    /// Checks that metadata and attributes are within the limits of a server, which bounds the work on them.
    ///
    /// # Errors
    /// An [`Invalid`](crate::JobErrorKind::Invalid) error that names the field and its size.
    pub fn check_limits(&self) -> Result<(), JobError> {
        let fields = [
            ("metadata", self.raw_metadata.len(), MAX_METADATA_LEN),
            ("attributes", attributes_len(&self.attributes), MAX_ATTRIBUTES_LEN),
        ];
        match fields.into_iter().find(|(_, len, limit)| len > limit) {
            Some((field, len, limit)) => {
                Err(JobError::invalid(field, format_args!("{len} bytes"), format!("the limit is {limit}")))
            }
            None => Ok(()),
        }
    }

    /// Converts a job from the wire; `None` when it has no id or a kind that this version does not know.
    pub(crate) fn from_wire(job: wire::Job, resuming: bool) -> Option<Self> {
        if job.id.is_empty() {
            return None;
        }
        let kind = JobKind::from_wire(wire::JobType::try_from(job.r#type).ok()?);
        let room = job.room.unwrap_or_default();
        Some(Self {
            id: JobId::new(&job.id),
            kind,
            room: JobRoom { name: room.name, sid: room.sid, metadata: room.metadata },
            target: job.participant.map(Target::from_wire),
            agent_name: job.agent_name,
            deployment: job.deployment,
            dispatch_id: job.dispatch_id,
            request_id: request_id(&job.metadata),
            raw_metadata: job.metadata,
            attributes: job.attributes,
            enable_recording: job.enable_recording,
            enable_redaction: job.enable_redaction,
            resuming,
        })
    }

    /// The job as another server is told of it, which has this participant: what identifies it, without what
    /// users have written into it.
    pub(crate) fn to_wire(&self, participant_identity: String) -> wire::Job {
        let status = wire::JobStatus::JsRunning.into();
        wire::Job {
            id: self.id.to_string(),
            r#type: self.kind.to_wire().into(),
            room: Some(wire::Room {
                name: self.room.name.clone(),
                sid: self.room.sid.clone(),
                ..wire::Room::default()
            }),
            agent_name: self.agent_name.clone(),
            deployment: self.deployment.clone(),
            dispatch_id: self.dispatch_id.clone(),
            state: Some(wire::JobState { status, participant_identity, ..wire::JobState::default() }),
            ..wire::Job::default()
        }
    }
}

/// The bytes of keys and values, as a server counts them.
pub(crate) fn attributes_len(attributes: &BTreeMap<String, String>) -> usize {
    attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
}

impl Target {
    /// A standard participant with only this identity and id, for tests and tools.
    #[must_use]
    pub fn new(identity: &str, sid: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            sid: sid.to_owned(),
            name: String::new(),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: BTreeMap::new(),
            hidden: false,
        }
    }

    fn from_wire(info: wire::ParticipantInfo) -> Self {
        let kind = ParticipantKind::from(info.kind);
        Self {
            identity: info.identity,
            sid: info.sid,
            name: info.name,
            kind,
            metadata: info.metadata,
            attributes: info.attributes,
            hidden: info.permission.is_some_and(|may| may.hidden),
        }
    }
}

impl JobKind {
    const fn from_wire(kind: wire::JobType) -> Self {
        match kind {
            wire::JobType::JtRoom => Self::Room,
            wire::JobType::JtPublisher => Self::Publisher,
            wire::JobType::JtParticipant => Self::Participant,
        }
    }

    pub(crate) const fn to_wire(self) -> wire::JobType {
        match self {
            Self::Room => wire::JobType::JtRoom,
            Self::Publisher => wire::JobType::JtPublisher,
            Self::Participant => wire::JobType::JtParticipant,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Room => "room",
            Self::Publisher => "publisher",
            Self::Participant => "participant",
        })
    }
}

/// A job's id is a text: it has the methods of `str`.
impl std::ops::Deref for JobId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl JobId {
    /// An id, as the server gives it.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Escaped for logs, as a hostile server can send any text as an id.
impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", agent_proto::text::name(&self.0))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(change: impl FnOnce(&mut wire::Job)) -> Job {
        let mut job = wire::Job { id: "AJ_1".into(), ..Default::default() };
        change(&mut job);
        Job::from_wire(job, false).unwrap()
    }

    #[test]
    fn all_fields_arrive() {
        let job = job(|job| {
            job.r#type = wire::JobType::JtPublisher.into();
            job.room = Some(wire::Room {
                name: "r".into(),
                sid: "RM_1".into(),
                metadata: "rm".into(),
                ..Default::default()
            });
            job.participant = Some(wire::ParticipantInfo {
                identity: "ada".into(),
                sid: "PA_1".into(),
                name: "Ada".into(),
                metadata: "pm".into(),
                attributes: [("p".to_owned(), "q".to_owned())].into(),
                ..Default::default()
            });
            job.metadata = r#"{"request_id":"r-1"}"#.into();
            job.agent_name = "guide".into();
            job.deployment = "blue".into();
            job.dispatch_id = "AD_1".into();
            job.attributes = [("k".to_owned(), "v".to_owned())].into();
            job.enable_recording = true;
            job.enable_redaction = true;
        });
        insta::assert_debug_snapshot!(job);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_serialized_job_is_deserialized() {
        let job = job(|job| {
            job.r#type = wire::JobType::JtParticipant.into();
            job.participant = Some(wire::ParticipantInfo { identity: "ada".into(), ..Default::default() });
            job.metadata = r#"{"request_id":"r-1"}"#.into();
        });
        let written = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&written).unwrap(), job);
    }

    #[test]
    fn a_job_reads_its_own_metadata() {
        let with = |metadata: &str| job(|job| job.metadata = metadata.to_owned());
        let full = with(r#"{"action":"greet","timeout":5}"#);
        assert_eq!(full.action(), Ok(Some("greet".to_owned())));
        assert_eq!(full.metadata::<serde_json::Value>().unwrap().unwrap()["timeout"], 5);
        assert_eq!(full.check_timeout(), Ok(()));
        let wrong = with(r#"{"action":7,"timeout":0}"#);
        assert_eq!(wrong.action().unwrap_err().path, "$.action");
        assert_eq!(wrong.check_timeout().unwrap_err().path, "$.timeout");
        assert_eq!(wrong.metadata::<Vec<u8>>().unwrap_err().path, "$");
        let none = with("");
        assert_eq!(
            (none.action(), none.metadata::<u8>(), none.check_timeout()),
            (Ok(None), Ok(None), Ok(()))
        );
    }

    #[test]
    fn ids_and_kinds_are_shown() {
        let id = JobId::new("AJ_1");
        assert_eq!((id.to_string(), id.len(), id.as_str()), ("AJ_1".to_owned(), 4, "AJ_1"));
        assert_eq!(format!("{:?}", JobId::new("AJ_\n")), "AJ_\\n");
        let kinds = [JobKind::Room, JobKind::Publisher, JobKind::Participant];
        assert_eq!(kinds.map(|kind| kind.to_string()), ["room", "publisher", "participant"]);
        assert_eq!(kinds.map(|kind| JobKind::from_wire(kind.to_wire())), kinds);
    }

    #[test]
    fn a_job_that_is_too_large_is_invalid_with_a_reason() {
        let check = |change: fn(&mut wire::Job), expected: &str| {
            let shown = job(change).check_limits().map_or_else(|e| e.to_string(), |()| "ok".to_owned());
            assert_eq!(shown, expected);
        };
        check(|job| job.metadata = "m".repeat(MAX_METADATA_LEN), "ok");
        check(
            |job| job.metadata = "m".repeat(MAX_METADATA_LEN + 1),
            "invalid_input: metadata = 524289 bytes: the limit is 524288",
        );
        check(|job| drop(job.attributes.insert("k".into(), "v".repeat(MAX_ATTRIBUTES_LEN - 1))), "ok");
        check(
            |job| drop(job.attributes.insert("k".into(), "v".repeat(MAX_ATTRIBUTES_LEN))),
            "invalid_input: attributes = 65537 bytes: the limit is 65536",
        );
    }
}
