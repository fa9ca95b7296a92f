//! What a room's first request says about itself.

use agent_proto::{decode, livekit as wire};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use std::io::Read;
use std::net::SocketAddr;

/// Where the room waits for packets, as the offer in its request (a path and a query) says.
pub(crate) fn candidates(target: &str) -> Vec<SocketAddr> {
    let (_, request) = target.split_once("join_request=").expect("a request");
    let request = URL_SAFE.decode(request).expect("base64");
    let wrapped: wire::WrappedJoinRequest = decode(&request.into(), 1 << 20).expect("a request");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&wrapped.join_request[..]).read_to_end(&mut plain).expect("gzip");
    let request: wire::JoinRequest = decode(&plain.into(), 1 << 20).expect("a request");
    let sdp = request.publisher_offer.expect("an offer").sdp;
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let mut found: Vec<SocketAddr> = lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            SocketAddr::new(words[4].parse().expect("an address"), words[5].parse().expect("a port"))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    assert!(!found.is_empty(), "{sdp}");
    found
}
