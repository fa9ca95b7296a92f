//! What the room of a job means for the job: its end is a cancellation, and who is in it is told to the machine. The room's own events
//! decide that a room is over.

use crate::room::{DisconnectReason, Room, Wanted};
use agent_core::{CancelReason, Input, Job, Presence};
use std::sync::Arc;
use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;

/// Ends when the room has ended. It goes on through all attempts of the job: there is no other one without the room.
pub(super) async fn watch_room(
    job: Arc<Job>,
    room: Arc<SetOnce<Room>>,
    stay: bool,
    tell: UnboundedSender<Input>,
) {
    let room = room.wait().await;
    let closed = tokio::select! {
        closed = room.closed() => closed,
        // A job belongs to its room: for another one of the same name the server makes another job.
        () = room.replaced(), if !stay => DisconnectReason::StateMismatch,
        never = tell_presence(&job, room, &tell) => match never {},
    };
    let reason = match closed {
        // The handler left by itself; it knows.
        DisconnectReason::ClientInitiated => return,
        DisconnectReason::DuplicateIdentity => CancelReason::DuplicateIdentity,
        DisconnectReason::Removed => CancelReason::Kicked,
        DisconnectReason::RoomDeleted | DisconnectReason::RoomClosed => CancelReason::RoomClosed,
        _ => CancelReason::RoomGone,
    };
    let _ = tell.send(Input::CancelRequested { job: job.id.clone(), reason });
}

async fn tell_presence(job: &Job, room: &Room, tell: &UnboundedSender<Input>) -> std::convert::Infallible {
    let human = Wanted::human();
    let target = job.target.as_ref().map(|target| target.identity.as_str());
    let mut changes = room.presence();
    let mut told = None;
    loop {
        changes.mark_unchanged();
        let there = room.participants();
        let presence = Presence {
            people: there.iter().filter(|participant| human.fits(participant)).count(),
            target: there.iter().any(|participant| Some(participant.identity.as_str()) == target),
        };
        if told != Some(presence) {
            told = Some(presence);
            let _ = tell.send(Input::PresenceChanged { job: job.id.clone(), presence });
        }
        // Its sender lives in the room that the caller holds.
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
