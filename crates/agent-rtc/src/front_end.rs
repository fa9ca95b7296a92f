//! Conventions of agents and front ends beyond the protocol: the chat, the state of an agent.

use agent_room::{AGENT_STATE_ATTRIBUTE, AgentState, CHAT_TOPIC, RoomError};

use crate::Room;
use crate::streams::{StreamBuilder, TextStreams, WholeText};

impl Room {
    /// Sends a message to the chat of front ends: a text on the topic [`CHAT_TOPIC`](crate::CHAT_TOPIC).
    ///
    /// # Errors
    /// When awaited: as [`send_text`](Self::send_text).
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.send_chat("Hello, everybody!").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_chat(&self, message: impl Into<String>) -> StreamBuilder<WholeText> {
        self.send_text(CHAT_TOPIC, message)
    }

    /// The messages of the chat of front ends: the texts on the topic [`CHAT_TOPIC`](crate::CHAT_TOPIC). As
    /// [`text_streams`](Self::text_streams). Older clients send
    /// [`ChatMessageReceived`](crate::RoomEvent::ChatMessageReceived) instead, and some send both.
    #[must_use]
    pub fn chat(&self) -> TextStreams {
        self.text_streams(CHAT_TOPIC)
    }

    /// Shows front ends what the agent is doing, as an attribute of its participant. Front ends wait for the
    /// first state: set it once the streams are open and the methods are registered, as the server may
    /// announce an agent before it can send data to it.
    ///
    /// # Errors
    /// As [`set_attributes`](Self::set_attributes).
    ///
    /// ```
    /// use agent_worker::room::AgentState;
    ///
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// room.set_agent_state(AgentState::Thinking).await
    /// # }
    /// ```
    pub async fn set_agent_state(&self, state: AgentState) -> Result<(), RoomError> {
        self.set_attributes([(AGENT_STATE_ATTRIBUTE, state.as_str())]).await
    }
}
