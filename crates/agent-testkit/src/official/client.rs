//! A participant of one of LiveKit's SDKs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use agent_net::DataMessage;
use agent_worker::Secret;

use super::client_kind::ClientKind;
use super::error::ClientError;
use super::event::{ClientEvent, ClientState};
use super::host::OfficialHost;

/// A participant of one of LiveKit's SDKs in a room; it leaves when it is dropped.
///
/// An operation that its SDK does not have fails.
///
/// ```no_run
/// # async fn example(url: &str, token: &agent_worker::Secret) -> Result<(), agent_testkit::ClientError> {
/// use std::time::Duration;
/// use agent_testkit::{ClientEvent, ClientKind, DataMessage, OfficialClient, RpcBehaviour};
///
/// let soon = Duration::from_secs(5);
/// let mut ada = OfficialClient::join(url, token).await?;
/// ada.send(DataMessage::new("hello").topic("chat")).await?;
/// ada.wait_for(|event| matches!(event, ClientEvent::Data(data) if data.payload == b"hi"), soon).await?;
///
/// let mut bob = OfficialClient::join_with(ClientKind::Browser, url, token).await?;
/// bob.register_rpc("echo", RpcBehaviour::Echo).await?;
/// // Streams of a topic that nobody has registered are dropped by the SDKs.
/// bob.register_text_streams("lk.chat").await?;
/// bob.send_text("lk.chat", "Hi!").await?;
/// bob.wait_for(|event| matches!(event, ClientEvent::TextStream(reply) if reply.text == "Hello!"), soon).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct OfficialClient {
    host: OfficialHost,
    number: u64,
    events: mpsc::UnboundedReceiver<ClientEvent>,
    /// Events that `wait_for` skipped.
    seen: VecDeque<ClientEvent>,
    left: bool,
}

impl OfficialClient {
    /// Joins a room with the Python SDK, as [`join_with`](Self::join_with) and [`ClientKind::Python`].
    ///
    /// # Errors
    /// As [`join_with`](Self::join_with).
    pub async fn join(url: &str, token: &Secret) -> Result<Self, ClientError> {
        Self::join_with(ClientKind::Python, url, token).await
    }

    /// Joins a room with this SDK, in the process that the tests of this program share; returns when the
    /// client has joined.
    ///
    /// # Errors
    /// [`ClientError::Failed`] if the SDK cannot join, and those of [`OfficialHost::start_of`].
    pub async fn join_with(kind: ClientKind, url: &str, token: &Secret) -> Result<Self, ClientError> {
        Self::join_in(&OfficialHost::shared_of(kind).await?, url, token).await
    }

    /// Joins a room with the SDK of this process.
    ///
    /// # Errors
    /// As [`join_with`](Self::join_with).
    pub async fn join_in(host: &OfficialHost, url: &str, token: &Secret) -> Result<Self, ClientError> {
        Self::join_as(host, json!({ "url": url, "token": token.expose() })).await
    }

    /// Joins a room with this SDK and end-to-end encryption of tracks and data, with a shared key, whose
    /// index is 0.
    ///
    /// # Errors
    /// As [`join_with`](Self::join_with).
    pub async fn join_encrypted(
        kind: ClientKind,
        url: &str,
        token: &Secret,
        passphrase: &str,
    ) -> Result<Self, ClientError> {
        let host = OfficialHost::shared_of(kind).await?;
        Self::join_as(&host, json!({ "url": url, "token": token.expose(), "passphrase": passphrase })).await
    }

    /// Joins a room with the Python SDK and end-to-end encryption of tracks and data, with a key of its own
    /// for each participant: the passphrases of all of them by identity, its own included. Their index is 0.
    ///
    /// # Errors
    /// As [`join_with`](Self::join_with).
    pub async fn join_with_participant_keys(
        url: &str,
        token: &Secret,
        passphrases: &[(&str, &str)],
    ) -> Result<Self, ClientError> {
        let host = OfficialHost::shared_of(ClientKind::Python).await?;
        let keys: BTreeMap<_, _> = passphrases.iter().copied().collect();
        let request = json!({ "url": url, "token": token.expose(), "participant_keys": keys });
        Self::join_as(&host, request).await
    }

