//! Calls over sockets on loopback, to servers that fail in every way.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::options::NetOptions;
use crate::tests::failover::{Cloud, SilentProject, with_region};

mod refusals;

/// A request as a server received it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Without the service.
    pub(super) method: String,
    id: String,
    token: String,
}

/// What a server does with a request.
pub(super) enum Reply {
    Ok(Bytes),
    Status(u16, &'static str),
    /// The connection ends without a response.
    Cut,
}

type Requests = Arc<Mutex<Vec<Seen>>>;

/// A server, a client of it, and what was received. `reply` is given the number of requests before.
pub(super) async fn serve(
    reply: impl Fn(usize, &Seen) -> Reply + Clone + Send + Sync + 'static,
) -> (ServerApi, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (seen, reply) = (Arc::clone(&seen), reply.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let header =
                    |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
                let request = Seen {
                    method: request.uri().path().rsplit('/').next().unwrap_or_default().to_owned(),
                    id: header("x-livekit-request-id"),
                    token: header("authorization").trim_start_matches("Bearer ").to_owned(),
                };
                let mut seen = seen.lock().unwrap();
                let reply = reply(seen.len(), &request);
                seen.push(request);
                async move {
                    let (status, body) = match reply {
                        Reply::Ok(body) => (200, body),
                        Reply::Status(status, body) => (status, Bytes::from_static(body.as_bytes())),
                        Reply::Cut => return Err("cut"),
                    };
                    let mut response = Response::new(Full::new(body));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
        }
    });
    (ServerApi::new(&url, "key", "secret").unwrap(), requests)
}

