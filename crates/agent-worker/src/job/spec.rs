//! The serialisable description of one attempt: all that differs between two attempts of a worker, so that
//! another task, thread or process of the same program can run it.

use std::sync::Arc;

use agent_core::Job;
use agent_proto::Secret;

/// An attempt. What all attempts of a worker share (settings, the agent, the API key and its secret) is not
/// in it: another process of the same program has these from its own builder, and the API secret is never
/// passed on.
///
/// It is serialised only for the executor that runs the attempt, with the token of its room; `Debug` hides
/// the token.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct AttemptSpec {
    pub(crate) job: Arc<Job>,
    /// From 1.
    pub(crate) number: u32,
    pub(crate) room: RoomGrant,
}

/// The room of the assignment: its server and the token to join it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct RoomGrant {
    /// The server in the assignment; `None`: the worker's own. Whether it may be joined is checked when
    /// joining.
    pub(crate) url: Option<String>,
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::secret"))]
    pub(crate) token: Secret,
}

#[cfg(feature = "serde")]
#[cfg(test)]
mod tests {
    use agent_core::JobKind;

    use super::*;

    #[test]
    fn a_round_trip_keeps_everything_and_debug_hides_the_token() {
        let mut job = Job::new("AJ_1", JobKind::Participant, "lobby");
        job.raw_metadata = r#"{"request_id":"r-1"}"#.to_owned();
        job.request_id = Some("r-1".to_owned());
        job.attributes.insert("k".to_owned(), "v".to_owned());
        let room = RoomGrant { url: Some("wss://other.example".to_owned()), token: Secret::from("t0ken") };
        let spec = AttemptSpec { job: Arc::new(job), number: 2, room };
        let written = serde_json::to_string(&spec).unwrap();
        let read: AttemptSpec = serde_json::from_str(&written).unwrap();
        assert_eq!((&read.job, read.number), (&spec.job, 2));
        assert_eq!((read.room.url, read.room.token), (spec.room.url.clone(), spec.room.token.clone()));
        let shown = format!("{spec:?}");
        assert!(!shown.contains("t0ken") && shown.contains("[redacted]"), "{shown}");
    }
}
