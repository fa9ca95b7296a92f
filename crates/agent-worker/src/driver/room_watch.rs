//! Turns the end of a job's room into a cancellation: the room's own events decide that a room is over.

use crate::room::{DisconnectReason, Room};
use agent_core::{CancelReason, Input, JobId};
use std::sync::Arc;
use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;

/// Ends when the room has ended. It goes on through all attempts of the job: there is no other one without the room.
pub(super) async fn watch_room(
    job: JobId,
    room: Arc<SetOnce<Room>>,
    stay: bool,
    tell: UnboundedSender<Input>,
) {
    let room = room.wait().await;
    let closed = tokio::select! {
        closed = room.closed() => closed,
        // A job belongs to its room: for another one of the same name the server makes another job.
        () = room.replaced(), if !stay => DisconnectReason::StateMismatch,
    };
    let reason = match closed {
        // The handler left by itself; it knows.
        DisconnectReason::ClientInitiated => return,
        DisconnectReason::DuplicateIdentity => CancelReason::DuplicateIdentity,
        DisconnectReason::Removed => CancelReason::Kicked,
        DisconnectReason::RoomDeleted | DisconnectReason::RoomClosed => CancelReason::RoomClosed,
        _ => CancelReason::RoomGone,
    };
    let _ = tell.send(Input::CancelRequested { job, reason });
}