fn methods(requests: &Requests) -> Vec<String> {
    requests.lock().unwrap().iter().map(|request| request.method.clone()).collect()
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn each_token_is_short_lived_and_permits_its_call_alone() {
    let (api, requests) = serve(|_, _| Reply::Ok(Bytes::new())).await;
    let room = api.room("lobby");
    api.create_room(RoomRequest::new("lobby")).await.unwrap();
    api.list_rooms(&[]).await.unwrap();
    room.participants().await.unwrap();
    room.participant("ada").await.unwrap();
    room.remove_participant("ada").await.unwrap();
    room.update_participant("ada", ParticipantChange::new()).await.unwrap();
    room.mute_track("ada", "TR_1", true).await.unwrap();
    room.send_data(DataMessage::new("hi")).await.unwrap();
    room.update_metadata("m").await.unwrap();
    room.create_dispatch("greeter").await.unwrap();
    room.dispatches().await.unwrap();
    room.delete_dispatch("AD_1").await.unwrap();
    room.transfer_sip_participant("caller", "tel:+1").await.unwrap();
    room.delete().await.unwrap();
    let seen: Vec<(String, Value)> = requests
        .lock()
        .unwrap()
        .iter()
        .map(|request| (request.method.clone(), claims(&request.token)))
        .collect();
    let admin = || json!({"roomAdmin": true, "room": "lobby"});
    let grants = [
        ("CreateRoom", json!({"roomCreate": true})),
        ("ListRooms", json!({"roomList": true})),
        ("ListParticipants", admin()),
        ("GetParticipant", admin()),
        ("RemoveParticipant", admin()),
        ("UpdateParticipant", admin()),
        ("MutePublishedTrack", admin()),
        ("SendData", admin()),
        ("UpdateRoomMetadata", admin()),
        ("CreateDispatch", admin()),
        ("ListDispatch", admin()),
        ("DeleteDispatch", admin()),
        ("TransferSIPParticipant", admin()),
        ("DeleteRoom", json!({"roomCreate": true})),
    ];
    assert_eq!(seen.len(), grants.len());
    for ((method, claims), (expected, video)) in seen.iter().zip(grants) {
        assert_eq!((method.as_str(), &claims["video"]), (expected, &video));
        let life = claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap();
        assert!(life <= 180, "{claims}");
        let sip = (expected == "TransferSIPParticipant").then(|| json!({"call": true}));
        assert_eq!(claims.get("sip"), sip.as_ref());
        let known = ["exp", "iss", "nbf", "sip", "video"];
        assert!(claims.as_object().unwrap().keys().all(|claim| known.contains(&claim.as_str())), "{claims}");
    }
}

#[tokio::test]
async fn only_safe_commands_are_repeated_with_the_same_number() {
    fn gateway() -> Reply {
        Reply::Status(503, "<html>no backend</html>")
    }
    fn cut() -> Reply {
        Reply::Cut
    }
    for failure in [gateway as fn() -> Reply, cut] {
        let (api, requests) =
            serve(move |before, _| if before < 2 { failure() } else { Reply::Ok(Bytes::new()) }).await;
        api.list_participants("lobby").await.unwrap();
        let seen = requests.lock().unwrap().clone();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|request| request.id == seen[0].id && request.id.len() == 32), "{seen:?}");

        let (api, requests) = serve(move |_, _| failure()).await;
        let room = api.room("lobby");
        room.create_dispatch("greeter").await.unwrap_err();
        room.remove_participant("ada").await.unwrap_err();
        room.transfer_sip_participant("caller", "tel:+1").await.unwrap_err();
        room.delete().await.unwrap_err();
        let once = ["CreateDispatch", "RemoveParticipant", "TransferSIPParticipant", "DeleteRoom"];
        assert_eq!(methods(&requests), once);
        room.participants().await.unwrap_err();
        assert_eq!(methods(&requests).len(), 7, "it gives up after three");
    }
    // A response of the server itself is final.
    let body = r#"{"code":"unavailable","msg":"twirp error unknown: no response from servers"}"#;
    let (api, requests) = serve(move |_, _| Reply::Status(503, body)).await;
    let error = api.list_dispatches("nowhere").await.unwrap_err();
    assert!(error.to_string().contains("a room or a participant that does not exist"), "{error}");
    assert_eq!(methods(&requests).len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_three_times() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let api = ServerApi::new(&format!("ws://{address}").parse().unwrap(), "key", "secret").unwrap();
    let begun = std::time::Instant::now();
    let error = api.room("lobby").create_dispatch("greeter").await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { method: "AgentDispatchService/CreateDispatch", .. }));
    assert!(begun.elapsed() >= Duration::from_millis(500), "two delays: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_given_up_after_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api =
        ServerApi::new(&format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap(), "key", "secret");
    let begun = tokio::time::Instant::now();
    let error = api.unwrap().list_rooms(&[]).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn too_large_bodies_are_neither_sent_nor_read() {
    let (api, requests) = serve(|_, seen| match seen.method.as_str() {
        "ListRooms" => Reply::Ok(vec![0; request::MAX_BODY_LEN + 1].into()),
        _ => Reply::Ok(Bytes::new()),
    })
    .await;
    let message = DataMessage::new(vec![0; request::MAX_BODY_LEN]);
    let error = api.send_data("lobby", message).await.unwrap_err();
    assert!(matches!(error, ApiError::TooLarge { limit: request::MAX_BODY_LEN, .. }), "{error}");
    assert!(methods(&requests).is_empty());
    let error = api.list_rooms(&[]).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn many_calls_at_once_share_32_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    // Nothing is answered before 32 requests are there.
    let full = Arc::new(tokio::sync::Barrier::new(32));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (open, most, full) = (Arc::clone(&open), Arc::clone(&seen), Arc::clone(&full));
            let service = service_fn(move |_: Request<Incoming>| {
                let (open, most, full) = (Arc::clone(&open), Arc::clone(&most), Arc::clone(&full));
                async move {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    full.wait().await;
                    open.fetch_sub(1, Ordering::SeqCst);
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
        }
    });
    let api = ServerApi::new(&url, "key", "secret").unwrap();
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let api = api.clone();
            tokio::spawn(async move { api.list_rooms(&[]).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn a_token_that_lacks_the_grant_is_named_and_nothing_shows_a_secret() {
    let body = r#"{"code":"unauthenticated","msg":"permissions denied"}"#;
    let (api, requests) = serve(move |_, _| Reply::Status(401, body)).await;
    let url = format!("ws://{}", api.base().trim_start_matches("http://")).parse().unwrap();
    let api = ServerApi::with_token(&url, "given-token");
    let error = api.room("lobby").remove_participant("ada").await.unwrap_err();
    let ApiError::MissingGrant { grant, .. } = &error else { panic!("{error}") };
    assert_eq!(grant, r#"`roomAdmin` for room "lobby""#);
    assert_eq!(requests.lock().unwrap()[0].token, "given-token");
    let api = ServerApi::new(&url, "key", "s3cret").unwrap();
    for shown in [format!("{api:?} {:?} {error:?}", api.room("lobby")), format!("{error}")] {
        assert!(!shown.contains("s3cret") && !shown.contains("given-token"), "{shown}");
    }
}

const REGIONS: &str = r#"{"regions":[{"url":"https://p.up.livekit.cloud"}]}"#;

/// A client of a project whose own address answers with `status`, and what it and its other region received.
async fn project(status: u16) -> (ServerApi, Requests, Requests) {
    let (own, own_requests) = serve(move |_, request| match &*request.method {
        "regions" => Reply::Ok(Bytes::from_static(REGIONS.as_bytes())),
        _ => Reply::Status(status, "no"),
    })
    .await;
    let (up, up_requests) = serve(|_, _| Reply::Ok(Bytes::new())).await;
    let address = |api: &ServerApi| api.base().trim_start_matches("http://").parse().unwrap();
    let hosts = [("p.livekit.cloud", address(&own)), ("p.up.livekit.cloud", address(&up))];
    let net = NetOptions::default().dialer(Cloud(hosts.into()));
    let url = "ws://p.livekit.cloud".parse().unwrap();
    (ServerApi::new(&url, "key", "secret").unwrap().net(net), own_requests, up_requests)
}

#[tokio::test]
async fn a_call_that_a_project_cannot_serve_is_repeated_in_another_region() {
    for status in [502, 503, 451] {
        let (api, own, up) = project(status).await;
        for calls in 1..=2 {
            assert_eq!(api.list_rooms(&[]).await.unwrap(), [], "{status}");
            let up = up.lock().unwrap();
            assert_eq!(up.len(), calls, "{status}");
            let own = own.lock().unwrap();
            let first = own.iter().rfind(|request| request.method == "ListRooms").unwrap();
            assert_eq!(first.id, up[calls - 1].id, "the same call");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_not_repeatable_is_repeated_only_where_it_was_not_carried_out() {
    for (status, repeated) in [(503, 0), (451, 1)] {
        let (api, _, up) = project(status).await;
        let dispatched = api.create_dispatch(DispatchRequest::new("greeter", "lobby")).await;
        assert_eq!((dispatched.is_ok(), up.lock().unwrap().len()), (repeated == 1, repeated), "{status}");
    }
}

/// A client of a project that is silent and has a region that answers, and when it was made.
fn silent_project(connects: bool, age: Duration) -> (ServerApi, tokio::time::Instant) {
    let project = SilentProject {
        connects,
        serve: |stream| {
            let service =
                service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        },
    };
    let api = ServerApi::new(&"ws://p.livekit.cloud".parse().unwrap(), "key", "secret").unwrap();
    (api.net(with_region(project, age)), tokio::time::Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_silent_project_leaves_time_for_another_region() {
    let minute = Duration::from_secs(60);
    for (connects, age, millis) in [
        (true, minute, 5000),
        (false, minute, 2500),
        // A new list is not to be had either.
        (true, Duration::ZERO, 7500),
        (false, Duration::ZERO, 5000),
    ] {
        let (api, begun) = silent_project(connects, age);
        assert_eq!(api.list_rooms(&[]).await.unwrap(), []);
        assert_eq!(begun.elapsed().as_millis(), millis, "connects: {connects}, list: {age:?}");
    }
    // What may not be repeated has the whole time for its response, but not for its connection.
    let dispatch = || DispatchRequest::new("greeter", "lobby");
    let (api, begun) = silent_project(false, minute);
    api.create_dispatch(dispatch()).await.unwrap();
    assert_eq!(begun.elapsed().as_millis(), 2500);
    let (api, begun) = silent_project(true, minute);
    api.create_dispatch(dispatch()).await.unwrap_err();
    assert_eq!(begun.elapsed().as_millis(), 10_000);
}
