//! Access tokens: a participant's identity and permissions, signed with the API secret.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Serialize;

use agent_proto::text::owned_pairs;
use agent_proto::{Secret, TrackSource};

/// The header of every LiveKit token.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Default lifetime of a token.
const DEFAULT_TTL: Duration = Duration::from_secs(6 * 3600);

/// Tokens are valid from this long ago, to tolerate a clock that runs slightly ahead of the server's.
const CLOCK_LEEWAY: Duration = Duration::from_secs(60);

/// The token with which a worker connects: it permits only registration.
pub fn worker_token(key: &str, secret: &Secret, ttl: Duration) -> Result<Secret, TokenError> {
    AccessToken::new(key, secret.clone()).agent().ttl(ttl).sign()
}

/// Builds an access token: to join a room as a participant, for the server's API, or for tests and tools.
///
/// A job does not need one: the server sends a token with each assignment.
///
/// ```
/// use agent_worker::net::AccessToken;
///
/// let token = AccessToken::new("devkey", "secret").identity("ada").name("Ada").join_room("lobby").sign()?;
/// assert_eq!(token.expose().split('.').count(), 3);
/// # Ok::<(), agent_worker::net::TokenError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a token does nothing until it is signed"]
pub struct AccessToken {
    secret: Secret,
    ttl: Duration,
    claims: Claims,
}

/// Why a token could not be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The API key is empty.
    #[error("the API key is empty: set LIVEKIT_API_KEY or give the key")]
    MissingKey,
    /// The API secret is empty.
    #[error("the API secret is empty: set LIVEKIT_API_SECRET or give the secret")]
    MissingSecret,
    /// A token to join a room has no identity.
    #[error("a token to join a room needs an identity: call identity(..)")]
    MissingIdentity,
    /// The lifetime ends after the last representable date.
    #[error("the lifetime of the token is out of range")]
    Lifetime,
    /// The crypto library could not sign.
    #[error("the token could not be signed")]
    Signing,
}

/// The kind of participant that joins with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// A person or an application; the default.
    Standard,
    /// An agent.
    Agent,
}

impl AccessToken {
    /// Creates a token of this API key, signed with this secret, valid for six hours, without grants.
    pub fn new(api_key: impl Into<String>, api_secret: impl Into<Secret>) -> Self {
        let claims = Claims { iss: api_key.into(), ..Claims::default() };
        Self { secret: api_secret.into(), ttl: DEFAULT_TTL, claims }
    }

