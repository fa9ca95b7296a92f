//! The data tracks of an official client of Python's SDK.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::client::{OfficialClient, text_of};
use super::error::ClientError;

impl OfficialClient {
    /// Publishes a data track, and returns its sid. Only the Python SDKs do.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn publish_data_track(&self, name: &str) -> Result<String, ClientError> {
        let answer = self.ask("publish_data_track", json!({ "name": name })).await?;
        Ok(text_of(&answer, "sid"))
    }

    /// Sends a frame of a data track that it published.
    ///
    /// # Errors
    /// [`ClientError`], also if the SDK's queue is full.
    pub async fn push_data_frame(
        &self,
        track_sid: &str,
        payload: &[u8],
        user_timestamp: Option<u64>,
    ) -> Result<(), ClientError> {
        let payload = BASE64_STANDARD.encode(payload);
        let frame = json!({ "sid": track_sid, "payload": payload, "user_timestamp": user_timestamp });
        self.ask("push_data_frame", frame).await.map(drop)
    }

    /// Unpublishes a data track that it published.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn unpublish_data_track(&self, track_sid: &str) -> Result<(), ClientError> {
        self.ask("unpublish_data_track", json!({ "sid": track_sid })).await.map(drop)
    }

    /// Subscribes to a data track of another participant: each frame is a
    /// [`ClientEvent::DataFrame`](super::ClientEvent::DataFrame). The first ones may be lost.
    ///
    /// # Errors
    /// [`ClientError`], also if no such track was reported to the client.
    pub async fn subscribe_data_track(&self, track_sid: &str) -> Result<(), ClientError> {
        self.ask("subscribe_data_track", json!({ "sid": track_sid })).await.map(drop)
    }
}
