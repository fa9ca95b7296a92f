//! The room handle of a participant: between it and the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use agent_server::{FrameReceiver, Hub, Input, MemberCommand, MemberEvent, MemberId, Refusal, Stay};
use agent_worker::room::{DisconnectReason, EncodedFrame, FrameSender, RoomBackend, RoomError, RoomRequest};
use agent_worker::{BoxFuture, Room, RoomEvent};

/// The handle of a participant that has joined. When it is dropped, the participant leaves.
pub(super) fn enter(hub: &Arc<Hub>, stay: Stay) -> Room {
    let Stay { member, connected, events } = stay;
    let (room, backend) = RoomBackend::new(connected);
    hub.receive_frames(member, Frames(Mutex::new(backend.frames())));
    tokio::spawn(play(Arc::clone(hub), member, backend, events));
    room
}

/// The frames that a participant is sent.
struct Frames(Mutex<FrameSender>);

impl Frames {
    fn lock(&self) -> MutexGuard<'_, FrameSender> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FrameReceiver for Frames {
    fn receive(&self, track_sid: &str, frame: EncodedFrame) {
        self.lock().send(track_sid, frame);
    }

    fn reader(&self, track_sid: &str) -> BoxFuture<'static, ()> {
        Box::pin(self.lock().reader(track_sid))
    }
}

/// Forwards events and requests until the member has left its room.
async fn play(
    hub: Arc<Hub>,
    member: MemberId,
    mut backend: RoomBackend,
    mut events: mpsc::UnboundedReceiver<MemberEvent>,
) {
    loop {
        tokio::select! {
            biased;
            event = events.recv() => {
                let Some(event) = event else { return };
                // A room has no readers of streams and no methods yet.
                let MemberEvent::Room(event) = event else { continue };
                let is_last = matches!(event, RoomEvent::Disconnected { .. });
                backend.emit(event);
                if is_last {
                    return;
                }
            }
            request = backend.next_request() => match request {
                Some(RoomRequest::Command { id, command, reply }) => {
                    reply.send(hub.call(MemberCommand { member, id, command }).map_err(room_error));
                }
                Some(RoomRequest::Call { reply, .. }) => {
                    let detail = "this server carries no RPC".to_owned();
                    reply.send(Err(RoomError::Refused { detail }.into()));
                }
                // All handles of the room were dropped.
                None => hub.input(Input::MemberLeft { member, reason: DisconnectReason::ClientInitiated }),
            },
        }
    }
}

/// The reason why a command was not carried out, as the room handle's error.
fn room_error(refusal: Refusal) -> RoomError {
    match refusal {
        Refusal::Command(error) => error,
        refusal => RoomError::Refused { detail: refusal.to_string() },
    }
}
