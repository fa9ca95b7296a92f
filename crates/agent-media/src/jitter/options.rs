//! Settings of a jitter buffer, and what it has counted.

use std::time::Duration;

/// How long packets may wait, so that late ones can be played in order.
///
/// ```
/// use agent_media::JitterOptions;
/// use std::time::Duration;
///
/// let options = JitterOptions::default();
/// assert_eq!((options.min_delay.as_millis(), options.max_delay.as_millis()), (10, 200));
/// // For a recording, in which no sound should be missing and delay does not matter.
/// let patient = options.max_delay(Duration::from_secs(1));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitterOptions {
    /// Every packet waits at least this long after the fastest ones, as far as the network lets it. Default:
    /// 10 ms, as a busy machine holds packets up even without a network. With zero it becomes some 3 ms on a
    /// network without jitter.
    pub min_delay: Duration,
    /// No packet waits longer; what comes later than this is not played. Default: 200 ms. At most
    /// [`MAX_DELAY`](Self::MAX_DELAY).
    pub max_delay: Duration,
}

impl JitterOptions {
    /// The largest `max_delay`; larger ones count as this one.
    pub const MAX_DELAY: Duration = Duration::from_secs(1);

    /// Sets the bound.
    #[must_use]
    pub fn max_delay(self, max_delay: Duration) -> Self {
        Self { max_delay, ..self }
    }

    /// Sets the minimum.
    #[must_use]
    pub fn min_delay(self, min_delay: Duration) -> Self {
        Self { min_delay, ..self }
    }
}

impl Default for JitterOptions {
    fn default() -> Self {
        Self { min_delay: Duration::from_millis(10), max_delay: Duration::from_millis(200) }
    }
}

/// What a jitter buffer has seen and done.
///
/// All packets are in one place: `received` is the sum of `played`, `late`, `duplicates`, `discarded`, and
/// those that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitterStats {
    /// Packets that arrived.
    pub received: u64,
    /// Packets that were played.
    pub played: u64,
    /// Packets that came after their time: others had been played in their place, or the delay would have
    /// exceeded its bound.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that belong to no stream, or to one that has been replaced, that had no bytes, or were too
    /// many.
    pub discarded: u64,
    /// Packets that were missing when they should have been played: lost, or late.
    pub lost: u64,
    /// Missing packets that were replaced by the copy in the next one (in-band FEC).
    pub recovered: u64,
    /// Packets that the queue before this buffer dropped
    /// ([`note_dropped`](crate::JitterBuffer::note_dropped)).
    pub dropped_before: u64,
    /// Sound that was concealed instead of packets that were lost or late; without what FEC recovered.
    pub concealed: Duration,
    /// How often sequence numbers or timestamps jumped, so that a new stream began.
    pub resyncs: u64,
    /// How long packets wait, counted from when the fastest ones arrive.
    pub delay: Duration,
    /// How long packets should wait, by the jitter of the last seconds.
    pub target: Duration,
}

impl JitterStats {
    /// Packets that wait to be played.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let done = [self.played, self.late, self.duplicates, self.discarded];
        done.into_iter().fold(self.received, u64::saturating_sub)
    }
}
