//! The Twirp services: a call is a `POST` of one message, protobuf or JSON, answered in the same form.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use prost::Message;
use serde::Serialize;

use agent_proto::{decode, encode};

use super::auth::{Grants, Need};
use super::limits::BODY_TIMEOUT;
use super::response::{Answer, with_header};
use super::{ApiFault, Backend, json};
use crate::api_call::ApiCall;

/// Maximum size of a request, in bytes.
pub(super) const MAX_BODY_LEN: usize = 10 * 1024 * 1024;

/// How much of an oversized request is read, so that its sender gets to read the response.
const MAX_DRAINED_LEN: usize = 2 * MAX_BODY_LEN;

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json";

/// Answers a call of `method`, such as `livekit.RoomService/CreateRoom`.
pub(super) async fn answer(
    method: &str,
    path: &str,
    request: &Parts,
    body: Incoming,
    grants: &Grants,
    backend: &dyn Backend,
) -> Answer {
    let verb = &request.method;
    let no_route = |message: String| {
        let route = BTreeMap::from([("twirp_invalid_route", format!("{verb} {path}"))]);
        refuse(&ErrorBody { code: "bad_route", msg: &message, meta: Some(route) })
    };
    if verb != Method::POST {
        return no_route(format!("unsupported method {:?} (only POST is allowed)", verb.as_str()));
    }
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default();
    let json = match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        PROTOBUF => false,
        JSON => true,
        _ => return no_route(format!("unexpected Content-Type: {content_type:?}")),
    };
    let late =
        |_| fault("deadline_exceeded", format!("the request's body did not end within {BODY_TIMEOUT:?}"));
    let result = match tokio::time::timeout(BODY_TIMEOUT, whole(body)).await.map_err(late).flatten() {
        Ok(body) => dispatch(method, &Call { json, body, grants, backend }),
        Err(fault) => Err(fault),
    };
    match result {
        Ok(Some(body)) => {
            let form = HeaderValue::from_static(if json { JSON } else { PROTOBUF });
            with_header(StatusCode::OK, CONTENT_TYPE, form, body)
        }
        Ok(None) => no_route(format!("no handler for path {path:?}")),
        Err(fault) => {
            backend.refused(method.strip_prefix("livekit.").unwrap_or(method), &fault);
            refuse(&ErrorBody { code: fault.code, msg: &fault.message, meta: None })
        }
    }
}

/// The encoded response; `None` if there is no such method.
fn dispatch(method: &str, call: &Call<'_>) -> Result<Option<Bytes>, ApiFault> {
    let Some(method) = method.strip_prefix("livekit.") else { return Ok(None) };
    match method {
        "AgentDispatchService/CreateDispatch" => call.run(
            ("CreateAgentDispatchRequest", "AgentDispatch"),
            |r| Need::Admin(&r.room),
            |r| ApiCall::CreateDispatch(r.clone().into()),
            Backend::create_dispatch,
        ),
        "AgentDispatchService/DeleteDispatch" => call.run(
            ("DeleteAgentDispatchRequest", "AgentDispatch"),
            |r| Need::Admin(&r.room),
            |r| ApiCall::DeleteDispatch { room: r.room.clone(), dispatch_id: r.dispatch_id.clone() },
            Backend::delete_dispatch,
        ),
        "AgentDispatchService/ListDispatch" => call.run(
            ("ListAgentDispatchRequest", "ListAgentDispatchResponse"),
            |r| Need::Admin(&r.room),
            |r| ApiCall::ListDispatches { room: r.room.clone() },
            Backend::list_dispatch,
        ),
        "RoomService/CreateRoom" => call.run(
            ("CreateRoomRequest", "Room"),
            |_| Need::Create,
            |r| ApiCall::CreateRoom { room: r.name.clone() },
            Backend::create_room,
        ),
        "RoomService/ListRooms" => call.run(
            ("ListRoomsRequest", "ListRoomsResponse"),
            |_| Need::List,
            |r| ApiCall::ListRooms { names: r.names.clone() },
            Backend::list_rooms,
        ),
        "RoomService/DeleteRoom" => call.run(
            ("DeleteRoomRequest", "DeleteRoomResponse"),
            |_| Need::Create,
            |r| ApiCall::DeleteRoom { room: r.room.clone() },
            Backend::delete_room,
        ),
        "RoomService/ListParticipants" => call.run(
            ("ListParticipantsRequest", "ListParticipantsResponse"),
            |r| Need::Admin(&r.room),
            |r| ApiCall::ListParticipants { room: r.room.clone() },
            Backend::list_participants,
        ),
        "RoomService/GetParticipant" => call.run(
            ("RoomParticipantIdentity", "ParticipantInfo"),
            |r| Need::Admin(&r.room),
            ApiCall::get_participant,
            Backend::get_participant,
        ),
        "RoomService/RemoveParticipant" => call.run(
            ("RoomParticipantIdentity", "RemoveParticipantResponse"),
            |r| Need::Admin(&r.room),
            ApiCall::remove_participant,
            Backend::remove_participant,
        ),
        "RoomService/MutePublishedTrack" => call.run(
            ("MuteRoomTrackRequest", "MuteRoomTrackResponse"),
            |r| Need::Admin(&r.room),
            ApiCall::mute_track,
            Backend::mute_published_track,
        ),
        "RoomService/UpdateParticipant" => call.run(
            ("UpdateParticipantRequest", "ParticipantInfo"),
            |r| Need::Admin(&r.room),
            ApiCall::update_participant,
            Backend::update_participant,
        ),
        "RoomService/UpdateRoomMetadata" => call.run(
            ("UpdateRoomMetadataRequest", "Room"),
            |r| Need::Admin(&r.room),
            |r| ApiCall::UpdateRoomMetadata { room: r.room.clone(), metadata: r.metadata.clone() },
            Backend::update_room_metadata,
        ),
        "RoomService/SendData" => call.run(
            ("SendDataRequest", "SendDataResponse"),
            |r| Need::Admin(&r.room),
            ApiCall::send_data,
            Backend::send_data,
        ),
        "SIP/TransferSIPParticipant" => call.run(
            ("TransferSIPParticipantRequest", "TransferSIPParticipantResponse"),
            |r| Need::SipCall(&r.room_name),
            ApiCall::transfer_sip_participant,
            Backend::transfer_sip_participant,
        ),
        _ if is_real(method) => Err(fault(
            "unimplemented",
            format!("the mock server does not implement {method}: use a real one"),
        )),
        _ => Ok(None),
    }
}

