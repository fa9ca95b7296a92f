//! The state that a room's handles and its backend share: the participants and the streams.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use tokio::sync::mpsc;
use tokio::time::Instant;

use agent_proto::{Time, watch};
use agent_room::{
    CommandId, Connected, DataFilter, DataTrackFrame, DisconnectReason, Dropped, Inbox, RoomCommand,
    RoomError, RoomEvent, StreamId, View, ViewChange,
};

use super::lane::{AllLanes, EndedLanes, Lane, MediaFrame};
use super::local_tracks::LocalTracks;
use super::rpc::Methods;
use super::streams::Streams;
use super::track_error::TrackError;

/// Called with the number of events and messages that were dropped before a stream read them.
pub(super) type OnDropped = Box<dyn Fn(Dropped) + Send + Sync>;

pub(super) struct Shared {
    /// Time zero of the room's clock.
    started: Instant,
    /// The room's name, which stays.
    pub(super) name: Box<str>,
    state: Mutex<State>,
    /// Media frames take no lock of the state's.
    pub(super) lanes: AllLanes,
    /// The audio tracks that we publish, and their frames.
    pub(super) local_tracks: LocalTracks,
    /// Text and byte streams.
    pub(super) streams: Streams,
    pub(super) methods: Methods,
    /// Whether the current attempt has chosen tracks by hand, of which the next one does not know.
    pub(super) chosen_by_hand: AtomicBool,
    /// Commands that nothing waits for.
    commands: mpsc::UnboundedSender<RoomCommand>,
    last_command: AtomicU64,
    /// The number of the current attempt. Changed under the lock; a handle with another number belongs to an
    /// attempt that is over.
    attempt: AtomicU64,
    on_dropped: OnceLock<OnDropped>,
    ended: watch::Sender<Option<DisconnectReason>>,
    /// Whether the joined room was replaced by a new one of the same name.
    replaced: watch::Sender<bool>,
    /// Changes with the participants and with the room's description.
    presence: watch::Sender<()>,
}

/// The view and the streams change together: the beginning of a new stream and the events that follow fit
/// without a gap or a repetition.
pub(super) struct State {
    pub(super) view: View,
    pub(super) inbox: Inbox,
    /// The tasks that wait for an event of a stream.
    pub(super) readers: BTreeMap<StreamId, Waker>,
    ended: bool,
    /// Whether the first attempt has begun.
    begun: bool,
}

impl Shared {
    /// `commands`: receives those that nothing waits for. `ended_tracks`: the tracks to be unpublished.
    pub(super) fn new(
        connected: Connected,
        commands: mpsc::UnboundedSender<RoomCommand>,
        ended_tracks: mpsc::UnboundedSender<CommandId>,
    ) -> Self {
        let view = View::new(connected);
        let name = view.room().name.as_str().into();
        let state = State {
            inbox: Inbox::new(view.present()),
            view,
            readers: BTreeMap::new(),
            ended: false,
            begun: false,
        };
        Self {
            started: Instant::now(),
            name,
            state: Mutex::new(state),
            lanes: AllLanes::default(),
            local_tracks: LocalTracks::new(ended_tracks),
            streams: Streams::new(),
            methods: Methods::new(commands.clone()),
            chosen_by_hand: AtomicBool::new(false),
            commands,
            last_command: AtomicU64::new(0),
            attempt: AtomicU64::new(0),
            on_dropped: OnceLock::new(),
            ended: watch::Sender::new(None),
            replaced: watch::Sender::new(false),
            presence: watch::Sender::new(()),
        }
    }

