//! The room handle of a participant: between it and the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::mpsc;

use agent_server::{FrameReceiver, Hub, Input, MemberCommand, MemberEvent, MemberId, Stay};
use agent_worker::room::{
    Connected, DataFrameSender, DisconnectReason, FrameSender, MediaFrame, NetworkPath, OutgoingFrames,
    Participant, RoomBackend, RoomError, RoomInfo, RoomRequest,
};
use agent_worker::{BoxFuture, Room, RoomEvent};

use super::order::Order;

/// The handle of a participant that has joined. When the last clone is dropped, the participant leaves.
pub(super) fn enter(hub: &Arc<Hub>, order: &Order, stay: Stay) -> Room {
    let (room, member) = Member::new(hub, stay);
    let order = order.clone();
    tokio::spawn(async move { order.run(member.play()).await });
    room
}

/// As [`enter`], but the participant stays when the handle is dropped, and its methods still answer.
pub(super) fn enter_to_stay(hub: &Arc<Hub>, order: &Order, stay: Stay) -> Room {
    let (room, member) = Member::new(hub, stay);
    let (kept, order) = (room.clone(), order.clone());
    tokio::spawn(async move {
        order.run(member.play()).await;
        drop(kept);
    });
    room
}

/// The handle of a participant that was not admitted.
pub(super) fn outside(room: &str, identity: &str) -> Room {
    let me = Participant::new("", identity);
    // Without its backend the room is over.
    RoomBackend::new(Connected::new(RoomInfo::new("", room), me)).0
}

/// Between which addresses the media of a mock room would go.
const AGENT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
const SERVER_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7882);

/// The other end of a handle.
struct Member {
    /// The hub has the sender of the events, so that its end is theirs.
    hub: Weak<Hub>,
    id: MemberId,
    backend: RoomBackend,
    data_frames: DataFrameSender,
    outgoing: OutgoingFrames,
    events: mpsc::UnboundedReceiver<MemberEvent>,
}

impl Member {
    fn new(hub: &Arc<Hub>, stay: Stay) -> (Room, Self) {
        let Stay { member: id, mut connected, events } = stay;
        connected.network_path = Some(NetworkPath::udp(AGENT_ADDRESS, SERVER_ADDRESS));
        let (room, backend) = RoomBackend::new(connected);
        hub.receive_frames(id, Frames(Mutex::new(backend.frames())));
        let (data_frames, outgoing) = (backend.data_frames(), backend.outgoing_frames());
        (room, Self { hub: Arc::downgrade(hub), id, backend, data_frames, outgoing, events })
    }

    /// Forwards events and requests until the member has left its room.
    async fn play(mut self) {
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => {
                        if self.notified(event) {
                            return;
                        }
                    }
                    None => return,
                },
                (track, frame) = self.outgoing.next() => {
                    let Some(hub) = self.hub.upgrade() else { return };
                    hub.send_own_frame(self.id, track, frame);
                }
                request = self.backend.next_request() => {
                    let Some(hub) = self.hub.upgrade() else { return };
                    if self.handle(&hub, request) {
                        return;
                    }
                }
            }
        }
    }

    /// Forwards what the member is notified of. `true`: it has left its room.
    fn notified(&mut self, event: MemberEvent) -> bool {
        match event {
            MemberEvent::Room(event) => {
                let is_last = matches!(event, RoomEvent::Disconnected { .. });
                self.backend.emit(event);
                return is_last;
            }
            MemberEvent::Stream(event) => self.backend.stream(event),
            MemberEvent::DataFrame { sid, frame } => self.data_frames.send(&sid, frame),
            MemberEvent::LocalTrack(id, track) => self.backend.local_track(id, track),
            MemberEvent::Requested(request) => self.backend.request(request),
        }
        false
    }

    /// Forwards a request. `true`: the member has left its room.
    fn handle(&mut self, hub: &Hub, request: Option<RoomRequest>) -> bool {
        let member = self.id;
        match request {
            Some(RoomRequest::Command { id, command, reply }) => {
                let result = hub.call(MemberCommand { member, id, command }).map_err(RoomError::from);
                // What the command causes comes before its result, as from a connection.
                while let Ok(event) = self.events.try_recv() {
                    if self.notified(event) {
                        reply.send(result);
                        return true;
                    }
                }
                reply.send(result);
            }
            Some(RoomRequest::Call { call, reply, .. }) => {
                let result = hub.call_method(member, call);
                tokio::spawn(async move { reply.send(result.await) });
            }
            // All handles of the room were dropped.
            None => hub.input(Input::MemberLeft { member, reason: DisconnectReason::ClientInitiated }),
        }
        false
    }
}

/// The frames that a participant is sent.
struct Frames(Mutex<FrameSender>);

impl Frames {
    fn lock(&self) -> MutexGuard<'_, FrameSender> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameReceiver for Frames {
    fn receive(&self, track_sid: &str, frame: MediaFrame) {
        self.lock().send(track_sid, frame);
    }

    fn reader(&self, track_sid: &str) -> BoxFuture<'static, ()> {
        Box::pin(self.lock().reader(track_sid))
    }
}
