//! Reports the facts about the room of a job to the machine: which room it is, who is in it, and how it
//! ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use agent_core::{Input, Job, JoinedRoom, Presence, RoomEnd};
use agent_rtc::{DisconnectReason, RoomConnection, RoomInfo, View};

/// Watches the room of a job through all its attempts.
pub(super) struct RoomWatch {
    job: Arc<Job>,
    room: Arc<SetOnce<RoomConnection>>,
    inputs: UnboundedSender<Input>,
    described: Described,
    reported: Option<Presence>,
}

impl RoomWatch {
    /// Reports the joined room and its participants, before the handler is called.
    /// `took`: how long it took to join.
    pub(super) fn begin(
        job: Arc<Job>,
        room: Arc<SetOnce<RoomConnection>>,
        took: Duration,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let described = Described { took, ..Described::default() };
        let mut watch = Self { job, room, inputs, described, reported: None };
        if let Some(room) = Arc::clone(&watch.room).get() {
            watch.report(room);
        }
        watch
    }

    /// Returns when the room has ended. Runs through all attempts of the job: there is no attempt without the
    /// room.
    pub(super) async fn run(mut self) {
        let (room, job, inputs) = (Arc::clone(&self.room), Arc::clone(&self.job), self.inputs.clone());
        let room = room.wait().await;
        let replaced = async {
            room.replaced().await;
            let _ = inputs.send(Input::RoomReplaced { job: job.id.clone() });
            std::future::pending().await
        };
        let closed = tokio::select! {
            // What changed before the end is reported before it.
            biased;
            never = self.report_changes(room) => match never {},
            never = replaced => match never {},
            closed = room.closed() => closed,
        };
        let end = match closed {
            DisconnectReason::ClientInitiated => RoomEnd::Left,
            DisconnectReason::DuplicateIdentity => RoomEnd::DuplicateIdentity,
            DisconnectReason::Removed => RoomEnd::Removed,
            DisconnectReason::RoomDeleted => RoomEnd::Deleted,
            DisconnectReason::RoomClosed => RoomEnd::Closed,
            _ => RoomEnd::Lost,
        };
        let _ = inputs.send(Input::RoomEnded { job: job.id.clone(), end });
    }

    async fn report_changes(&mut self, room: &RoomConnection) -> std::convert::Infallible {
        let mut changes = room.changes();
        loop {
            changes.mark_unchanged();
            self.report(room);
            // The sender is in the room that the caller holds.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Reports the changes since the last report.
    fn report(&mut self, room: &RoomConnection) {
        let (joined, presence) = room.view(|view| (self.described.change(view), presence(&self.job, view)));
        // The room first: presence is interpreted relative to the room.
        if let Some(joined) = joined {
            let _ = self.inputs.send(Input::RoomJoined { job: self.job.id.clone(), room: joined });
        }
        if self.reported.as_ref() != Some(&presence) {
            self.reported = Some(presence.clone());
            let _ = self.inputs.send(Input::PresenceChanged { job: self.job.id.clone(), presence });
        }
    }
}

fn presence(job: &Job, view: &View) -> Presence {
    let target = job.target.as_ref().map(|target| target.identity.as_str());
    Presence {
        people: view.people(),
        keepers: view.keepers(),
        target: target
            .and_then(|target| view.participants().get(target))
            .map(|participant| participant.sid.clone()),
    }
}

/// The last reported description of the room.
#[derive(Default)]
struct Described {
    last: Option<RoomInfo>,
    /// How old the room was when it was joined, and when that was.
    joined: Option<(Duration, Instant)>,
    /// How long it took to join.
    took: Duration,
}

impl Described {
    /// The new description for the machine, if it changed.
    fn change(&mut self, view: &View) -> Option<JoinedRoom> {
        let info = view.room().clone();
        let last = self.last.as_ref();
        if last.is_some_and(|last| {
            (&last.sid, last.empty_timeout, last.departure_timeout)
                == (&info.sid, info.empty_timeout, info.departure_timeout)
        }) {
            return None;
        }
        if last.is_none_or(|last| last.sid != info.sid) {
            self.joined = Some((view.age_when_joined(), Instant::now()));
        }
        let age = self.joined.map(|(age, since)| age + since.elapsed()).unwrap_or_default();
        let described = JoinedRoom {
            sid: info.sid.clone(),
            age,
            took: self.took,
            empty_timeout: info.empty_timeout,
            departure_timeout: info.departure_timeout,
        };
        self.last = Some(info);
        Some(described)
    }
}
