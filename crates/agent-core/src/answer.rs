//! The request handler's answer to an offer.

use std::collections::BTreeMap;
use std::fmt;

use agent_proto::text::owned_pairs;

use crate::job::{JobId, MAX_ATTRIBUTES_LEN, attributes_len};
use crate::metadata::MAX_METADATA_LEN;

/// The longest participant identity that a server accepts, in bytes.
pub const MAX_IDENTITY_LEN: usize = 256;

/// The answer to an offer.
///
/// ```
/// use agent_core::Answer;
///
/// let answer = Answer::accept().identity("guide").name("Your guide").attributes([("language", "en")]);
/// assert!(answer.is_accept());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
#[non_exhaustive]
pub enum Answer {
    /// Run the job, as this participant.
    Accept(Accept),
    /// Decline: the server asks another worker, until none is left.
    #[doc(alias = "reject")]
    Decline,
    /// Dismiss: no worker should run it. The server records the job as a success.
    Dismiss,
}

/// How an accepted job's agent appears in its room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Accept {
    /// Participant identity, 1 to [`MAX_IDENTITY_LEN`] bytes, unique in the room; `None`: `agent-<job id>`.
    pub identity: Option<String>,
    /// Display name; may be empty.
    pub name: String,
    /// Participant metadata, at most [`MAX_METADATA_LEN`] bytes; may be empty.
    pub metadata: String,
    /// Participant attributes, at most [`MAX_ATTRIBUTES_LEN`] bytes in all, with the `lk.agent_name` that the
    /// server adds.
    pub attributes: BTreeMap<String, String>,
}

/// Why an answer could not be sent as it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum AnswerProblem {
    /// The identity is empty.
    #[error("the answer's `identity` is empty: leave it out to get `agent-<job id>`, or give 1 to 256 bytes")]
    EmptyIdentity,
    /// The identity is longer than a server accepts.
    #[error("the answer's `identity` has {len} bytes: shorten it, a server takes at most {MAX_IDENTITY_LEN}")]
    LongIdentity {
        /// Its length, in bytes.
        len: usize,
    },
    /// The metadata is longer than a server accepts.
    #[error("the answer's `metadata` has {len} bytes: shorten it, a server takes at most {MAX_METADATA_LEN}")]
    LongMetadata {
        /// Its length, in bytes.
        len: usize,
    },
    /// The attributes are longer than a server accepts.
    #[error(
        "the answer's `attributes` have {len} bytes, keys and values and the server's own `lk.agent_name`: shorten them, a server takes at most {MAX_ATTRIBUTES_LEN}"
    )]
    LongAttributes {
        /// Their length, in bytes.
        len: usize,
    },
}

/// The answer that an offer got: exactly one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum GivenAnswer {
    /// Accepted: the job is ours if the server assigns it.
    Accepted,
    /// Declined: another worker may take the job.
    Declined(DeclineReason),
    /// Dismissed: no worker should run the job.
    Dismissed,
}

/// Why an offer was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum DeclineReason {
    /// The request handler declined.
    Handler,
    /// The request handler panicked.
    Panicked,
    /// The request handler did not answer in time.
    Silent,
    /// The request handler's answer cannot be sent.
    BadAnswer,
    /// All slots are taken.
    NoSlot,
    /// The process has no file descriptors left for another job.
    NoDescriptors,
    /// The worker drains.
    Draining,
    /// The worker was told to accept no new jobs.
    Quiet,
    /// The job runs here already.
    RunsHere,
    /// A job of the same room, agent and target is here already.
    SecondOfTarget,
    /// A kind of job that this version does not know.
    UnknownKind,
    /// The job was cancelled before the request handler answered.
    Cancelled,
}

impl GivenAnswer {
    /// The value of the metric label for this answer.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined(_) => "declined",
            Self::Dismissed => "dismissed",
        }
    }
}