    /// The time on the room's clock.
    pub(super) fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    /// A time on the room's clock, for the runtime.
    #[cfg(feature = "media")]
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.started + (time - Time::ZERO)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies an event to the view, and distributes it to every stream.
    pub(super) fn emit(&self, event: RoomEvent) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        let change = state.view.apply(&event);
        state.ended = matches!(change, ViewChange::Ended(_));
        let dropped = state.inbox.push(&event);
        let ended = match change {
            ViewChange::None => EndedLanes::default(),
            ViewChange::Changed | ViewChange::Replaced => self.lanes.take_unpublished(&state.view),
            ViewChange::Ended(_) => self.lanes.take_all(),
        };
        unlock(state, &ended);
        self.report(dropped);
        if let RoomEvent::ParticipantLeft { participant, .. } = &event {
            self.methods.caller_left(&participant.identity);
        }
        match change {
            ViewChange::None => {}
            ViewChange::Changed => {
                self.presence.send_replace(());
            }
            ViewChange::Replaced => {
                self.presence.send_replace(());
                self.replaced.send_replace(true);
            }
            ViewChange::Ended(reason) => {
                self.streams.end();
                self.methods.end();
                self.ended.send_replace(Some(reason));
            }
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

    /// Opens an event stream of an attempt.
    pub(super) fn events(&self, attempt: u64) -> StreamId {
        self.open(attempt, |state| {
            let present = state.view.present();
            state.inbox.open_events(present)
        })
    }

    /// Opens an event stream of an attempt that takes nothing from the others.
    pub(super) fn side_events(&self, attempt: u64) -> StreamId {
        self.open(attempt, |state| {
            let present = state.view.present();
            (state.inbox.open_side(present), Dropped::default())
        })
    }

    /// Opens a stream of data of an attempt.
    pub(super) fn data(&self, attempt: u64, filter: DataFilter) -> StreamId {
        self.open(attempt, |state| state.inbox.open_data(filter))
    }

    /// Opens the queue of a track's frames for an attempt.
    pub(super) fn open_lane<F: MediaFrame>(
        &self,
        attempt: u64,
        track_sid: &str,
    ) -> Result<Arc<Lane<F>>, TrackError> {
        let sid = || track_sid.to_owned();
        // The end of a queue is noticed either here or later.
        let state = self.lock();
        self.check(attempt, &state)?;
        let Some((publisher, track)) = state.view.track(track_sid) else {
            return Err(TrackError::NotPublished { sid: sid() });
        };
        if track.kind != F::KIND {
            return Err(TrackError::wrong_kind(sid(), track.kind, F::KIND));
        }
        let lane = F::lanes(&self.lanes).open(track_sid, &publisher.identity, F::CAPACITY);
        lane.ok_or_else(|| TrackError::AlreadyRead { sid: sid() })
    }

    /// Opens the queue of a data track's frames for an attempt.
    pub(super) fn open_data_lane(
        &self,
        attempt: u64,
        track_sid: &str,
        capacity: usize,
    ) -> Result<Arc<Lane<DataTrackFrame>>, TrackError> {
        let sid = || track_sid.to_owned();
        let state = self.lock();
        self.check(attempt, &state)?;
        let Some((publisher, _)) = state.view.data_track(track_sid) else {
            return Err(TrackError::NotPublished { sid: sid() });
        };
        let lane = self.lanes.data.open(track_sid, &publisher.identity, capacity);
        lane.ok_or_else(|| TrackError::AlreadyRead { sid: sid() })
    }

    fn check(&self, attempt: u64, state: &State) -> Result<(), RoomError> {
        if self.is_over(attempt) {
            Err(RoomError::AttemptOver)
        } else if state.ended {
            Err(RoomError::NotConnected)
        } else {
            Ok(())
        }
    }

    fn open(&self, attempt: u64, open: impl FnOnce(&mut State) -> (StreamId, Dropped)) -> StreamId {
        let mut state = self.lock();
        let (id, dropped) = match self.is_over(attempt) {
            true => (StreamId::ENDED, Dropped::default()),
            false => open(&mut state),
        };
        drop(state);
        self.report(dropped);
        id
    }

    /// Whether this attempt is over.
    pub(super) fn is_over(&self, attempt: u64) -> bool {
        self.attempt.load(Ordering::Acquire) != attempt
    }

    /// Ends the previous attempt, if there was one, and begins another; returns its number.
    pub(super) fn begin_attempt(&self) -> u64 {
        let mut state = self.lock();
        let mut ended = EndedLanes::default();
        let another = std::mem::replace(&mut state.begun, true);
        if another {
            let present = state.view.present();
            state.inbox.begin_attempt(present);
            self.attempt.fetch_add(1, Ordering::AcqRel);
            ended = self.lanes.take_all();
        }
        let attempt = self.attempt.load(Ordering::Acquire);
        unlock(state, &ended);
        if another {
            self.end_streams_and_methods();
            if self.chosen_by_hand.swap(false, Ordering::AcqRel) {
                // It may be read after the first commands of the new attempt.
                let before = self.next_command();
                self.send_later(RoomCommand::ResetSubscriptions { before });
            }
        }
        attempt
    }

    /// Ends the current attempt.
    pub(super) fn end_attempt(&self) {
        let mut state = self.lock();
        state.begun = true;
        state.inbox.end_attempt();
        self.attempt.fetch_add(1, Ordering::AcqRel);
        let ended = self.lanes.take_all();
        unlock(state, &ended);
        self.end_streams_and_methods();
    }

    /// Ends those of the attempt that is over, and its tracks: no more can be opened with its number.
    fn end_streams_and_methods(&self) {
        self.local_tracks.end_all();
        self.methods.end();
        let dropped = self.streams.end_attempt();
        self.report(dropped);
    }

    /// A new id of a command or a call.
    pub(super) fn next_command(&self) -> CommandId {
        self.last_command.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sends a command without waiting for its result.
    pub(super) fn send_later(&self, command: RoomCommand) {
        // Without a backend there is no room.
        let _ = self.commands.send(command);
    }

    /// Sets the callback for losses; the first call wins.
    pub(super) fn set_on_dropped(&self, on_dropped: OnDropped) {
        let _ = self.on_dropped.set(on_dropped);
    }

    pub(super) fn report(&self, dropped: Dropped) {
        if dropped.any()
            && let Some(on_dropped) = self.on_dropped.get()
        {
            on_dropped(dropped);
        }
    }
}

/// Wakes the streams that are ready and ends these queues, after the lock: a waker may run code of the
/// executor.
fn unlock(mut state: MutexGuard<'_, State>, ended: &EndedLanes) {
    let woken = state.take_ready();
    drop(state);
    woken.into_iter().for_each(Waker::wake);
    ended.end();
}

impl State {
    /// Removes the wakers of the streams that are ready.
    fn take_ready(&mut self) -> Vec<Waker> {
        let inbox = &self.inbox;
        self.readers.extract_if(.., |id, _| inbox.is_ready(*id)).map(|(_, waker)| waker).collect()
    }
}
