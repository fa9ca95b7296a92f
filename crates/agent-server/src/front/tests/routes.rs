//! Routes, and which requests are refused.

use std::time::Duration;

use agent_net::AccessToken;

use super::*;

const WS: [(&str, &str); 3] =
    [("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "dGVzdA==")];

#[tokio::test(start_paused = true)]
async fn routes() {
    let (fake, mut events) = Fake::new();
    let get = async |path: &str, headers: &[(&str, &str)]| {
        request(in_memory(&fake), &format!("GET {path}"), headers, b"").await
    };
    let reply = get("/", &[]).await;
    assert_eq!((reply.status, reply.text()), (200, "OK"));
    assert_eq!(get("//", &[]).await.status, 200);
    for path in ["/rtc", "/rtc/v1", "/rtc/validate?access_token=x"] {
        let reply = get(path, &[]).await;
        assert_eq!(reply.status, 404, "{path}");
        for part in ["mock server has no WebRTC rooms", "MockServer", "livekit-server"] {
            assert!(reply.text().contains(part), "{}", reply.text());
        }
    }
    for path in ["/rtcx", "/nope", "/agent/x", "/twirp", "/base/agent"] {
        assert_eq!(get(path, &[]).await.status, 404, "{path}");
    }
    // An invalid token is refused on every route, as on the real server.
    assert_eq!(get("/", &[("authorization", "Bearer x")]).await.status, 401);
    events.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn joins_are_refused_as_the_backend_requires() {
    let (fake, _) = Fake::new();
    for (status, retry_after, header) in [
        (503, Some(Duration::from_millis(1200)), Some("2")),
        (429, Some(Duration::ZERO), Some("0")),
        (500, None, None),
    ] {
        *fake.join_refusal.lock().unwrap() = Some(JoinRefusal { status, retry_after });
        let reply = request(in_memory(&fake), "GET /rtc/v1?access_token=x", &[], b"").await;
        assert_eq!(reply.status, status);
        assert!(reply.text().contains("refuses joins"), "{}", reply.text());
        let headers = reply.head.lines().filter_map(|line| line.strip_prefix("retry-after: "));
        assert_eq!(headers.collect::<Vec<_>>(), Vec::from_iter(header), "{}", reply.head);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_worker_gets_a_socket() {
    let (fake, mut events) = Fake::new();
    let enter = async |token: &str| {
        let token = format!("Bearer {token}");
        refusal(handshake(in_memory(&fake), "/agent", Some(&token)).await)
    };
    let signed = |token: AccessToken| token.sign().unwrap().expose().to_owned();

    let (status, text) = refusal(handshake(in_memory(&fake), "/agent", None).await);
    assert_eq!((status, text.contains("video grant \"agent\"")), (401, true), "{text}");
    let (status, text) = enter(&signed(token().join_room("lobby").identity("ada"))).await;
    assert_eq!((status, text.contains("video grant \"agent\"")), (401, true), "{text}");
    let (status, text) = enter(&signed(AccessToken::new("other", SECRET).agent())).await;
    assert_eq!((status, text.as_str()), (401, "invalid API key: other"));
    let wrong = signed(AccessToken::new(KEY, "wrong").agent());
    let (status, text) = enter(&wrong).await;
    assert_eq!((status, text.contains("not signed with")), (401, true), "{text}");
    assert!(!text.contains(&wrong), "no token goes into an answer");
    let (status, text) = enter("x.y.z").await;
    assert_eq!((status, text.as_str()), (401, "invalid authorization token"));
    let (status, text) = refusal(handshake(in_memory(&fake), "/agent", Some("Basic eA==")).await);
    assert_eq!((status, text.contains("Bearer")), (401, true), "{text}");
    events.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_may_be_in_the_query_and_a_minute_old() {
    let (fake, _events) = Fake::new();
    let now = token().agent().ttl(Duration::ZERO).sign().unwrap();
    let path = format!("/agent?protocol=1&access_token={}", now.expose());
    handshake(in_memory(&fake), &path, None).await.unwrap();
    handshake(in_memory(&fake), &format!("/{path}"), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn invalid_handshakes() {
    let (fake, mut events) = Fake::new();
    let authorization = format!("Bearer {}", worker_token());
    let authorization = ("authorization", authorization.as_str());
    // Two `Connection` headers are one list, so the helper's `close` does no harm.
    let [upgrade, version, key] = WS;
    let connection = ("connection", "Upgrade");
    for (line, headers, status) in [
        ("GET /agent", &[authorization][..], 404),
        ("GET /agent", &[upgrade, version, key, authorization], 404),
        ("GET /agent", &[connection, upgrade, version, key], 401),
        ("GET /agent", &[connection, upgrade, version, authorization], 400),
        ("GET /agent", &[connection, upgrade, key, ("sec-websocket-version", "8"), authorization], 400),
        ("POST /agent", &[connection, upgrade, version, key, authorization], 400),
    ] {
        let reply = request(in_memory(&fake), line, headers, b"").await;
        assert_eq!(reply.status, status, "{line} {headers:?} {}", reply.text());
    }
    events.quiet().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_http_end_the_connection() {
    let (fake, mut events) = Fake::new();
    for garbage in [&b"\x16\x03\x01\x00\xff\r\n\r\n"[..], b"GET /agent", b""] {
        let (mut near, far) = duplex(1024);
        let served = tokio::spawn(serve(far, fake.clone()));
        near.write_all(garbage).await.unwrap();
        near.shutdown().await.unwrap();
        timeout(Duration::from_secs(5), served).await.expect("the end").unwrap();
    }
    events.quiet().await;
}
