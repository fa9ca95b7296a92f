//! Which tracks of others are sent to a participant: automatically, while they are read, or by hand.

use std::collections::BTreeSet;

use crate::VideoChoice;

/// The id of a command.
type Id = u64;

/// A change of what is received of one track of another participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SubscriptionChange {
    /// Subscribe or unsubscribe by hand, whatever is automatic.
    Subscribe(bool),
    /// Continue or pause a track, which stays subscribed.
    Enable(bool),
    /// Receive this size of a video track.
    Choose(VideoChoice),
    /// The track is read under this number: it is subscribed to, unless it was unsubscribed by hand.
    Read(u64),
    /// It is not read under this number any more.
    StopReading(u64),
}

/// What was chosen for one track of another participant. It ends with the track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionChoice {
    /// With the command that chose it.
    by_hand: Option<(bool, Id)>,
    /// The command that paused it.
    paused: Option<Id>,
    /// With the command that chose it.
    video: Option<(VideoChoice, Id)>,
    readers: BTreeSet<Id>,
}

impl SubscriptionChoice {
    /// Applies a change of the command `id`.
    pub fn apply(&mut self, id: u64, change: SubscriptionChange) {
        match change {
            SubscriptionChange::Subscribe(subscribe) => self.by_hand = Some((subscribe, id)),
            SubscriptionChange::Enable(enable) => self.paused = (!enable).then_some(id),
            SubscriptionChange::Choose(video) => {
                self.video = (video != VideoChoice::default()).then_some((video, id));
            }
            SubscriptionChange::Read(reader) => {
                self.readers.insert(reader);
            }
            SubscriptionChange::StopReading(reader) => {
                self.readers.remove(&reader);
            }
        }
    }

    /// Removes the choices by hand of commands with smaller ids. Readers of the track continue.
    pub fn reset(&mut self, before: u64) {
        self.by_hand = self.by_hand.filter(|(_, id)| *id >= before);
        self.paused = self.paused.filter(|id| *id >= before);
        self.video = self.video.filter(|(_, id)| *id >= before);
    }

    /// Whether the track is to be sent. `automatic`: whether it is sent without a choice.
    #[must_use]
    pub fn is_wanted(&self, automatic: bool) -> bool {
        self.by_hand.map_or(automatic || !self.readers.is_empty(), |(subscribe, _)| subscribe)
    }

    /// Whether it is not paused.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.paused.is_none()
    }

    /// The size of a video track that is to be sent.
    #[must_use]
    pub fn video(&self) -> VideoChoice {
        self.video.map(|(video, _)| video).unwrap_or_default()
    }

    /// Whether it is read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.by_hand.is_none() && self.paused.is_none() && self.video.is_none() && self.readers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SubscriptionChange::{Choose, Enable, Read, StopReading, Subscribe};

    fn is_wanted(automatic: bool, changes: &[SubscriptionChange]) -> bool {
        let mut choice = SubscriptionChoice::default();
        changes.iter().for_each(|change| choice.apply(1, *change));
        choice.is_wanted(automatic)
    }

    #[test]
    fn choices_by_hand_override_readers_and_readers_the_default() {
        assert!(is_wanted(true, &[]) && !is_wanted(false, &[]));
        assert!(is_wanted(false, &[Read(1)]) && !is_wanted(false, &[Read(1), StopReading(1)]));
        assert!(is_wanted(false, &[Read(1), Read(2), StopReading(1)]), "one still reads");
        assert!(is_wanted(true, &[Read(1), StopReading(1)]));
        assert!(!is_wanted(true, &[Subscribe(false)]) && !is_wanted(false, &[Subscribe(false), Read(1)]));
        assert!(is_wanted(false, &[Subscribe(true), Read(1), StopReading(1)]));
    }

    #[test]
    fn a_reset_keeps_the_readers_and_later_choices() {
        let mut choice = SubscriptionChoice::default();
        let small = VideoChoice::size(320, 180);
        for (id, change) in [(1, Subscribe(false)), (3, Enable(false)), (3, Choose(small)), (2, Read(1))] {
            choice.apply(id, change);
        }
        assert!(!choice.is_wanted(true) && !choice.is_enabled() && !choice.is_default());
        choice.reset(3);
        assert!(choice.is_wanted(false) && !choice.is_enabled());
        assert_eq!(choice.video(), small);
        choice.reset(4);
        assert!(choice.is_enabled() && !choice.is_default());
        assert_eq!(choice.video(), VideoChoice::default());
        choice.apply(5, StopReading(1));
        assert!(choice.is_default());
    }
}
