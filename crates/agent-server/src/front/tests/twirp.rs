//! Every call, in both forms, with and without the required grant.

use serde_json::json;

use agent_net::ServerUrl;
use agent_net::{
    ApiError, DataMessage, DispatchRequest, ParticipantChange, RoomRequest, ServerApi, SipTransfer,
};
use agent_proto::{MAX_FRAME_LEN, decode, encode, livekit as wire};

use super::*;
use crate::api_call::ApiCall;

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json; charset=utf-8";

/// Every call with a request in JSON, the request as the backend receives it, and a part of the response.
const CALLS: [(&str, &str, &str, &str); 14] = [
    (
        "AgentDispatchService/CreateDispatch",
        r#"{"room":"lobby","agentName":"greeter"}"#,
        "CreateAgentDispatchRequest { agent_name: \"greeter\"",
        r#""id":"AD_1""#,
    ),
    (
        "AgentDispatchService/DeleteDispatch",
        r#"{"room":"lobby","dispatch_id":"AD_1"}"#,
        "DeleteAgentDispatchRequest { dispatch_id: \"AD_1\"",
        r#""id":"AD_1""#,
    ),
    (
        "AgentDispatchService/ListDispatch",
        r#"{"room":"lobby"}"#,
        "ListAgentDispatchRequest {",
        r#""agent_dispatches":[{"id":"AD_1""#,
    ),
    (
        "RoomService/CreateRoom",
        r#"{"name":"lobby"}"#,
        "CreateRoomRequest { name: \"lobby\"",
        r#""creation_time_ms":"7""#,
    ),
    (
        "RoomService/ListRooms",
        r#"{"names":["lobby"]}"#,
        "ListRoomsRequest { names: [\"lobby\"]",
        r#"{"rooms":[{"sid":"RM_1""#,
    ),
    ("RoomService/DeleteRoom", r#"{"room":"lobby"}"#, "DeleteRoomRequest {", "{}"),
    (
        "RoomService/ListParticipants",
        r#"{"room":"lobby"}"#,
        "ListParticipantsRequest {",
        r#"{"participants":[{"#,
    ),
    (
        "RoomService/GetParticipant",
        r#"{"room":"lobby","identity":"ada"}"#,
        "RoomParticipantIdentity {",
        r#""identity":"ada""#,
    ),
    (
        "RoomService/RemoveParticipant",
        r#"{"room":"lobby","identity":"ada"}"#,
        "RoomParticipantIdentity {",
        "{}",
    ),
    (
        "RoomService/MutePublishedTrack",
        r#"{"room":"lobby","identity":"ada","trackSid":"TR_1","muted":true}"#,
        "MuteRoomTrackRequest {",
        r#""track":{"sid":"TR_1""#,
    ),
    (
        "RoomService/UpdateParticipant",
        r#"{"room":"lobby","identity":"ada","name":"Ada"}"#,
        "UpdateParticipantRequest {",
        r#""identity":"ada""#,
    ),
    (
        "RoomService/UpdateRoomMetadata",
        r#"{"room":"lobby","metadata":"m"}"#,
        "UpdateRoomMetadataRequest {",
        r#""name":"lobby""#,
    ),
    (
        "RoomService/SendData",
        r#"{"room":"lobby","data":"aGk=","kind":"LOSSY"}"#,
        "SendDataRequest { room: \"lobby\", data: b\"hi\", kind: Lossy",
        "{}",
    ),
    (
        "SIP/TransferSIPParticipant",
        r#"{"room_name":"lobby","participantIdentity":"ada","transferTo":"tel:+1","ringing_timeout":"5s"}"#,
        "TransferSipParticipantRequest { participant_identity: \"ada\"",
        "{}",
    ),
];

async fn call(fake: &Arc<Fake>, method: &str, form: &str, token: Option<AccessToken>, body: &[u8]) -> Reply {
    let authorization = token.map(|token| format!("Bearer {}", token.sign().unwrap().expose()));
    let mut headers = vec![("content-type", form)];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    request(in_memory(fake), &format!("POST /twirp/livekit.{method}"), &headers, body).await
}

/// The token with the grant that a call needs, and one with all other grants.
fn tokens(method: &str) -> (AccessToken, AccessToken) {
    let elsewhere = token().agent().administer_room("elsewhere");
    match method {
        "RoomService/CreateRoom" | "RoomService/DeleteRoom" => {
            (token().create_rooms(), token().administer_room("lobby").list_rooms())
        }
        "RoomService/ListRooms" => (token().list_rooms(), token().administer_room("lobby").create_rooms()),
        "SIP/TransferSIPParticipant" => {
            (token().administer_room("lobby").sip_calls(), elsewhere.sip_calls().create_rooms())
        }
        _ => (token().administer_room("lobby"), elsewhere.create_rooms().list_rooms()),
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_in_json() {
    let (fake, _events) = Fake::new();
    for (method, body, heard, answered) in CALLS {
        let (right, wrong) = tokens(method);
        for token in [None, Some(wrong)] {
            let reply = call(&fake, method, JSON, token, body.as_bytes()).await;
            let denied = json!({"code": "unauthenticated", "msg": "permissions denied"});
            assert_eq!((reply.status, reply.json()), (401, denied), "{method}");
        }
        assert_eq!(fake.calls(), [""; 0], "{method}");
        assert!(fake.seen.lock().unwrap().is_empty());
        let refused = std::mem::take(&mut *fake.refused.lock().unwrap());
        assert_eq!(refused, [format!("{method} unauthenticated"), format!("{method} unauthenticated")]);

        let reply = call(&fake, method, JSON, Some(right), body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{method} {}", reply.text());
        assert!(reply.head.contains("content-type: application/json"), "{}", reply.head);
        assert!(reply.text().contains(answered), "{method} {}", reply.text());
        let calls = fake.calls();
        assert!(matches!(&calls[..], [call] if call.contains(heard)), "{method} {calls:?}");
        assert_eq!(std::mem::take(&mut *fake.seen.lock().unwrap()).len(), 1, "{method}");
    }
}

#[tokio::test]
async fn every_call_in_protobuf() {
    let (fake, _events) = Fake::new();
    let url: ServerUrl = format!("ws://{}", on_loopback(&fake).await).parse().unwrap();
    let api = ServerApi::new(&url, KEY, SECRET).unwrap();
    assert!(api.answers().await);

    assert_eq!(api.create_dispatch(DispatchRequest::new("greeter", "lobby")).await.unwrap().id, "AD_1");
    assert_eq!(api.delete_dispatch("lobby", "AD_1").await.unwrap().id, "AD_1");
    assert_eq!(api.list_dispatches("lobby").await.unwrap().len(), 1);
    assert_eq!(api.create_room(RoomRequest::new("lobby")).await.unwrap().sid, "RM_1");
    assert_eq!(api.list_rooms(&["a", "b"]).await.unwrap().len(), 2);
    api.delete_room("lobby").await.unwrap();
    assert_eq!(api.list_participants("lobby").await.unwrap()[0].identity, "ada");
    let identity = wire::RoomParticipantIdentity { room: "lobby".into(), identity: "ada".into() };
    let admin = Some(token().administer_room("lobby"));
    let reply = call(&fake, "RoomService/GetParticipant", PROTOBUF, admin, &encode(&identity)).await;
    assert!(reply.head.contains("content-type: application/protobuf"), "{}", reply.head);
    let participant: wire::ParticipantInfo = decode(&reply.body.into(), MAX_FRAME_LEN).unwrap();
    assert_eq!(participant.identity, "ada");
    api.remove_participant("lobby", "ada").await.unwrap();
    api.mute_track("lobby", "ada", "TR_1", true).await.unwrap();
    let change = ParticipantChange::new().name("Ada");
    assert_eq!(api.update_participant("lobby", "ada", change).await.unwrap().identity, "ada");
    assert_eq!(api.update_room_metadata("lobby", "m").await.unwrap().name, "lobby");
    api.send_data("lobby", DataMessage::new("hi").lossy()).await.unwrap();
    let transfer = || SipTransfer::new("tel:+1").play_dialtone().header("X-Desk", "7");
    let transfer = move || transfer().ringing_timeout(Duration::from_millis(5500));
    api.transfer_sip_participant("lobby", "ada", transfer()).await.unwrap();
    let transferred = ApiCall::TransferSipParticipant {
        room: "lobby".into(),
        identity: "ada".into(),
        transfer: transfer(),
    };
    assert_eq!(fake.seen.lock().unwrap().last(), Some(&transferred));

    let calls = fake.calls();
    assert_eq!(calls.len(), CALLS.len());
    for (call, (method, _, heard, _)) in calls.iter().zip(CALLS) {
        let name = heard.split(' ').next().unwrap();
        assert!(call.starts_with(name), "{method} {call}");
    }

    assert!(api.delete_room("none").await.unwrap_err().is_not_found());
    let stranger = ServerApi::new(&url, KEY, "wrong").unwrap();
    let error = stranger.list_rooms(&[]).await.unwrap_err();
    assert!(matches!(error, ApiError::InvalidToken { .. }), "{error}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_not_kept() {
    let (fake, _events) = Fake::new();
    let body = |len| {
        let metadata = "m".repeat(len);
        encode(&wire::UpdateRoomMetadataRequest { room: "lobby".into(), metadata })
    };
    let admin = || Some(token().administer_room("lobby"));
    for len in [10 << 20, 15 << 20] {
        let reply = call(&fake, "RoomService/UpdateRoomMetadata", PROTOBUF, admin(), &body(len)).await;
        let message = "the request is over the limit of 10485760 bytes";
        assert_eq!((reply.status, reply.json()), (400, json!({"code": "malformed", "msg": message})));
    }
    assert!(fake.calls().is_empty());
    let largest = body((10 << 20) - 100);
    let reply = call(&fake, "RoomService/UpdateRoomMetadata", PROTOBUF, admin(), &largest).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test(start_paused = true)]
async fn invalid_calls() {
    let (fake, _events) = Fake::new();
    let all = || Some(token().list_rooms());
    for body in [&b""[..], b"{", b"\xff", b"[]"] {
        let reply = call(&fake, "RoomService/ListRooms", JSON, all(), body).await;
        assert_eq!((reply.status, reply.json()["code"].clone()), (400, json!("malformed")), "{body:?}");
    }
    let reply = call(&fake, "RoomService/ListRooms", PROTOBUF, all(), b"\xff\xff").await;
    assert_eq!((reply.status, reply.json()["code"].clone()), (400, json!("malformed")));

    let no_route = |reply: Reply, message: &str, route: &str| {
        let expected = json!({"code": "bad_route", "msg": message, "meta": {"twirp_invalid_route": route}});
        assert_eq!((reply.status, reply.json()), (404, expected));
    };
    let path = "/twirp/livekit.RoomService/ListRooms";
    let reply = call(&fake, "RoomService/ListRooms", "text/plain", all(), b"{}").await;
    no_route(reply, "unexpected Content-Type: \"text/plain\"", &format!("POST {path}"));
    let reply = request(in_memory(&fake), &format!("GET {path}"), &[], b"").await;
    no_route(reply, "unsupported method \"GET\" (only POST is allowed)", &format!("GET {path}"));
    for name in ["RoomService/MoveParticipant", "Egress/ListEgress", "SIP/CreateSIPParticipant"] {
        let reply = call(&fake, name, JSON, all(), b"{}").await;
        let message = format!("the mock server does not implement {name}: use a real one");
        assert_eq!((reply.status, reply.json()), (501, json!({"code": "unimplemented", "msg": message})));
    }
    for name in ["livekit.RoomService/Nope", "other.RoomService/ListRooms", ""] {
        let headers = [("content-type", "application/json")];
        let reply = request(in_memory(&fake), &format!("POST /twirp/{name}"), &headers, b"{}").await;
        let message = format!("no handler for path \"/twirp/{name}\"");
        no_route(reply, &message, &format!("POST /twirp/{name}"));
    }
    assert!(fake.calls().is_empty());
}
