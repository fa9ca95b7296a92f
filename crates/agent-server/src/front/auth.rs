//! Tokens of requests: signature, validity and grants.
//!
//! As on the real server, a request without a token has no grants and fails where one is needed, while an
//! invalid token fails every request.

use std::time::Duration;

use hyper::http::request::Parts;
use serde::Deserialize;

use agent_net::Secret;

use crate::token::{BadToken, unix_time, verified};

const BEARER: &str = "Bearer ";

/// The grants of a token.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Grants {
    pub(super) agent: bool,
    room: String,
    room_admin: bool,
    room_create: bool,
    room_list: bool,
    /// In the token, this is in another claim.
    #[serde(skip)]
    sip_call: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SipGrants {
    call: bool,
}

/// The grant that a call needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need<'a> {
    /// Administration of this room.
    Admin(&'a str),
    /// Creation and deletion of rooms.
    Create,
    /// Listing of rooms.
    List,
    /// SIP calls, and administration of this room.
    SipCall(&'a str),
}

impl Grants {
    /// The grants of the request's token; none without a token.
    pub(super) fn of(request: &Parts, api_key: &str, api_secret: &Secret) -> Result<Self, BadToken> {
        match token(request)? {
            "" => Ok(Self::default()),
            token => read(token, api_key, api_secret, unix_time()),
        }
    }

    pub(super) fn allow(&self, need: &Need<'_>) -> bool {
        match need {
            Need::Admin(room) => self.room_admin && self.room == *room,
            Need::Create => self.room_create,
            Need::List => self.room_list,
            Need::SipCall(room) => self.sip_call && self.allow(&Need::Admin(room)),
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    video: Option<Grants>,
    #[serde(default)]
    sip: Option<SipGrants>,
}

/// The header has precedence over the query. Tokens need no percent-encoding.
fn token(request: &Parts) -> Result<&str, BadToken> {
    if let Some(header) = request.headers.get("authorization") {
        let text = header.to_str().map_err(|_| BadToken::NoBearer)?;
        return text.strip_prefix(BEARER).ok_or(BadToken::NoBearer);
    }
    let mut pairs = request.uri.query().unwrap_or_default().split('&');
    Ok(pairs.find_map(|pair| pair.strip_prefix("access_token=")).unwrap_or_default())
}

fn read(token: &str, api_key: &str, api_secret: &Secret, now: Duration) -> Result<Grants, BadToken> {
    let claims: Claims = verified(token, api_key, api_secret, now)?;
    let sip_call = claims.sip.is_some_and(|sip| sip.call);
    Ok(Grants { sip_call, ..claims.video.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use hyper::Request;
    use jsonwebtoken::Algorithm;

    use agent_net::AccessToken;

    use super::*;

    const NOW: Duration = Duration::from_secs(2_000_000_000);

    fn signed(header: &str, claims: &str) -> String {
        let message =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
        let signature = (provider.signer_factory)(&Algorithm::HS256, &key).unwrap().sign(message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn read_claims(claims: &str) -> Result<Grants, BadToken> {
        read(&signed(r#"{"alg":"HS256"}"#, claims), "key", &"secret".into(), NOW)
    }

    #[test]
    fn times_have_a_minute_of_leeway() {
        let refused = |claims: &str| read_claims(claims).unwrap_err();
        assert!(read_claims(r#"{"iss":"key","exp":1999999950,"nbf":2000000050}"#).is_ok());
        assert!(read_claims(r#"{"iss":"key"}"#).is_ok(), "a token without an end is taken");
        assert_eq!(refused(r#"{"iss":"key","exp":1999999940}"#), BadToken::Expired);
        assert_eq!(refused(r#"{"iss":"key","nbf":2000000061.5}"#), BadToken::NotYet);
    }

    #[test]
    fn only_our_key_our_secret_and_our_algorithm() {
        let read = |token: &str| read(token, "key", &"secret".into(), NOW).unwrap_err();
        assert_eq!(read_claims(r#"{"iss":"k2"}"#).unwrap_err(), BadToken::ApiKey("k2".into()));
        assert_eq!(read_claims("{}").unwrap_err(), BadToken::ApiKey(String::new()));
        assert_eq!(read(&signed(r#"{"alg":"none"}"#, r#"{"iss":"key"}"#)), BadToken::Malformed);
        for garbage in ["", "a", "a.b", "a.b.c", "...", "e30.e30.", "\u{1}.\u{2}.\u{3}"] {
            assert_eq!(read(garbage), BadToken::Malformed, "{garbage:?}");
        }
        let stolen = AccessToken::new("key", "other").agent().sign().unwrap();
        assert_eq!(read(stolen.expose()), BadToken::Signature);
    }

    #[test]
    fn header_before_query_before_nothing() {
        let of = |request: hyper::http::request::Builder| {
            let (parts, ()) = request.body(()).unwrap().into_parts();
            token(&parts).map(str::to_owned)
        };
        let request = || Request::get("/agent?protocol=1&access_token=query");
        assert_eq!(of(request().header("authorization", "Bearer header")).as_deref(), Ok("header"));
        assert_eq!(of(request()).as_deref(), Ok("query"));
        assert_eq!(of(Request::get("/agent")).as_deref(), Ok(""));
        assert_eq!(of(request().header("authorization", "Basic x")), Err(BadToken::NoBearer));
    }

    #[test]
    fn a_grant_is_for_one_room() {
        let grants = read_claims(r#"{"iss":"key","video":{"roomAdmin":true,"room":"a"}}"#).unwrap();
        assert!(grants.allow(&Need::Admin("a")));
        assert!(!grants.allow(&Need::Admin("b")));
        assert!(!grants.allow(&Need::Create) && !grants.allow(&Need::List) && !grants.agent);
    }
}
