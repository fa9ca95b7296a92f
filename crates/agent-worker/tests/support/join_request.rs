//! What a room's first request contains about the client.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use agent_proto::{decode, livekit as wire};

/// The offer in a room's request (a path and a query).
pub(crate) fn offer(target: &str) -> String {
    let (_, request) = target.split_once("join_request=").expect("a request");
    let request = URL_SAFE.decode(request).expect("base64");
    let wrapped: wire::WrappedJoinRequest = decode(&request.into(), 1 << 20).expect("a request");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&wrapped.join_request[..]).read_to_end(&mut plain).expect("gzip");
    let request: wire::JoinRequest = decode(&plain.into(), 1 << 20).expect("a request");
    request.publisher_offer.expect("an offer").sdp
}
