//! The keys of end-to-end encryption.

use agent_room::{E2eeKey, RoomCommand, RoomError};

use crate::Room;

/// End-to-end encryption, for a room that was joined with it.
impl Room {
    /// Sets the key with which we encrypt, and with a shared key that of everybody. What is encrypted with
    /// the previous key of this index cannot be read any more. An index counts modulo 16.
    ///
    /// A shared key is changed without a gap in two steps: everybody sets the new one under another index,
    /// then everybody [uses](Self::use_e2ee_key) it.
    /// ```
    /// use agent_worker::Room;
    /// use agent_worker::room::{E2eeKey, RoomError};
    ///
    /// async fn change_key(room: &Room) -> Result<(), RoomError> {
    ///     room.set_e2ee_key(1, E2eeKey::new("another passphrase")).await?;
    ///     room.use_e2ee_key(1).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RoomError::E2ee`] in a room that was joined without encryption, and [`RoomError::NotConnected`].
    pub async fn set_e2ee_key(&self, index: u8, key: E2eeKey) -> Result<(), RoomError> {
        self.command(RoomCommand::SetE2eeKey { participant: None, index, key }).await
    }

    /// Sets the key of another participant, unless there is a shared one.
    ///
    /// # Errors
    /// As [`set_e2ee_key`](Self::set_e2ee_key).
    pub async fn set_e2ee_key_of(
        &self,
        identity: impl Into<String>,
        index: u8,
        key: E2eeKey,
    ) -> Result<(), RoomError> {
        self.command(RoomCommand::SetE2eeKey { participant: Some(identity.into()), index, key }).await
    }

    /// Encrypts with the key of this index from now on.
    ///
    /// # Errors
    /// [`RoomError::E2ee`] without such a key, and [`RoomError::NotConnected`].
    pub async fn use_e2ee_key(&self, index: u8) -> Result<(), RoomError> {
        self.command(RoomCommand::UseE2eeKey { index }).await
    }

    /// Replaces the key of this index by the next one of its ratchet; others find it by themselves, within
    /// their window. A participant who learns only the new key cannot read what was sent before.
    ///
    /// # Errors
    /// As [`use_e2ee_key`](Self::use_e2ee_key).
    pub async fn ratchet_e2ee_key(&self, index: u8) -> Result<(), RoomError> {
        self.command(RoomCommand::RatchetE2eeKey { index }).await
    }
}
