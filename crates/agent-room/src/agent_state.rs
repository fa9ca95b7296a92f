//! The state of an agent, which front ends show.

use crate::Participant;

/// The attribute of a participant that contains it.
pub const AGENT_STATE_ATTRIBUTE: &str = "lk.agent.state";

/// What an agent is doing, for front ends: an attribute of its participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum AgentState {
    /// It starts.
    Initializing,
    /// It waits, and does not listen.
    Idle,
    /// It listens.
    Listening,
    /// It prepares its answer.
    Thinking,
    /// It speaks.
    Speaking,
}

impl AgentState {
    const ALL: [Self; 5] = [Self::Initializing, Self::Idle, Self::Listening, Self::Thinking, Self::Speaking];

    /// The value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Idle => "idle",
            Self::Listening => "listening",
            Self::Thinking => "thinking",
            Self::Speaking => "speaking",
        }
    }
}

impl Participant {
    /// The state of an agent; `None` if the participant shows none that this version knows.
    #[must_use]
    pub fn agent_state(&self) -> Option<AgentState> {
        let value = self.attributes.get(AGENT_STATE_ATTRIBUTE)?;
        AgentState::ALL.into_iter().find(|state| state.as_str() == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_is_the_state() {
        let mut participant = Participant::new("PA_1", "agent");
        assert_eq!(participant.agent_state(), None);
        for state in AgentState::ALL {
            participant.attributes.insert(AGENT_STATE_ATTRIBUTE.to_owned(), state.as_str().to_owned());
            assert_eq!(participant.agent_state(), Some(state));
        }
        participant.attributes.insert(AGENT_STATE_ATTRIBUTE.to_owned(), "dreaming".to_owned());
        assert_eq!(participant.agent_state(), None);
    }
}
