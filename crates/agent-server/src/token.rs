//! Tokens: their validity, the grant of one to join a room, and the tokens of agents.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::DeserializeOwned;

use agent_net::{AccessToken, Secret, TokenKind};
use agent_room::{Permissions, TrackSource};

use crate::machine::Grant;

/// The lifetime of an agent's token, as on the real server.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// The tolerated clock difference, as on the real server.
const LEEWAY: Duration = Duration::from_secs(60);

/// Why a token is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is not in the form `Bearer <token>`.
    #[error("invalid authorization header: it must start with \"Bearer \"")]
    NoBearer,
    /// It is not a token.
    #[error("invalid authorization token")]
    Malformed,
    /// It is of another API key.
    #[error("invalid API key: {0}")]
    ApiKey(String),
    /// Its signature is of another secret.
    #[error("invalid token: it is not signed with this API key's secret")]
    Signature,
    /// It was valid earlier.
    #[error("invalid token: it is expired")]
    Expired,
    /// It will be valid later.
    #[error("invalid token: it is not valid yet")]
    NotYet,
    /// It has other grants.
    #[error("the token does not permit joining a room")]
    NoJoin,
}

/// The grant of a token to join a room, if it is valid now for this key and secret.
///
/// # Errors
/// [`BadToken`]
pub fn read_token(token: &Secret, api_key: &str, api_secret: &Secret) -> Result<Grant, BadToken> {
    grant(verified(token.expose(), api_key, api_secret, unix_time())?).ok_or(BadToken::NoJoin)
}

/// The token with which an agent joins its room.
pub(crate) fn of_agent(grant: Grant, api_key: &str, api_secret: &Secret) -> String {
    let may = grant.permissions;
    let mut token = AccessToken::new(api_key, api_secret.clone())
        .identity(grant.identity)
        .name(grant.name)
        .metadata(grant.metadata)
        .attributes(grant.attributes)
        .kind(TokenKind::Agent)
        .agent()
        .ttl(TOKEN_LIFE)
        .join_room(grant.room)
        .can_publish(may.can_publish)
        .can_publish_sources(may.can_publish_sources)
        .can_publish_data(may.can_publish_data)
        .can_subscribe(may.can_subscribe)
        .can_update_own_metadata(may.can_update_metadata);
    if may.hidden {
        token = token.hidden();
    }
    // An answer without an identity is refused when joining, as on the real server.
    token.sign().map(|token| token.expose().to_owned()).unwrap_or_default()
}

/// The time since 1970.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The claims of a token, if it is valid at this time since 1970 for this key and secret.
pub(crate) fn verified<T: DeserializeOwned>(
    token: &str,
    api_key: &str,
    api_secret: &Secret,
    now: Duration,
) -> Result<T, BadToken> {
    let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(BadToken::Malformed)?;
    let header: Header = part(header).ok_or(BadToken::Malformed)?;
    let validity: Validity = part(claims).ok_or(BadToken::Malformed)?;
    if header.alg != "HS256" {
        return Err(BadToken::Malformed);
    }
    if validity.iss != api_key {
        return Err(BadToken::ApiKey(validity.iss));
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadToken::Malformed)?;
    if !is_signed(message, signature, api_secret) {
        return Err(BadToken::Signature);
    }

    let (now, leeway) = (now.as_secs_f64(), LEEWAY.as_secs_f64());
    if validity.exp.is_some_and(|exp| exp + leeway <= now) {
        return Err(BadToken::Expired);
    }
    if validity.nbf.is_some_and(|nbf| nbf - leeway > now) {
        return Err(BadToken::NotYet);
    }
    part(claims).ok_or(BadToken::Malformed)
}

/// Whether this is the HS256 signature of the message with this secret.
fn is_signed(message: &str, signature: Vec<u8>, secret: &Secret) -> bool {
    // Not `jsonwebtoken::decode`: it needs a process-wide provider, and panics if another crate of the
    // program has enabled the library's second one.
    let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    (provider.verifier_factory)(&Algorithm::HS256, &key)
        .is_ok_and(|verifier| verifier.verify(message.as_bytes(), &signature).is_ok())
}

/// Decodes the header or the claims; `None` if they are not such JSON.
fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn grant(claims: Claims) -> Option<Grant> {
    let video = claims.video;
    if !video.room_join {
        return None;
    }
    let mut permissions = Permissions::default();
    permissions.can_subscribe = video.can_subscribe.unwrap_or(true);
    permissions.can_publish = video.can_publish.unwrap_or(true);
    let sources = video.can_publish_sources.iter().map(|source| source_named(source));
    permissions.can_publish_sources = sources.collect();
    permissions.can_publish_data = video.can_publish_data.unwrap_or(permissions.can_publish);
    permissions.can_update_metadata = video.can_update_own_metadata.unwrap_or(false);
    permissions.hidden = video.hidden;
    Some(Grant {
        room: video.room,
        identity: claims.sub,
        name: claims.name,
        metadata: claims.metadata,
        attributes: claims.attributes,
        agent: claims.kind == "agent",
        permissions,
    })
}

/// The source of this name; one that is unknown permits nothing.
fn source_named(name: &str) -> TrackSource {
    match name {
        "camera" => TrackSource::Camera,
        "microphone" => TrackSource::Microphone,
        "screen_share" => TrackSource::ScreenShare,
        "screen_share_audio" => TrackSource::ScreenShareAudio,
        _ => TrackSource::Unknown,
    }
}

#[derive(serde::Deserialize)]
struct Header {
    alg: String,
}

/// The claims that decide whether a token is valid.
#[derive(serde::Deserialize)]
struct Validity {
    #[serde(default)]
    iss: String,
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// The claims of a token for a room, under the protocol's names.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Claims {
    sub: String,
    name: String,
    kind: String,
    metadata: String,
    attributes: BTreeMap<String, String>,
    video: VideoGrant,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VideoGrant {
    room: String,
    room_join: bool,
    hidden: bool,
    can_publish: Option<bool>,
    can_publish_sources: Vec<String>,
    can_publish_data: Option<bool>,
    can_subscribe: Option<bool>,
    can_update_own_metadata: Option<bool>,
}
