//! An audio track of ours that is fed with PCM.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agent_media::{AudioFrame, AudioSender, AudioSenderStats};

use super::AudioError;
use super::pacer::Pacer;
use crate::local_tracks::EncodedAudioTrack;
use crate::shared::Shared;

/// An audio track of ours that is fed with PCM, from [`Room::publish_audio`](crate::Room::publish_audio).
/// Clones are the same track; it is unpublished when the last one is dropped, and at the end of the attempt.
///
/// Sound is queued, and sent in real time: one packet of 20 ms every 20 ms, the first one at once. What comes
/// in at the pace at which it is played is sent without delay, and what comes faster waits.
///
/// When the connection to the room is re-established with a new session, the track is published again by
/// itself. Time continues meanwhile: sound that is due without a connection is not heard.
#[derive(Clone)]
pub struct AudioTrack {
    pacer: Arc<Pacer>,
}

impl AudioTrack {
    pub(super) fn new(shared: Arc<Shared>, track: EncodedAudioTrack, sender: AudioSender) -> Self {
        Self { pacer: Pacer::start(shared, track, sender) }
    }

    /// The track's current sid.
    #[must_use]
    pub fn sid(&self) -> String {
        self.pacer.track.sid()
    }

    /// The track's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.pacer.track.name()
    }

    /// Whether it is muted, by us or through the server's API.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.pacer.track.is_muted()
    }

    /// Queues sound. It completes when all of it is queued, and waits while the queue is full: one second,
    /// unless [set otherwise](agent_media::AudioSenderOptions::queue). If the future is dropped before, a
    /// part of the sound may be queued. If the track is [cleared](Self::clear) meanwhile, the rest of the
    /// sound is discarded and it completes at once, without an error.
    ///
    /// # Errors
    /// [`AudioError::Room`] if the server has ended the track, or the room or the attempt is over.
    pub async fn push(&self, frame: &AudioFrame) -> Result<(), AudioError> {
        let (mut taken, clears) = (0, self.pacer.clears());
        while let Some(pushed) = self.pacer.push(frame, taken, clears)? {
            taken += pushed.frames;
            let Some(room_in) = pushed.room_in else { break };
            self.pacer.progress(Some(room_in), || self.pacer.clears() != clears).await;
        }
        Ok(())
    }

    /// Removes everything that was not sent yet, so that the agent stops speaking at once; returns how long
    /// it would have lasted. The rest of a [`push`](Self::push) that waits, of any clone, is discarded and
    /// not counted; what is pushed afterwards is played.
    pub fn clear(&self) -> Duration {
        self.pacer.clear().unwrap_or_default()
    }

    /// How long it takes until everything has been played that was pushed.
    #[must_use]
    pub fn queued_duration(&self) -> Duration {
        self.pacer.read(AudioSender::queued_duration)
    }

    /// How much of what was pushed has been played. What was [cleared](Self::clear) does not count: so this
    /// is how far an interrupted text has been played.
    #[must_use]
    pub fn position(&self) -> Duration {
        self.pacer.read(AudioSender::position)
    }

    /// Waits until everything has been played that was pushed or [cleared](Self::clear). The last samples are
    /// sent at their time, without waiting for more.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn wait_for_playout(&self) -> Result<(), AudioError> {
        self.pacer.flush()?;
        let is_over = || self.pacer.read(AudioSender::is_played_out);
        while !is_over() {
            self.pacer.check()?;
            self.pacer.progress(None, || is_over() || self.pacer.check().is_err()).await;
        }
        Ok(())
    }

    /// What the encoder has done so far.
    #[must_use]
    pub fn stats(&self) -> AudioSenderStats {
        self.pacer.read(|sender, _| sender.stats())
    }

    /// Mutes the track: sound that is due is not sent until it is unmuted.
    ///
    /// # Errors
    /// [`AudioError::Room`] if the server has ended the track, and others.
    pub async fn mute(&self) -> Result<(), AudioError> {
        Ok(self.pacer.track.mute().await?)
    }

    /// Sends sound again.
    ///
    /// # Errors
    /// As [`mute`](Self::mute).
    pub async fn unmute(&self) -> Result<(), AudioError> {
        Ok(self.pacer.track.unmute().await?)
    }

    /// Ends the track, also for its clones. What is queued is not played: see
    /// [`wait_for_playout`](Self::wait_for_playout).
    ///
    /// # Errors
    /// As [`mute`](Self::mute).
    pub async fn unpublish(self) -> Result<(), AudioError> {
        Ok(self.pacer.track.end().await?)
    }
}

impl fmt::Debug for AudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioTrack")
            .field("track", &self.pacer.track)
            .field("queued", &self.queued_duration())
            .finish_non_exhaustive()
    }
}
