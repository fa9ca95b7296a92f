//! The text and byte streams of an official client.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::client::{OfficialClient, text_of};
use super::error::ClientError;

/// Timeout for sending a stream; one of 10 MB takes a second or two on an idle machine.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);

/// What goes with the content of a stream that an official client sends. A topic alone is one, too.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientStream {
    topic: String,
    destinations: Vec<String>,
    attributes: BTreeMap<String, String>,
    reply_to: Option<String>,
    name: Option<String>,
    mime_type: Option<String>,
}

impl ClientStream {
    /// A stream to everybody.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Adds a recipient.
    #[must_use]
    pub fn to(mut self, identity: impl Into<String>) -> Self {
        self.destinations.push(identity.into());
        self
    }

    /// Sets an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Sets the id of the stream that a text is a reply to. Only the Python SDKs have it; the one for
    /// browsers has it for texts that are written in parts.
    #[must_use]
    pub fn reply_to(mut self, stream_id: impl Into<String>) -> Self {
        self.reply_to = Some(stream_id.into());
        self
    }

    /// Sets the name of a byte stream.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the MIME type of a byte stream; the Python SDKs derive that of a file from its name.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    fn with(&self, content: Value) -> Value {
        let mut fields = json!(self);
        if let (Value::Object(fields), Value::Object(content)) = (&mut fields, content) {
            fields.extend(content);
        }
        fields
    }
}

impl<T: Into<String>> From<T> for ClientStream {
    fn from(topic: T) -> Self {
        Self::new(topic)
    }
}

impl OfficialClient {
    /// Sends a text at once, as chats do: inline or compressed if all recipients can read it. Returns the
    /// stream's id.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn send_text(
        &self,
        stream: impl Into<ClientStream>,
        text: &str,
    ) -> Result<String, ClientError> {
        self.send_stream("send_text", &stream.into(), json!({ "text": text })).await
    }

    /// Writes a text in parts, as transcriptions do, and ends it. Returns the stream's id.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn stream_text(
        &self,
        stream: impl Into<ClientStream>,
        parts: &[&str],
    ) -> Result<String, ClientError> {
        self.send_stream("stream_text", &stream.into(), json!({ "parts": parts })).await
    }

    /// Sends bytes at once: inline or compressed if all recipients can read it and the SDK has it (the
    /// Node.js SDK writes a stream of known length). Returns the stream's id.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn send_bytes(
        &self,
        stream: impl Into<ClientStream>,
        payload: &[u8],
    ) -> Result<String, ClientError> {
        let payload = BASE64_STANDARD.encode(payload);
        self.send_stream("send_bytes", &stream.into(), json!({ "payload": payload })).await
    }

    /// Writes bytes in parts, and ends the stream. Returns its id.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn stream_bytes(
        &self,
        stream: impl Into<ClientStream>,
        parts: &[&[u8]],
    ) -> Result<String, ClientError> {
        let parts: Vec<_> = parts.iter().map(|part| BASE64_STANDARD.encode(part)).collect();
        self.send_stream("stream_bytes", &stream.into(), json!({ "parts": parts })).await
    }

    /// Sends a file with this content: compressed if all recipients can read it. Its name is that of the
    /// stream; the SDKs do not return the id.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn send_file(
        &self,
        stream: impl Into<ClientStream>,
        content: &[u8],
    ) -> Result<(), ClientError> {
        let payload = BASE64_STANDARD.encode(content);
        self.send_stream("send_file", &stream.into(), json!({ "payload": payload })).await.map(drop)
    }

    /// Receives the text streams of a topic from now on, each as a
    /// [`ClientEvent::TextStream`](super::ClientEvent::TextStream).
    ///
    /// # Errors
    /// [`ClientError::Failed`] if it receives them already.
    pub async fn register_text_streams(&self, topic: &str) -> Result<(), ClientError> {
        self.ask("register_text_streams", json!({ "topic": topic })).await.map(drop)
    }

    /// Receives the byte streams of a topic from now on, each as a
    /// [`ClientEvent::ByteStream`](super::ClientEvent::ByteStream).
    ///
    /// # Errors
    /// [`ClientError::Failed`] if it receives them already.
    pub async fn register_byte_streams(&self, topic: &str) -> Result<(), ClientError> {
        self.ask("register_byte_streams", json!({ "topic": topic })).await.map(drop)
    }

    async fn send_stream(
        &self,
        op: &str,
        stream: &ClientStream,
        content: Value,
    ) -> Result<String, ClientError> {
        let answer = self.ask_within(op, stream.with(content), SEND_TIMEOUT).await?;
        Ok(text_of(&answer, "id"))
    }
}