impl DeclineReason {
    /// The value of the metric label for this reason.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Panicked => "panicked",
            Self::Silent => "silent",
            Self::BadAnswer => "bad_answer",
            Self::NoSlot => "no_slot",
            Self::NoDescriptors => "no_descriptors",
            Self::Draining => "draining",
            Self::Quiet => "quiet",
            Self::RunsHere => "runs_here",
            Self::SecondOfTarget => "second_of_target",
            Self::UnknownKind => "unknown_kind",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Human-readable.
impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handler => "its request handler declined it",
            Self::Panicked => "its request handler panicked",
            Self::Silent => "its request handler did not answer in time",
            Self::BadAnswer => "its request handler's answer cannot be sent",
            Self::NoSlot => "no free slot",
            Self::NoDescriptors => "no file descriptors left for another job (`ulimit -n`)",
            Self::Draining => "draining",
            Self::Quiet => "quiet: no new jobs are accepted",
            Self::RunsHere => "the job runs here already",
            Self::SecondOfTarget => "a job of the same room, agent and target is here already",
            Self::UnknownKind => "a kind of job that this version does not know",
            Self::Cancelled => "cancelled before the answer",
        })
    }
}

/// The attribute that a server adds to those of an agent, and counts.
const AGENT_NAME: &str = "lk.agent_name";

impl Answer {
    /// Accepts, as the participant `agent-<job id>`.
    pub fn accept() -> Self {
        Self::Accept(Accept::default())
    }

    /// Whether the job is wanted.
    #[must_use]
    pub const fn is_accept(&self) -> bool {
        matches!(self, Self::Accept(_))
    }

    /// Sets the participant identity, when this answer accepts. Two agents with one identity disconnect each
    /// other.
    pub fn identity(self, identity: impl Into<String>) -> Self {
        self.change(|accept| accept.identity = Some(identity.into()))
    }

    /// Sets the display name, when this answer accepts.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.change(|accept| accept.name = name.into())
    }

    /// Sets the participant metadata, when this answer accepts.
    pub fn metadata(self, metadata: impl Into<String>) -> Self {
        self.change(|accept| accept.metadata = metadata.into())
    }

    /// Adds participant attributes, when this answer accepts.
    pub fn attributes<K: Into<String>, V: Into<String>>(
        self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.change(|accept| accept.attributes.extend(owned_pairs(attributes)))
    }

    fn change(mut self, change: impl FnOnce(&mut Accept)) -> Self {
        if let Self::Accept(accept) = &mut self {
            change(accept);
        }
        self
    }
}

impl Accept {
    /// The identity of the agent of this job.
    pub(crate) fn identity_in(&self, job: &JobId) -> String {
        self.identity.clone().unwrap_or_else(|| format!("agent-{job}"))
    }

    /// Checks what a server would refuse only when the agent joins, with an error without details.
    /// `agent_name` is the job's.
    ///
    /// # Errors
    /// The first problem.
    pub fn check(&self, agent_name: &str) -> Result<(), AnswerProblem> {
        match &self.identity {
            Some(identity) if identity.is_empty() => return Err(AnswerProblem::EmptyIdentity),
            Some(identity) if identity.len() > MAX_IDENTITY_LEN => {
                return Err(AnswerProblem::LongIdentity { len: identity.len() });
            }
            Some(_) | None => {}
        }
        if self.metadata.len() > MAX_METADATA_LEN {
            return Err(AnswerProblem::LongMetadata { len: self.metadata.len() });
        }
        let own = self.attributes.get(AGENT_NAME).map_or(0, |name| AGENT_NAME.len() + name.len());
        let len = attributes_len(&self.attributes) - own + AGENT_NAME.len() + agent_name.len();
        if len > MAX_ATTRIBUTES_LEN {
            return Err(AnswerProblem::LongAttributes { len });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_server_refuses_are_rejected_first() {
        let check = |answer: Answer, expected: &str| {
            let Answer::Accept(accept) = answer else { panic!("it accepts") };
            let shown = accept.check("guide").map_or_else(|e| e.to_string(), |()| "ok".to_owned());
            assert!(shown.contains(expected), "{shown}");
        };
        let accept = Answer::accept;
        check(accept(), "ok");
        check(accept().identity(""), "`identity` is empty");
        check(accept().identity("i".repeat(257)), "`identity` has 257 bytes");
        check(accept().metadata("m".repeat(524_288)), "ok");
        check(accept().metadata("m".repeat(524_289)), "`metadata` has 524289 bytes");
        // lk.agent_name and guide are 18 bytes.
        check(accept().attributes([("k", "v".repeat(65_536 - 18 - 1))]), "ok");
        check(accept().attributes([("k", "v".repeat(65_536 - 18))]), "`attributes` have 65537 bytes");
        check(accept().attributes([(AGENT_NAME, "v".repeat(65_536))]), "ok");
    }
}
