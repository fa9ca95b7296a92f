//! The backend that records its calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use agent_net::Secret;
use agent_proto::livekit as wire;
use agent_proto::watch;

use super::super::{ApiFault, Backend, JoinRefusal, ToWorker, WorkerLink};
use crate::api_call::ApiCall;

#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a test compares a few of them")]
pub(super) enum Event {
    Connected(u64),
    Message(u64, wire::WorkerMessage),
    Garbage(u64, String),
    Gone(u64),
}

pub(super) struct Fake {
    secret: Secret,
    events: mpsc::UnboundedSender<Event>,
    workers: Mutex<BTreeMap<u64, Ends>>,
    /// The requests of the API in their `Debug` form.
    calls: Mutex<Vec<String>>,
    /// What the front reported of them.
    pub(super) seen: Mutex<Vec<ApiCall>>,
    pub(super) refused: Mutex<Vec<String>>,
    pub(super) join_refusal: Mutex<Option<JoinRefusal>>,
}

/// The backend's ends of a [`WorkerLink`].
type Ends = (mpsc::UnboundedSender<ToWorker>, watch::Sender<bool>);

pub(super) struct Events(mpsc::UnboundedReceiver<Event>);

impl Fake {
    pub(super) fn new() -> (Arc<Self>, Events) {
        let (events, receiver) = mpsc::unbounded_channel();
        let fake = Self {
            secret: super::SECRET.into(),
            events,
            workers: Mutex::default(),
            calls: Mutex::default(),
            seen: Mutex::default(),
            refused: Mutex::default(),
            join_refusal: Mutex::default(),
        };
        (Arc::new(fake), Events(receiver))
    }

    pub(super) fn send(&self, worker: u64, order: ToWorker) {
        assert!(self.workers.lock().unwrap()[&worker].0.send(order).is_ok(), "worker {worker} is gone");
    }

    pub(super) fn freeze(&self, worker: u64, frozen: bool) {
        self.workers.lock().unwrap()[&worker].1.send_replace(frozen);
    }

    pub(super) fn forget(&self, worker: u64) {
        self.workers.lock().unwrap().remove(&worker);
    }

    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn note(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Rooms named `none` do not exist.
    fn call<R>(&self, request: &impl std::fmt::Debug, response: R) -> Result<R, ApiFault> {
        let request = format!("{request:?}");
        let none = request.contains("room: \"none\"");
        self.calls.lock().unwrap().push(request);
        if none { Err(ApiFault { code: "not_found", message: "no such room".into() }) } else { Ok(response) }
    }
}

impl Events {
    pub(super) async fn next(&mut self) -> Event {
        timeout(Duration::from_secs(60), self.0.recv()).await.expect("an event").expect("a backend")
    }

