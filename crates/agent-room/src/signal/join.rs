//! The first request: everything that the server must know, in the URL of the WebSocket.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use flate2::Compression;
use flate2::write::GzEncoder;

use agent_proto::{encode, livekit as proto};

use crate::Config;

/// Our protocol version.
const PROTOCOL: i32 = 17;
/// What peers may send us: RPC as text streams, and streams in a single packet.
const CLIENT_PROTOCOL: i32 = 2;

/// `ws(s)://HOST/base/rtc/v1?join_request=…` with our first offer inside.
///
/// Compressed, as an offer with many codecs would exceed the URL length that proxies accept.
/// `auto_subscribe`: the server is to send all tracks without a request.
pub(super) fn url(config: &Config, offer: proto::SessionDescription, auto_subscribe: bool) -> String {
    let request = proto::JoinRequest {
        client_info: Some(client_info(config)),
        connection_settings: Some(connection_settings(auto_subscribe)),
        publisher_offer: Some(offer),
        ..Default::default()
    };
    request_url(config, &request)
}

/// The URL that requests the session of the participant with this sid.
pub(super) fn resume_url(
    config: &Config,
    participant_sid: String,
    reason: proto::ReconnectReason,
    auto_subscribe: bool,
) -> String {
    let request = proto::JoinRequest {
        client_info: Some(client_info(config)),
        connection_settings: Some(connection_settings(auto_subscribe)),
        reconnect: true,
        reconnect_reason: reason as i32,
        participant_sid,
        ..Default::default()
    };
    request_url(config, &request)
}

fn client_info(config: &Config) -> proto::ClientInfo {
    proto::ClientInfo {
        sdk: proto::client_info::Sdk::Rust as i32,
        version: config.sdk_version.clone(),
        protocol: PROTOCOL,
        client_protocol: CLIENT_PROTOCOL,
        capabilities: vec![proto::client_info::Capability::CapCompressionDeflateRaw as i32],
        ..Default::default()
    }
}

fn connection_settings(auto_subscribe: bool) -> proto::ConnectionSettings {
    proto::ConnectionSettings {
        auto_subscribe,
        // Each one is subscribed to when it is read.
        auto_subscribe_data_track: Some(false),
        ..Default::default()
    }
}

fn request_url(config: &Config, request: &proto::JoinRequest) -> String {
    let request = encode(request);
    let wrapped = match gzip(&request) {
        Ok(join_request) => proto::WrappedJoinRequest {
            compression: proto::wrapped_join_request::Compression::Gzip as i32,
            join_request: join_request.into(),
        },
        // Writing into memory does not fail; the server accepts the uncompressed form as well.
        Err(_) => proto::WrappedJoinRequest { compression: 0, join_request: request },
    };
    format!("{}/rtc/v1?join_request={}", base(&config.url), URL_SAFE.encode(encode(&wrapped)))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// The WebSocket form of the server's URL, without query and trailing slash.
fn base(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    match url.split_once("://") {
        Some(("http", rest)) => format!("ws://{rest}"),
        Some(("https", rest)) => format!("wss://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    use agent_proto::{MAX_FRAME_LEN, decode};

    use super::*;

    /// The request as the server would decode it.
    pub(crate) fn read(url: &str) -> proto::JoinRequest {
        let (_, request) = url.split_once("?join_request=").unwrap();
        let wrapped: proto::WrappedJoinRequest =
            decode(&URL_SAFE.decode(request).unwrap().into(), MAX_FRAME_LEN).unwrap();
        assert_eq!(wrapped.compression(), proto::wrapped_join_request::Compression::Gzip);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&wrapped.join_request[..]).read_to_end(&mut plain).unwrap();
        decode(&plain.into(), MAX_FRAME_LEN).unwrap()
    }

    #[test]
    fn the_server_reads_our_messages() {
        let config = Config::new("http://host:7880/base/?x=1", "sesame");
        let offer = proto::SessionDescription { sdp: "v=0".to_owned(), ..Default::default() };
        let url = url(&config, offer, false);
        assert!(url.starts_with("ws://host:7880/base/rtc/v1?join_request="), "{url}");
        assert!(!url.contains("sesame"));
        let request = read(&url);
        assert_eq!(request.publisher_offer.unwrap().sdp, "v=0");
        let settings = request.connection_settings.unwrap();
        assert_eq!((settings.auto_subscribe, settings.auto_subscribe_data_track), (false, Some(false)));
        let client = request.client_info.unwrap();
        assert_eq!((client.protocol, client.client_protocol, client.capabilities), (17, 2, vec![2]));
    }

    #[test]
    fn base_urls() {
        for (given, expected) in [
            ("wss://host", "wss://host"),
            ("https://host/", "wss://host"),
            ("ws://host:1/a/b//", "ws://host:1/a/b"),
            ("http://host#x", "ws://host"),
        ] {
            assert_eq!(base(given), expected);
        }
    }
}
