//! Tokens: the grant of a token to join a room, its signature, and the tokens of agents.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::DeserializeOwned;

use agent_net::{AccessToken, Secret, TokenKind};
use agent_room::{Permissions, TrackSource};

use crate::machine::Grant;

/// The lifetime of an agent's token, as on the real server.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// The grant of a token to join a room, if it is such a token and signed with this secret.
pub fn read_token(token: &Secret, secret: &Secret) -> Option<Grant> {
    let (message, signature) = token.expose().rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !is_signed(message, signature, secret) {
        return None;
    }
    grant(part(message.split_once('.')?.1)?)
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

/// Whether this is the HS256 signature of the message with this secret.
pub(crate) fn is_signed(message: &str, signature: Vec<u8>, secret: &Secret) -> bool {
    // Not `jsonwebtoken::decode`: it needs a process-wide provider, and panics if another crate of the
    // program has enabled the library's second one.
    let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    (provider.verifier_factory)(&Algorithm::HS256, &key)
        .is_ok_and(|verifier| verifier.verify(message.as_bytes(), &signature).is_ok())
}

/// Decodes the header or the claims; `None` if they are not such JSON.
pub(crate) fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
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

/// The claims of a token, under the protocol's names.
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
