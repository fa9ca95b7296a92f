//! What the user's request handler says to an offer.

use std::collections::BTreeMap;

/// The longest participant identity that a server lets in, in bytes.
pub const MAX_IDENTITY_LEN: usize = 256;

/// The answer to an offer.
///
/// ```
/// use agent_core::Answer;
///
/// let answer = Answer::accept().identity("guide").name("Your guide").attribute("language", "en");
/// assert!(answer.is_accept());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// Run the job, as this participant.
    Accept(Accept),
    /// Not here: the server asks another worker, until none is left.
    Decline,
    /// Not anywhere: nobody should run it. The server records the job as a success.
    Dismiss,
}

/// How an accepted job's agent appears in its room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Participant identity, 1 to [`MAX_IDENTITY_LEN`] bytes, unique in the room; `None`: `agent-<job id>`.
    pub identity: Option<String>,
    /// Display name; may be empty.
    pub name: String,
    /// Participant metadata; may be empty.
    pub metadata: String,
    /// Participant attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Why an answer could not be sent as it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerProblem {
    /// The identity is empty.
    #[error("the answer's `identity` is empty: leave it out to get `agent-<job id>`, or give 1 to 256 bytes")]
    EmptyIdentity,
    /// The identity is longer than a server takes.
    #[error("the answer's `identity` has {len} bytes: a server takes at most 256")]
    LongIdentity {
        /// Its length, in bytes.
        len: usize,
    },
}

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

    /// Sets the participant identity, when this answer accepts. Two agents with one identity kick each other out.
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

    /// Adds one participant attribute, when this answer accepts.
    pub fn attribute(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(|accept| {
            accept.attributes.insert(key.into(), value.into());
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Accept)) -> Self {
        if let Self::Accept(accept) = &mut self {
            change(accept);
        }
        self
    }
}

impl Accept {
    /// Checks what a server would refuse only when the agent joins.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), AnswerProblem> {
        match &self.identity {
            Some(identity) if identity.is_empty() => Err(AnswerProblem::EmptyIdentity),
            Some(identity) if identity.len() > MAX_IDENTITY_LEN => {
                Err(AnswerProblem::LongIdentity { len: identity.len() })
            }
            Some(_) | None => Ok(()),
        }
    }
}
