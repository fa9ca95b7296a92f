//! Tokens to join rooms, read and checked.

use std::collections::BTreeMap;

use agent_worker::{Permissions, Secret};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::server::Grant;

/// The grant of a token to join a room, if it is signed with this secret and is such a token.
pub(super) fn read(token: &Secret, secret: &Secret) -> Option<Grant> {
    let (message, signature) = token.expose().rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    // With the provider given explicitly: a program with two of them has no common one.
    let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
    let verifier = (provider.verifier_factory)(&Algorithm::HS256, &key).ok()?;
    verifier.verify(message.as_bytes(), &signature).ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(message.split_once('.')?.1).ok()?;
    grant(serde_json::from_slice(&claims).ok()?)
}

fn grant(claims: Claims) -> Option<Grant> {
    let video = claims.video;
    if !video.room_join {
        return None;
    }
    let mut permissions = Permissions::default();
    permissions.can_subscribe = video.can_subscribe.unwrap_or(true);
    permissions.can_publish = video.can_publish.unwrap_or(true);
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

/// The claims of a token, with the protocol's names.
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
    can_publish_data: Option<bool>,
    can_subscribe: Option<bool>,
    can_update_own_metadata: Option<bool>,
}