    async fn join_as(host: &OfficialHost, request: Value) -> Result<Self, ClientError> {
        let (number, events) = host.add_client();
        let client = Self { host: host.clone(), number, events, seen: VecDeque::new(), left: false };
        client.ask("join", request).await?;
        Ok(client)
    }

    /// The energy of what a browser has decoded of an audio track so far: 0 for silence, and grows by up to 1
    /// a second of sound (`totalAudioEnergy` of WebRTC).
    ///
    /// # Errors
    /// [`ClientError`], also with another SDK than the browser's.
    pub async fn audio_energy(&self, sid: &str) -> Result<f64, ClientError> {
        let answer = self.ask("audio_energy", json!({ "sid": sid })).await?;
        Ok(answer.get("energy").and_then(Value::as_f64).unwrap_or_default())
    }

    /// Sets the shared key of this index, and encrypts with it from now on.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_shared_key(&self, passphrase: &str, index: u8) -> Result<(), ClientError> {
        let fields = json!({ "passphrase": passphrase, "index": index });
        self.ask("set_shared_key", fields).await.map(drop)
    }

    /// Encrypts with the key that follows the one of this index.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn ratchet_shared_key(&self, index: u8) -> Result<(), ClientError> {
        self.ask("ratchet_shared_key", json!({ "index": index })).await.map(drop)
    }

    /// The room as the client sees it now.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn state(&self) -> Result<ClientState, ClientError> {
        let state = self.ask("state", json!({})).await?;
        serde_json::from_value(state)
            .map_err(|error| ClientError::Failed { operation: "state".into(), reason: error.to_string() })
    }

    /// Sends data.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn send(&self, message: DataMessage) -> Result<(), ClientError> {
        let DataMessage { payload, topic, lossy, destinations, .. } = message;
        let payload = BASE64_STANDARD.encode(payload);
        let fields =
            json!({ "payload": payload, "topic": topic, "reliable": !lossy, "destinations": destinations });
        self.ask("send", fields).await.map(drop)
    }

    /// Sends a tone of a telephone's keys to everybody: its code of RFC 4733, and the key.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn publish_dtmf(&self, code: u32, digit: &str) -> Result<(), ClientError> {
        self.ask("publish_dtmf", json!({ "code": code, "digit": digit })).await.map(drop)
    }

    /// Sends a chat message to everybody, in the form that is older than text streams; the Python SDKs do not
    /// have it. Returns its id.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn send_chat_message(&self, text: &str) -> Result<String, ClientError> {
        let answer = self.ask("send_chat_message", json!({ "text": text })).await?;
        Ok(text_of(&answer, "id"))
    }

    /// Sends one final segment of a transcription to everybody, in the form that is older than text streams:
    /// the speech of this participant on this track. Servers pass it on from agents only; the SDK for
    /// browsers does not have it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn publish_transcription(
        &self,
        speaker: &str,
        track_sid: &str,
        segment_id: &str,
        text: &str,
    ) -> Result<(), ClientError> {
        let fields =
            json!({ "speaker": speaker, "track_sid": track_sid, "segment_id": segment_id, "text": text });
        self.ask("publish_transcription", fields).await.map(drop)
    }

    /// Changes the client's own attributes; empty values remove them. The token must permit it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_attributes(&self, attributes: &[(&str, &str)]) -> Result<(), ClientError> {
        let attributes: BTreeMap<_, _> = attributes.iter().copied().collect();
        self.ask("set_attributes", json!({ "attributes": attributes })).await.map(drop)
    }

    /// Changes the client's own metadata. The token must permit it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_metadata(&self, metadata: &str) -> Result<(), ClientError> {
        self.ask("set_metadata", json!({ "metadata": metadata })).await.map(drop)
    }

    /// Changes the client's own name. The token must permit it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn set_name(&self, name: &str) -> Result<(), ClientError> {
        self.ask("set_name", json!({ "name": name })).await.map(drop)
    }

    /// Publishes a microphone track with a tone of this frequency, or silence for `None`; returns its sid.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn publish_audio(&self, name: &str, hertz: Option<u32>) -> Result<String, ClientError> {
        let answer = self.ask("publish_audio", json!({ "name": name, "hertz": hertz.unwrap_or(0) })).await?;
        Ok(text_of(&answer, "sid"))
    }

    /// Listens to an audio track that it is [subscribed to](ClientEvent::TrackSubscribed), and reports each
    /// second of it as [`ClientEvent::Heard`]. Only the Python SDKs do.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn listen(&self, track_sid: &str) -> Result<(), ClientError> {
        self.ask("listen", json!({ "sid": track_sid })).await.map(drop)
    }

    /// Mutes or unmutes a track that it published.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn mute(&self, track_sid: &str, muted: bool) -> Result<(), ClientError> {
        self.ask("mute", json!({ "sid": track_sid, "muted": muted })).await.map(drop)
    }

    /// Unpublishes a track that it published.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn unpublish(&self, track_sid: &str) -> Result<(), ClientError> {
        self.ask("unpublish", json!({ "sid": track_sid })).await.map(drop)
    }

    /// Leaves the room; returns when it has left.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn leave(mut self) -> Result<(), ClientError> {
        self.left = true;
        self.ask("leave", json!({})).await.map(drop)
    }

    /// The next event, in order.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] if none arrives within the time, [`ClientError::HostGone`] if the process has
    /// ended.
    pub async fn next_event(&mut self, within: Duration) -> Result<ClientEvent, ClientError> {
        if let Some(event) = self.seen.pop_front() {
            return Ok(event);
        }
        self.receive("an event", within).await
    }

    /// Removes the first event that the predicate accepts, and leaves those before it for later calls.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event).
    pub async fn wait_for(
        &mut self,
        mut predicate: impl FnMut(&ClientEvent) -> bool,
        within: Duration,
    ) -> Result<ClientEvent, ClientError> {
        if let Some(at) = self.seen.iter().position(&mut predicate) {
            // The index was found in this queue, so it exists.
            return self.seen.remove(at).ok_or(ClientError::HostGone { log: String::new() });
        }
        let until = tokio::time::Instant::now() + within;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            match self.receive("the event", left).await? {
                event if predicate(&event) => return Ok(event),
                event => self.seen.push_back(event),
            }
        }
    }

    /// The client's state once the predicate accepts it: checked now and after each further event, as the
    /// server notifies a client of changes late and in any order. Events stay for later calls.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event); [`ClientError::Timeout`] contains the last state.
    pub async fn wait_for_state(
        &mut self,
        mut predicate: impl FnMut(&ClientState) -> bool,
        within: Duration,
    ) -> Result<ClientState, ClientError> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let state = self.state().await?;
            if predicate(&state) {
                return Ok(state);
            }
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            let event = self.receive(&format!("a state other than {state:?}"), left).await?;
            self.seen.push_back(event);
        }
    }

    async fn receive(&mut self, what: &str, within: Duration) -> Result<ClientEvent, ClientError> {
        match tokio::time::timeout(within, self.events.recv()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(self.host.gone().await),
            Err(_) => {
                let seen = self.seen.iter().cloned().collect();
                Err(ClientError::Timeout { what: what.to_owned(), within, seen })
            }
        }
    }

    pub(super) async fn ask(&self, op: &str, fields: Value) -> Result<Value, ClientError> {
        self.host.ask(self.number, op, fields).await
    }

    /// For operations that may take longer than others.
    pub(super) async fn ask_within(
        &self,
        op: &str,
        fields: Value,
        within: Duration,
    ) -> Result<Value, ClientError> {
        self.host.ask_within(self.number, op, fields, within).await
    }
}

/// A text of an answer; empty if it is missing.
pub(super) fn text_of(answer: &Value, name: &str) -> String {
    answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Drop for OfficialClient {
    fn drop(&mut self) {
        if !self.left {
            // Not awaited: the lines stay in order, and only the room is affected.
            drop(self.host.send(self.number, "leave", json!({})));
        }
        self.host.remove_client(self.number);
    }
}
