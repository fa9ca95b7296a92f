//! A sender of PCM on the clock: what its track and the task that keeps the pace share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep_until;

use agent_media::{AudioFrame, AudioSender, AudioSenderOutput, OutgoingPacket, Pushed};
use agent_proto::Time;
use agent_room::{AudioLevel, OutgoingFrame, RoomError};

use super::AudioError;
use crate::local_tracks::EncodedAudioTrack;
use crate::shared::Shared;

/// A sender and its track.
pub(super) struct Pacer {
    shared: Arc<Shared>,
    pub(super) track: EncodedAudioTrack,
    state: Mutex<State>,
    /// Changes of what is due, for the task.
    changed: Arc<Notify>,
    /// Sound was sent or removed, for those who wait for room or for the end.
    progress: Notify,
}

struct State {
    sender: AudioSender,
    /// How often the queue was cleared.
    clears: u64,
    /// Why nothing is sent any more.
    over: Option<RoomError>,
}

impl Pacer {
    /// A sender on the clock of the room's handle, and the task that keeps its pace.
    pub(super) fn start(shared: Arc<Shared>, track: EncodedAudioTrack, sender: AudioSender) -> Arc<Self> {
        let pacer = Arc::new(Self {
            shared,
            track,
            state: Mutex::new(State { sender, clears: 0, over: None }),
            changed: Arc::new(Notify::new()),
            progress: Notify::new(),
        });
        tokio::spawn(run(Arc::downgrade(&pacer), Arc::clone(&pacer.changed)));
        pacer
    }

    /// Queues samples from this one of each channel on, as many as there is room for, and sends what is due.
    /// `None`: the queue was cleared more often than that, and they are not wanted any more.
    pub(super) fn push(
        &self,
        frame: &AudioFrame,
        from: usize,
        clears: u64,
    ) -> Result<Option<Pushed>, AudioError> {
        let samples = frame.samples().get(from * usize::from(frame.channels())..).unwrap_or_default();
        let pushed = self.act(|state, now| {
            let is_wanted = state.clears == clears;
            is_wanted.then(|| state.sender.push(frame.format(), samples, now)).transpose()
        })?;
        self.changed.notify_one();
        Ok(pushed?)
    }

    /// Declares that the sound in the queue is complete.
    pub(super) fn flush(&self) -> Result<(), RoomError> {
        self.change(|state, now| state.sender.flush(now))
    }

    /// Removes what was not sent yet, also what is still being pushed; returns how long it was in the queue.
    pub(super) fn clear(&self) -> Result<Duration, RoomError> {
        self.change(|state, now| {
            state.clears += 1;
            state.sender.clear(now)
        })
    }

    /// How often the queue was cleared.
    pub(super) fn clears(&self) -> u64 {
        self.lock().clears
    }

    /// Changes the sender, and sends what is due then.
    fn change<T>(&self, change: impl FnOnce(&mut State, Time) -> T) -> Result<T, RoomError> {
        let result = self.act(change);
        self.changed.notify_one();
        self.progress.notify_waiters();
        result
    }

    /// What the clock has made due. Returns when to call again; `Err`: never.
    fn tick(&self) -> Result<Option<Time>, RoomError> {
        self.act(|state, now| {
            state.sender.handle_timeout(now);
            state.sender.poll_timeout()
        })
    }

    /// Lets the sender do something, and sends what it puts out.
    fn act<T>(&self, act: impl FnOnce(&mut State, Time) -> T) -> Result<T, RoomError> {
        let mut state = self.lock();
        state.sender.set_muted(self.track.is_muted());
        let result = act(&mut state, self.shared.now());
        let mut progressed = false;
        while let Some(output) = state.sender.poll_output() {
            progressed = true;
            if let AudioSenderOutput::Packet(packet) = output
                && let Err(error) = self.track.send(frame(packet))
            {
                state.over.get_or_insert(error);
            }
        }
        if progressed {
            self.progress.notify_waiters();
        }
        state.over.clone().map_or(Ok(result), Err)
    }

    /// Whether sound can still be sent.
    pub(super) fn check(&self) -> Result<(), RoomError> {
        self.lock().over.clone().map_or(Ok(()), Err)
    }

    /// Reads from the sender.
    pub(super) fn read<T>(&self, read: impl FnOnce(&AudioSender, Time) -> T) -> T {
        read(&self.lock().sender, self.shared.now())
    }

    /// Waits until the sender has done something, or for this long. `ready` is checked before the wait.
    pub(super) async fn progress(&self, within: Option<Duration>, ready: impl FnOnce() -> bool) {
        let progressed = self.progress.notified();
        let mut progressed = std::pin::pin!(progressed);
        // From here on no progress is missed.
        progressed.as_mut().enable();
        if ready() {
            return;
        }
        match within {
            // Whether it is the time or progress, the caller looks again.
            Some(within) => drop(tokio::time::timeout(within, progressed).await),
            None => progressed.await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        // The task looks, and ends.
        self.changed.notify_one();
    }
}

/// Keeps the pace until the track is dropped or ended.
async fn run(pacer: Weak<Pacer>, changed: Arc<Notify>) {
    loop {
        let Some(owner) = pacer.upgrade() else { return };
        let Ok(due) = owner.tick() else { return };
        let due = due.map(|due| owner.shared.instant(due));
        // From here on the track may be dropped.
        drop(owner);
        match due {
            Some(due) => tokio::select! {
                biased;
                () = sleep_until(due) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}

fn frame(packet: OutgoingPacket) -> OutgoingFrame {
    let level = AudioLevel::new(packet.level.dbov(), packet.level.is_voice());
    let mut frame = OutgoingFrame::new(packet.payload, packet.timestamp).level(level);
    frame.marker = packet.marker;
    frame
}