    /// Sets the participant's identity, which must be unique in its room.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.claims.sub = Some(identity.into());
        self
    }

    /// Sets the participant's display name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.claims.name = Some(name.into());
        self
    }

    /// Sets the participant's metadata.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.claims.metadata = Some(metadata.into());
        self
    }

    /// Adds attributes of the participant.
    pub fn attributes<K: Into<String>, V: Into<String>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.claims.attributes.extend(owned_pairs(attributes));
        self
    }

    /// Sets the kind of participant.
    pub fn kind(mut self, kind: TokenKind) -> Self {
        self.claims.kind = match kind {
            TokenKind::Standard => None,
            TokenKind::Agent => Some("agent"),
        };
        self
    }

    /// Sets the lifetime of the token, counted from its signing (six hours by default).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Permits joining this room.
    pub fn join_room(mut self, room: impl Into<String>) -> Self {
        self.claims.video.room_join = true;
        self.claims.video.room = Some(room.into());
        self
    }

    /// Permits administering this room: dispatching agents, moving and removing participants, sending data.
    pub fn administer_room(mut self, room: impl Into<String>) -> Self {
        self.claims.video.room_admin = true;
        self.claims.video.room = Some(room.into());
        self
    }

    /// Permits creating and deleting rooms.
    pub fn create_rooms(mut self) -> Self {
        self.claims.video.room_create = true;
        self
    }

    /// Permits listing rooms.
    pub fn list_rooms(mut self) -> Self {
        self.claims.video.room_list = true;
        self
    }

    /// Permits SIP calls: to transfer callers of a room that the token permits to
    /// [administer](Self::administer_room).
    pub fn sip_calls(mut self) -> Self {
        self.claims.sip = Some(SipGrant { call: true });
        self
    }

    /// Permits registering as a worker, and being an agent.
    pub fn agent(mut self) -> Self {
        self.claims.video.agent = true;
        self
    }

    /// Whether the participant may publish tracks (yes by default).
    pub fn can_publish(mut self, allowed: bool) -> Self {
        self.claims.video.can_publish = Some(allowed);
        self
    }

    /// The sources of the tracks that the participant may publish (all by default, and if there are none).
    pub fn can_publish_sources(mut self, sources: impl IntoIterator<Item = TrackSource>) -> Self {
        self.claims.video.can_publish_sources = sources.into_iter().map(source_name).collect();
        self
    }

    /// Whether the participant may send data (as `can_publish` by default).
    pub fn can_publish_data(mut self, allowed: bool) -> Self {
        self.claims.video.can_publish_data = Some(allowed);
        self
    }

    /// Whether the participant may subscribe to tracks (yes by default).
    pub fn can_subscribe(mut self, allowed: bool) -> Self {
        self.claims.video.can_subscribe = Some(allowed);
        self
    }

    /// Whether the participant may change its own name, metadata and attributes (no by default).
    pub fn can_update_own_metadata(mut self, allowed: bool) -> Self {
        self.claims.video.can_update_own_metadata = Some(allowed);
        self
    }

    /// Hides the participant from the others.
    pub fn hidden(mut self) -> Self {
        self.claims.video.hidden = true;
        self
    }

    /// Dispatches this agent if the participant's joining *creates* the room; call it once per agent.
    ///
    /// An existing room keeps its own configuration, and nothing is dispatched.
    pub fn dispatch_agent(mut self, agent_name: impl Into<String>, metadata: impl Into<String>) -> Self {
        let agent = AgentDispatch { agent_name: agent_name.into(), metadata: metadata.into() };
        self.claims.room_config.get_or_insert_default().agents.push(agent);
        self
    }

    /// Signs the token.
    ///
    /// # Errors
    /// Any [`TokenError`]: no key, no secret, a token to join a room without an identity, a lifetime out of
    /// range.
    pub fn sign(mut self) -> Result<Secret, TokenError> {
        if self.claims.iss.is_empty() {
            return Err(TokenError::MissingKey);
        }
        if self.secret.is_empty() {
            return Err(TokenError::MissingSecret);
        }
        if self.claims.video.room_join && self.claims.sub.as_deref().unwrap_or_default().is_empty() {
            return Err(TokenError::MissingIdentity);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.claims.nbf = now.saturating_sub(CLOCK_LEEWAY).as_secs();
        // Keeps the date within what servers can parse, some 30 years from now.
        let ttl =
            Some(self.ttl).filter(|ttl| *ttl < Duration::from_secs(1 << 30)).ok_or(TokenError::Lifetime)?;
        self.claims.exp = (now + ttl).as_secs();

        let claims = serde_json::to_vec(&self.claims).map_err(|_| TokenError::Signing)?;
        let message =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(HEADER), BASE64_URL_SAFE_NO_PAD.encode(claims));
        // Not `jsonwebtoken::encode`: it needs a process-wide provider, and panics if another crate of the
        // program has enabled the library's second one.
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        let key = EncodingKey::from_secret(self.secret.expose().as_bytes());
        let signer = (provider.signer_factory)(&Algorithm::HS256, &key).map_err(|_| TokenError::Signing)?;
        let signature = signer.try_sign(message.as_bytes()).map_err(|_| TokenError::Signing)?;
        Ok(Secret::from(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// The claims, under the names that the server reads.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    iss: String,
    nbf: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    video: VideoGrant,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip: Option<SipGrant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_config: Option<RoomConfig>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct VideoGrant {
    #[serde(skip_serializing_if = "is_false")]
    room_create: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_list: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_admin: bool,
    #[serde(skip_serializing_if = "is_false")]
    room_join: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    agent: bool,
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_publish: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    can_publish_sources: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_publish_data: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_subscribe: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_update_own_metadata: Option<bool>,
}

/// The name of a source in a token.
const fn source_name(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera => "camera",
        TrackSource::Microphone => "microphone",
        TrackSource::ScreenShare => "screen_share",
        TrackSource::ScreenShareAudio => "screen_share_audio",
        // Unknown to the server as well.
        _ => "unknown",
    }
}

#[derive(Clone, Debug, Serialize)]
struct SipGrant {
    call: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
struct RoomConfig {
    agents: Vec<AgentDispatch>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentDispatch {
    agent_name: String,
    metadata: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::{Value, json};

    use super::*;

    /// Reads a token with the library's own verifier, so that independent code checks signature and times.
    fn read(token: &Secret, secret: &str) -> Value {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_nbf = true;
        let key = DecodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::decode::<Value>(token.expose(), &key, &validation).expect("valid").claims
    }

    fn without_times(mut claims: Value) -> Value {
        let object = claims.as_object_mut().unwrap();
        let (exp, nbf) = (object.remove("exp").unwrap(), object.remove("nbf").unwrap());
        assert!(exp.as_u64() > nbf.as_u64());
        claims
    }

    #[test]
    fn a_worker_token_permits_only_to_register() {
        let token = worker_token("key", &Secret::from("s3cret"), Duration::from_secs(60)).unwrap();
        assert_eq!(without_times(read(&token, "s3cret")), json!({"iss": "key", "video": {"agent": true}}));
    }

    #[test]
    fn every_claim_has_the_name_the_server_reads() {
        let token = AccessToken::new("key", "s3cret")
            .identity("ada")
            .name("Ada")
            .metadata("m")
            .attributes([("a", "b")])
            .kind(TokenKind::Agent)
            .join_room("lobby")
            .administer_room("lobby")
            .create_rooms()
            .list_rooms()
            .sip_calls()
            .hidden()
            .can_publish(true)
            .can_publish_sources([TrackSource::Microphone, TrackSource::ScreenShareAudio])
            .can_publish_data(false)
            .can_subscribe(true)
            .can_update_own_metadata(true)
            .dispatch_agent("greeter", "{}")
            .sign()
            .unwrap();
        assert_eq!(
            without_times(read(&token, "s3cret")),
            json!({
                "iss": "key", "sub": "ada", "name": "Ada", "kind": "agent", "metadata": "m", "attributes": {"a": "b"},
                "video": {
                    "roomCreate": true, "roomList": true, "roomAdmin": true, "roomJoin": true, "room": "lobby",
                    "hidden": true, "canPublish": true, "canPublishSources": ["microphone", "screen_share_audio"],
                        "canPublishData": false, "canSubscribe": true,
                    "canUpdateOwnMetadata": true,
                },
                "sip": {"call": true},
                "roomConfig": {"agents": [{"agentName": "greeter", "metadata": "{}"}]},
            })
        );
    }

    #[test]
    fn the_lifetime_counts_from_now() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = read(&AccessToken::new("k", "s").ttl(Duration::from_secs(100)).sign().unwrap(), "s");
        assert!((now + 99..now + 110).contains(&claims["exp"].as_u64().unwrap()), "{claims}");
        assert!((now - 61..now).contains(&claims["nbf"].as_u64().unwrap()), "{claims}");
    }

    #[test]
    fn missing_values_are_named() {
        let sign = |token: AccessToken| token.sign().map(|_| ()).unwrap_err();
        assert_eq!(sign(AccessToken::new("", "s")), TokenError::MissingKey);
        assert_eq!(sign(AccessToken::new("k", "")), TokenError::MissingSecret);
        assert_eq!(sign(AccessToken::new("k", "s").join_room("r")), TokenError::MissingIdentity);
        assert_eq!(sign(AccessToken::new("k", "s").ttl(Duration::MAX)), TokenError::Lifetime);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", AccessToken::new("key", "s3cret")).contains("s3cret"));
    }
}
