//! Reports the facts about the room of a job to the machine: which room it is, who is in it, and how it
//! ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use agent_core::{Input, Job, JoinedRoom, Presence, RoomEnd};
use agent_rtc::{DisconnectReason, ParticipantKind, RoomConnection, RoomInfo, View, Wanted};

/// Ends when the room has ended. It goes on through all attempts of the job: there is no other one without
/// the room.
pub(super) async fn watch_room(
    job: Arc<Job>,
    room: Arc<SetOnce<RoomConnection>>,
    tell: UnboundedSender<Input>,
) {
    let room = room.wait().await;
    let replaced = async {
        room.replaced().await;
        let _ = tell.send(Input::RoomReplaced { job: job.id.clone() });
        std::future::pending().await
    };
    let closed = tokio::select! {
        closed = room.closed() => closed,
        never = replaced => match never {},
        never = report_changes(&job, room, &tell) => match never {},
    };
    let end = match closed {
        DisconnectReason::ClientInitiated => RoomEnd::Left,
        DisconnectReason::DuplicateIdentity => RoomEnd::DuplicateIdentity,
        DisconnectReason::Removed => RoomEnd::Removed,
        DisconnectReason::RoomDeleted => RoomEnd::Deleted,
        DisconnectReason::RoomClosed => RoomEnd::Closed,
        _ => RoomEnd::Lost,
    };
    let _ = tell.send(Input::RoomEnded { job: job.id.clone(), end });
}

async fn report_changes(
    job: &Job,
    room: &RoomConnection,
    tell: &UnboundedSender<Input>,
) -> std::convert::Infallible {
    let mut changes = room.changes();
    let mut described = Described::default();
    let mut reported = None;
    loop {
        changes.mark_unchanged();
        let (joined, presence) = room.view(|view| (described.change(view), presence(job, view)));
        // The room first: who is there means something else in another one.
        if let Some(joined) = joined {
            let _ = tell.send(Input::RoomJoined { job: job.id.clone(), room: joined });
        }
        if reported.as_ref() != Some(&presence) {
            reported = Some(presence.clone());
            let _ = tell.send(Input::PresenceChanged { job: job.id.clone(), presence });
        }
        // Its sender lives in the room that the caller holds.
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn presence(job: &Job, view: &View) -> Presence {
    let human = Wanted::human();
    let target = job.target.as_ref().map(|target| target.identity.as_str());
    let there = view.participants();
    Presence {
        people: there.values().filter(|participant| human.fits(participant)).count(),
        keepers: there
            .values()
            .filter(|participant| {
                !matches!(participant.kind, ParticipantKind::Agent | ParticipantKind::Egress)
            })
            .count(),
        target: there
            .values()
            .find(|participant| Some(participant.identity.as_str()) == target)
            .map(|participant| participant.sid.clone()),
    }
}

/// The description of the room that was last reported.
#[derive(Default)]
struct Described {
    last: Option<RoomInfo>,
    /// How old the room was when it was joined, and when that was.
    joined: Option<(Duration, Instant)>,
}

impl Described {
    /// What the machine is to know, if it changed.
    fn change(&mut self, view: &View) -> Option<JoinedRoom> {
        let (info, joined_at_ms) = (view.room().clone(), view.local().joined_at_ms);
        let last = self.last.as_ref();
        if last.is_some_and(|last| {
            (&last.sid, last.empty_timeout, last.departure_timeout)
                == (&info.sid, info.empty_timeout, info.departure_timeout)
        }) {
            return None;
        }
        if last.is_none_or(|last| last.sid != info.sid) {
            // Both are times of the server's clock.
            let age = u64::try_from(joined_at_ms.saturating_sub(info.created_at_ms)).unwrap_or_default();
            let known = joined_at_ms != 0 && info.created_at_ms != 0;
            self.joined = Some((Duration::from_millis(if known { age } else { 0 }), Instant::now()));
        }
        let age = self.joined.map(|(age, since)| age + since.elapsed()).unwrap_or_default();
        let described = JoinedRoom {
            sid: info.sid.clone(),
            age,
            empty_timeout: info.empty_timeout,
            departure_timeout: info.departure_timeout,
        };
        self.last = Some(info);
        Some(described)
    }
}