/// Whether a livekit-server has this method. Of the services for media nothing is implemented here, so that
/// their methods are not listed.
fn is_real(method: &str) -> bool {
    const OF_ROOMS: [&str; 4] =
        ["UpdateSubscriptions", "ForwardParticipant", "MoveParticipant", "PerformRpc"];
    match method.split_once('/') {
        Some(("RoomService", method)) => OF_ROOMS.contains(&method),
        Some(("Egress" | "Ingress" | "SIP", _)) => true,
        _ => false,
    }
}

struct Call<'a> {
    json: bool,
    body: Bytes,
    grants: &'a Grants,
    backend: &'a dyn Backend,
}

impl Call<'_> {
    /// Decodes the request before the grant is checked, as the grant may be for the room that the request
    /// names.
    fn run<Request, Response>(
        &self,
        (request_name, response_name): (&'static str, &'static str),
        need: impl FnOnce(&Request) -> Need<'_>,
        seen: impl FnOnce(&Request) -> ApiCall,
        act: impl FnOnce(&dyn Backend, Request) -> Result<Response, ApiFault>,
    ) -> Result<Option<Bytes>, ApiFault>
    where
        Request: Message + Default,
        Response: Message,
    {
        let request: Request = self.read(request_name)?;
        if !self.grants.allow(&need(&request)) {
            // The real server sends this both without a token and without the grant.
            return Err(fault("unauthenticated", "permissions denied"));
        }
        self.backend.called(seen(&request));
        let response = act(self.backend, request)?;
        if !self.json {
            return Ok(Some(encode(&response)));
        }
        let text = json::to_api_json(response_name, &response);
        text.map(|text| Some(text.into())).map_err(|error| fault("internal", error.to_string()))
    }

    fn read<Request: Message + Default>(&self, name: &'static str) -> Result<Request, ApiFault> {
        if self.json {
            let text = std::str::from_utf8(&self.body).map_err(|error| {
                fault("malformed", format!("the json request could not be decoded: {error}"))
            })?;
            json::from_json(name, text).map_err(|error| {
                fault("malformed", format!("the json request could not be decoded: {error}"))
            })
        } else {
            decode(&self.body, MAX_BODY_LEN).map_err(|error| {
                fault("malformed", format!("the protobuf request could not be decoded: {error}"))
            })
        }
    }
}

/// Reads the whole body, unless it exceeds the limit.
async fn whole(mut body: Incoming) -> Result<Bytes, ApiFault> {
    let (mut kept, mut seen) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| fault("malformed", format!("failed to read request body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= MAX_BODY_LEN {
            kept.extend_from_slice(&data);
        } else if seen > MAX_DRAINED_LEN {
            break;
        }
    }
    if seen <= MAX_BODY_LEN {
        Ok(kept.freeze())
    } else {
        Err(fault("malformed", format!("the request is over the limit of {MAX_BODY_LEN} bytes")))
    }
}

fn fault(code: &'static str, message: impl Into<String>) -> ApiFault {
    ApiFault { code, message: message.into() }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    msg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<BTreeMap<&'a str, String>>,
}

fn refuse(error: &ErrorBody<'_>) -> Answer {
    let body = serde_json::to_vec(error).unwrap_or_default();
    with_header(status(error.code), CONTENT_TYPE, HeaderValue::from_static(JSON), body)
}

/// The mapping of the Twirp specification.
fn status(code: &str) -> StatusCode {
    match code {
        "invalid_argument" | "malformed" | "out_of_range" => StatusCode::BAD_REQUEST,
        "unauthenticated" => StatusCode::UNAUTHORIZED,
        "permission_denied" => StatusCode::FORBIDDEN,
        "not_found" | "bad_route" => StatusCode::NOT_FOUND,
        "canceled" | "deadline_exceeded" => StatusCode::REQUEST_TIMEOUT,
        "already_exists" | "aborted" => StatusCode::CONFLICT,
        "failed_precondition" => StatusCode::PRECONDITION_FAILED,
        "resource_exhausted" => StatusCode::TOO_MANY_REQUESTS,
        "unimplemented" => StatusCode::NOT_IMPLEMENTED,
        "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        // Also `unknown`, `internal` and `dataloss`.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
