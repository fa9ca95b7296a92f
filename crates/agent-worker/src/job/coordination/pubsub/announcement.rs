//! Announcements: which jobs are present, and what they can do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use agent_core::JobId;

/// A job's announcement of itself to the others. As JSON:
/// `{"job_id":"AJ_…","worker_id":"AW_…","capability":"transcribe", "timestamp":1764000000000}`, with
/// milliseconds since 1970.
///
/// ```
/// use agent_worker::coordination::Announcement;
///
/// let json = r#"{"job_id":"AJ_1","worker_id":"AW_2","capability":"transcribe","timestamp":1764000000000}"#;
/// let announcement: Announcement = serde_json::from_str(json).unwrap();
/// assert_eq!(announcement.capability, "transcribe");
/// assert_eq!(serde_json::to_string(&announcement).unwrap(), json);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Announcement {
    /// The job.
    #[serde(serialize_with = "id_as_text", deserialize_with = "id_from_text")]
    pub job_id: JobId,
    /// The server's id of the worker that runs it.
    pub worker_id: String,
    /// What it can do, as a name that the jobs agree on.
    pub capability: String,
    /// The time of the first announcement, by the clock of its machine.
    #[serde(serialize_with = "time_as_millis", deserialize_with = "time_from_millis")]
    pub timestamp: SystemTime,
}

impl Announcement {
    /// An announcement with the current time.
    pub(crate) fn now(job: &JobId, worker_id: &str, capability: String) -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let timestamp = UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        Self { job_id: job.clone(), worker_id: worker_id.to_owned(), capability, timestamp }
    }
}

fn id_as_text<S: Serializer>(id: &JobId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

fn id_from_text<'de, D: Deserializer<'de>>(from: D) -> Result<JobId, D::Error> {
    Ok(JobId::new(&String::deserialize(from)?))
}

fn time_as_millis<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    let millis = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    to.serialize_u64(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn time_from_millis<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let millis = u64::deserialize(from)?;
    UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .ok_or_else(|| serde::de::Error::custom("the timestamp is out of range"))
}