    pub(super) async fn quiet(&mut self) {
        let event = timeout(Duration::from_millis(100), self.0.recv()).await;
        assert!(event.is_err(), "{event:?}");
    }
}

pub(super) fn ping(timestamp: i64) -> wire::WorkerMessage {
    wire::WorkerMessage { message: Some(wire::worker_message::Message::Ping(wire::WorkerPing { timestamp })) }
}

pub(super) fn pong(timestamp: i64) -> ToWorker {
    let pong = wire::WorkerPong { last_timestamp: timestamp, timestamp };
    let message = wire::ServerMessage { message: Some(wire::server_message::Message::Pong(pong)) };
    ToWorker::Message { message: Box::new(message), due: Instant::now() }
}

fn room(name: String) -> wire::Room {
    wire::Room { name, sid: "RM_1".into(), creation_time_ms: 7, ..Default::default() }
}

fn participant(identity: String) -> wire::ParticipantInfo {
    wire::ParticipantInfo { identity, sid: "PA_1".into(), ..Default::default() }
}

fn dispatch(room: String) -> wire::AgentDispatch {
    wire::AgentDispatch { room, id: "AD_1".into(), ..Default::default() }
}

impl Backend for Fake {
    fn api_key(&self) -> &str {
        super::KEY
    }
    fn api_secret(&self) -> &Secret {
        &self.secret
    }
    fn worker_connected(&self) -> WorkerLink {
        let (sender, outbox) = mpsc::unbounded_channel();
        let (freezer, frozen) = watch::channel(false);
        let mut workers = self.workers.lock().unwrap();
        let id = workers.last_key_value().map_or(1, |(id, _)| id + 1);
        workers.insert(id, (sender, freezer));
        self.note(Event::Connected(id));
        WorkerLink { id, outbox, frozen }
    }
    fn worker_message(&self, worker: u64, message: wire::WorkerMessage) {
        assert_ne!(message, ping(13), "this message makes the fake panic");
        self.note(Event::Message(worker, message));
    }
    fn worker_garbage(&self, worker: u64, what: String) {
        self.note(Event::Garbage(worker, what));
    }
    fn worker_gone(&self, worker: u64) {
        self.note(Event::Gone(worker));
    }
    fn refuse_join(&self) -> Option<JoinRefusal> {
        *self.join_refusal.lock().unwrap()
    }
    fn called(&self, call: ApiCall) {
        self.seen.lock().unwrap().push(call);
    }
    fn refused(&self, method: &str, fault: &ApiFault) {
        self.refused.lock().unwrap().push(format!("{method} {}", fault.code));
    }
    fn create_dispatch(&self, r: wire::CreateAgentDispatchRequest) -> Result<wire::AgentDispatch, ApiFault> {
        self.call(&r, dispatch(r.room.clone()))
    }
    fn delete_dispatch(&self, r: wire::DeleteAgentDispatchRequest) -> Result<wire::AgentDispatch, ApiFault> {
        self.call(&r, dispatch(r.room.clone()))
    }
    fn list_dispatch(
        &self,
        r: wire::ListAgentDispatchRequest,
    ) -> Result<wire::ListAgentDispatchResponse, ApiFault> {
        let agent_dispatches = vec![dispatch(r.room.clone())];
        self.call(&r, wire::ListAgentDispatchResponse { agent_dispatches })
    }
    fn create_room(&self, r: wire::CreateRoomRequest) -> Result<wire::Room, ApiFault> {
        self.call(&r, room(r.name.clone()))
    }
    fn list_rooms(&self, r: wire::ListRoomsRequest) -> Result<wire::ListRoomsResponse, ApiFault> {
        let rooms = r.names.iter().cloned().map(room).collect();
        self.call(&r, wire::ListRoomsResponse { rooms })
    }
    fn delete_room(&self, r: wire::DeleteRoomRequest) -> Result<wire::DeleteRoomResponse, ApiFault> {
        self.call(&r, wire::DeleteRoomResponse::default())
    }
    fn list_participants(
        &self,
        r: wire::ListParticipantsRequest,
    ) -> Result<wire::ListParticipantsResponse, ApiFault> {
        let participants = vec![participant("ada".into())];
        self.call(&r, wire::ListParticipantsResponse { participants })
    }
    fn get_participant(&self, r: wire::RoomParticipantIdentity) -> Result<wire::ParticipantInfo, ApiFault> {
        self.call(&r, participant(r.identity.clone()))
    }
    fn remove_participant(
        &self,
        r: wire::RoomParticipantIdentity,
    ) -> Result<wire::RemoveParticipantResponse, ApiFault> {
        self.call(&r, wire::RemoveParticipantResponse::default())
    }
    fn mute_published_track(
        &self,
        r: wire::MuteRoomTrackRequest,
    ) -> Result<wire::MuteRoomTrackResponse, ApiFault> {
        let track = wire::TrackInfo { sid: r.track_sid.clone(), muted: r.muted, ..Default::default() };
        self.call(&r, wire::MuteRoomTrackResponse { track: Some(track) })
    }
    fn update_participant(
        &self,
        r: wire::UpdateParticipantRequest,
    ) -> Result<wire::ParticipantInfo, ApiFault> {
        self.call(&r, participant(r.identity.clone()))
    }
    fn update_room_metadata(&self, r: wire::UpdateRoomMetadataRequest) -> Result<wire::Room, ApiFault> {
        self.call(&r, room(r.room.clone()))
    }
    fn send_data(&self, r: wire::SendDataRequest) -> Result<wire::SendDataResponse, ApiFault> {
        self.call(&r, wire::SendDataResponse::default())
    }
    fn transfer_sip_participant(
        &self,
        r: wire::TransferSipParticipantRequest,
    ) -> Result<wire::TransferSipParticipantResponse, ApiFault> {
        self.call(&r, wire::TransferSipParticipantResponse::default())
    }
}
