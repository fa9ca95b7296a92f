//! What a room's handles and its backend share: who is present, and where events go.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use agent_room::{Connected, DisconnectReason, Participant, RoomEvent, RoomInfo};
use tokio::sync::watch;

use super::events::{Queue, RoomEvents};

pub(super) struct Shared {
    state: Mutex<State>,
    ended: watch::Sender<Option<DisconnectReason>>,
    /// Whether the room that was joined is gone, and this is another one of its name.
    replaced: watch::Sender<bool>,
    /// Changes with who is present, and as what.
    presence: watch::Sender<()>,
}

/// The list of who is present and the list of streams change together: a new stream's replay and what it is told afterwards
/// fit without a gap or a repetition.
pub(super) struct State {
    pub(super) room: RoomInfo,
    pub(super) local: Arc<Participant>,
    /// By identity.
    pub(super) participants: BTreeMap<String, Arc<Participant>>,
    streams: Vec<Weak<Queue>>,
    /// Everything since the join, for the first who asks for events: messages can come before a handler listens.
    unread: Option<Arc<Queue>>,
    ended: bool,
}

impl Shared {
    pub(super) fn new(connected: Connected) -> Self {
        let participants =
            connected.participants.into_iter().map(|p| (p.identity.clone(), p)).collect::<BTreeMap<_, _>>();
        let mut state = State {
            room: connected.room,
            local: connected.local,
            participants,
            streams: Vec::new(),
            unread: None,
            ended: false,
        };
        state.keep_unread();
        Self {
            state: Mutex::new(state),
            ended: watch::Sender::new(None),
            replaced: watch::Sender::new(false),
            presence: watch::Sender::new(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event into the list of who is present, and tells every stream.
    pub(super) fn emit(&self, event: RoomEvent) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        let follows = state.follow(&event);
        let replaced = match &event {
            RoomEvent::Reconnected(again) => again.room_changed,
            RoomEvent::RoomReplaced(_) => true,
            _ => false,
        };
        let ended = if let RoomEvent::Disconnected { reason } = &event { Some(reason.clone()) } else { None };
        state.ended = ended.is_some();
        state.streams.retain(|stream| match stream.upgrade() {
            Some(queue) => {
                queue.push(event.clone());
                true
            }
            None => false,
        });
        drop(state);
        if follows {
            self.presence.send_replace(());
        }
        if replaced {
            self.replaced.send_replace(true);
        }
        if ended.is_some() {
            self.ended.send_replace(ended);
        }
    }

    pub(super) fn end_reason(&self) -> Option<DisconnectReason> {
        self.ended.borrow().clone()
    }

    pub(super) async fn ended(&self) -> DisconnectReason {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(DisconnectReason::Unspecified),
            // The sender lives in `self`.
            Err(_) => DisconnectReason::Unspecified,
        }
    }

    pub(super) fn presence(&self) -> watch::Receiver<()> {
        self.presence.subscribe()
    }

    pub(super) async fn replaced(&self) {
        if self.replaced.subscribe().wait_for(|replaced| *replaced).await.is_err() {
            // The sender lives in `self`.
            std::future::pending().await
        }
    }

    pub(super) fn events(&self) -> RoomEvents {
        let mut state = self.lock();
        if let Some(unread) = state.unread.take() {
            return RoomEvents::new(unread);
        }
        RoomEvents::new(state.stream())
    }

    pub(super) fn side_events(&self) -> RoomEvents {
        RoomEvents::new(self.lock().stream())
    }

    /// Begins anew: the next who asks for events gets who is present now and everything since this call.
    pub(super) fn restart_events(&self) {
        self.lock().keep_unread();
    }
}

impl State {
    fn keep_unread(&mut self) {
        let queue = self.stream();
        self.unread = Some(queue);
    }

    /// A new stream that begins with who is present.
    fn stream(&mut self) -> Arc<Queue> {
        let mut replay = Vec::new();
        for participant in self.participants.values() {
            replay.push(RoomEvent::ParticipantJoined(participant.clone()));
            if participant.active {
                replay.push(RoomEvent::ParticipantActive(participant.clone()));
            }
            for track in participant.tracks.values() {
                let track = track.clone();
                replay.push(RoomEvent::TrackPublished { participant: participant.clone(), track });
            }
        }
        let queue = Queue::new(replay, self.ended);
        self.streams.push(Arc::downgrade(&queue));
        queue
    }

    /// Whether the event is about who is present.
    fn follow(&mut self, event: &RoomEvent) -> bool {
        match event {
            RoomEvent::Connected(connected) => {
                self.room.clone_from(&connected.room);
                self.local = connected.local.clone();
                self.participants =
                    connected.participants.iter().map(|p| (p.identity.clone(), p.clone())).collect();
            }
            RoomEvent::Reconnected(again) => {
                self.room.clone_from(&again.room);
                self.local = again.local.clone();
            }
            RoomEvent::ParticipantLeft { participant, .. } => {
                self.participants.remove(&participant.identity);
            }
            RoomEvent::ParticipantJoined(participant)
            | RoomEvent::ParticipantActive(participant)
            | RoomEvent::MetadataChanged(participant)
            | RoomEvent::NameChanged(participant)
            | RoomEvent::AttributesChanged { participant, .. }
            | RoomEvent::PermissionsChanged(participant)
            | RoomEvent::TrackPublished { participant, .. }
            | RoomEvent::TrackUnpublished { participant, .. }
            | RoomEvent::TrackMuted { participant, .. }
            | RoomEvent::TrackUnmuted { participant, .. } => self.replace(participant),
            RoomEvent::RoomMetadataChanged(room)
            | RoomEvent::RoomReplaced(room)
            | RoomEvent::RoomUpdated(room) => {
                self.room.clone_from(room);
                return false;
            }
            RoomEvent::RoomMoved { room, local } => {
                self.room.clone_from(room);
                self.local = local.clone();
            }
            // These change nobody; a kind that a newer machine knows does neither.
            _ => return false,
        }
        true
    }

    fn replace(&mut self, participant: &Arc<Participant>) {
        if participant.identity == self.local.identity {
            drop(mem::replace(&mut self.local, participant.clone()));
        } else {
            self.participants.insert(participant.identity.clone(), participant.clone());
        }
    }
}
