//! What one attempt of a job is: all that differs between two attempts of a worker, so that another task,
//! thread or process of the same program can make it.

use std::sync::Arc;

use agent_core::Job;
use agent_proto::Secret;

/// An attempt. What all attempts of a worker have in common (settings, the agent, the API key and its secret)
/// is not in it: another process of the same program has these from its own builder, and the API secret goes
/// nowhere.
///
/// It is written as a whole to the executor that makes the attempt, with the token of its room, and to
/// nothing else: `Debug` hides the token.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct AttemptSpec {
    pub(crate) job: Arc<Job>,
    /// The first is 1.
    pub(crate) number: u32,
    pub(crate) room: RoomGrant,
}

/// What the assignment says about the room: where it is, and what lets us in.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct RoomGrant {
    /// The server that the assignment names; `None`: the worker's own. Whether it may be joined is decided by
    /// who joins.
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
    fn it_comes_back_as_it_was_and_debug_hides_its_token() {
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
