//! Sequence numbers of published frames, for sender and receiver.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Frame, FrameKind};

/// Maximum number of remembered publishers. Beyond it the one that was silent for longest is forgotten, and
/// losses of it are not detected.
const MAX_PUBLISHERS: usize = 1024;

/// Numbers the frames of one publisher, and keeps its last announcement.
///
/// ```
/// use agent_core::{FrameKind, Sequencer};
///
/// let mut outgoing = Sequencer::new("AJ_1/7");
/// assert_eq!(outgoing.announce("I transcribe").kind, FrameKind::Announcement { number: 1, latest: 1 });
/// assert_eq!(outgoing.message("hello").kind, FrameKind::Message { number: 2 });
/// let again = outgoing.answer(); // to a hello
/// assert_eq!(again.kind, FrameKind::Announcement { number: 1, latest: 2 });
/// ```
#[derive(Clone, Debug)]
pub struct Sequencer {
    publisher: String,
    last: u64,
    announced: Option<(u64, Bytes)>,
}

impl Sequencer {
    /// A publisher that has sent nothing yet. Its id must be unique.
    #[must_use]
    pub fn new(publisher: impl Into<String>) -> Self {
        Self { publisher: publisher.into(), last: 0, announced: None }
    }

    /// Its id.
    #[must_use]
    pub fn publisher(&self) -> &str {
        &self.publisher
    }

    /// The next message.
    pub fn message(&mut self, payload: impl Into<Bytes>) -> Frame {
        let number = self.next();
        self.frame(FrameKind::Message { number }, payload.into())
    }

    /// The next announcement, which replaces the last one.
    pub fn announce(&mut self, payload: impl Into<Bytes>) -> Frame {
        let (number, payload) = (self.next(), payload.into());
        self.announced = Some((number, payload.clone()));
        self.frame(FrameKind::Announcement { number, latest: number }, payload)
    }

    /// The answer to a hello: the last announcement, or a plain presence.
    #[must_use]
    pub fn answer(&self) -> Frame {
        let latest = self.last;
        match self.announced.clone() {
            Some((number, payload)) => self.frame(FrameKind::Announcement { number, latest }, payload),
            None => self.frame(FrameKind::Here { latest }, Bytes::new()),
        }
    }

    /// A hello: notifies the others, and asks for their answers.
    #[must_use]
    pub fn hello(&self) -> Frame {
        self.frame(FrameKind::Hello { latest: self.last }, Bytes::new())
    }

    fn next(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    fn frame(&self, kind: FrameKind, payload: Bytes) -> Frame {
        Frame { publisher: self.publisher.clone(), kind, payload }
    }
}

/// What a received frame's number shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many frames of this publisher before this one were lost.
    pub missed: u64,
    /// Whether its payload is new.
    pub new: bool,
    /// Whether another sender uses this publisher's id. The other fields are then meaningless.
    pub forged: bool,
}

impl Received {
    const FORGED: Self = Self { missed: 0, new: false, forged: true };
}

/// Tracks the sequence numbers of all publishers of a topic.
#[derive(Clone, Debug, Default)]
pub struct SequenceTracker {
    by_id: BTreeMap<String, Seen>,
    frames: u64,
}

#[derive(Clone, Debug)]
struct Seen {
    /// The first sender with this id, as the transport knows it. Ids are random, so no other sender used it
    /// before.
    sender: String,
    last: u64,
    announced: u64,
    /// When its last frame arrived, counted in frames.
    at: u64,
}

impl SequenceTracker {
    /// Takes the next frame and its sender, empty if the transport does not know it. The first frame of a
    /// publisher counts no loss, as its earlier frames may precede our subscription.
    pub fn receive(&mut self, frame: &Frame, sender: &str) -> Received {
        let (number, latest, announcement) = match frame.kind {
            // They carry nothing that could be new.
            FrameKind::Hello { latest } | FrameKind::Here { latest } => (0, latest, false),
            FrameKind::Message { number } => (number, number, false),
            FrameKind::Announcement { number, latest } => (number, latest.max(number), true),
        };
        self.frames += 1;
        let at = self.frames;
        let Some(seen) = self.by_id.get_mut(&frame.publisher) else {
            self.make_room();
            let announced = if announcement { number } else { 0 };
            let seen = Seen { sender: sender.to_owned(), last: latest, announced, at };
            self.by_id.insert(frame.publisher.clone(), seen);
            return Received { missed: 0, new: true, forged: false };
        };
        if seen.sender != sender {
            return Received::FORGED;
        }
        let unseen = latest.saturating_sub(seen.last);
        let new = number > if announcement { seen.announced } else { seen.last };
        let missed = unseen - u64::from(number > seen.last);
        seen.last = seen.last.max(latest);
        if announcement {
            seen.announced = seen.announced.max(number);
        }
        seen.at = at;
        Received { missed, new, forged: false }
    }

    fn make_room(&mut self) {
        if self.by_id.len() < MAX_PUBLISHERS {
            return;
        }
        let silent = self.by_id.iter().min_by_key(|(_, seen)| seen.at).map(|(id, _)| id.clone());
        silent.and_then(|id| self.by_id.remove(&id));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEW: Received = Received { missed: 0, new: true, forged: false };
    const OLD: Received = Received { missed: 0, new: false, forged: false };

    const fn new_after(missed: u64) -> Received {
        Received { missed, new: true, forged: false }
    }

    #[test]
    fn a_gap_is_counted_once_and_a_copy_is_old() {
        let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
        let frames: Vec<Frame> = (0..6).map(|_| out.message("x")).collect();
        for (n, expected) in [(0, NEW), (1, NEW), (1, OLD), (4, new_after(2)), (0, OLD), (5, NEW)] {
            assert_eq!(tracker.receive(&frames[n], ""), expected, "{n}");
        }
    }

    #[test]
    fn a_newcomer_counts_from_there() {
        let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
        let _ = (out.announce("a"), out.message("b"), out.message("c"));
        assert_eq!(tracker.receive(&out.answer(), ""), NEW);
        assert_eq!(tracker.receive(&out.message("d"), ""), NEW);
        assert_eq!(tracker.receive(&out.answer(), ""), OLD);
    }

    #[test]
    fn a_repeated_announcement_shows_earlier_losses() {
        let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
        assert_eq!(tracker.receive(&out.message("a"), ""), NEW);
        let _ = (out.announce("lost"), out.message("lost"));
        // The announcement itself arrives after all.
        assert_eq!(tracker.receive(&out.answer(), ""), new_after(1));
        let _ = out.message("lost");
        assert_eq!(tracker.receive(&out.answer(), ""), Received { missed: 1, new: false, forged: false });
    }

    #[test]
    fn a_hello_and_its_answer_show_earlier_losses() {
        let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
        tracker.receive(&out.hello(), "");
        let _ = out.message("lost");
        assert_eq!(tracker.receive(&out.message("b"), ""), new_after(1));
        let _ = out.message("lost");
        assert_eq!(tracker.receive(&out.hello(), "").missed, 1);
        let _ = (out.message("lost"), out.message("lost"));
        assert_eq!(out.answer().kind, FrameKind::Here { latest: 5 });
        assert_eq!(tracker.receive(&out.answer(), "").missed, 2);
        assert_eq!(tracker.receive(&out.answer(), "").missed, 0, "once");
        assert_eq!(tracker.receive(&out.message("c"), ""), NEW);
    }

    #[test]
    fn an_announcement_in_a_gap_is_still_new_when_it_is_repeated() {
        let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
        let first = out.message("a");
        let _ = out.announce("lost");
        let third = out.message("c");
        assert_eq!((tracker.receive(&first, ""), tracker.receive(&third, "")), (NEW, new_after(1)));
        assert_eq!(tracker.receive(&out.answer(), ""), NEW);
    }

    #[test]
    fn no_sender_can_use_the_id_of_another() {
        let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
        assert_eq!(tracker.receive(&out.message("a"), "agent-1"), NEW);
        let mut thief = out.clone();
        thief.last = u64::MAX - 1;
        for frame in [thief.announce("forged"), thief.message("forged"), thief.hello()] {
            assert_eq!(tracker.receive(&frame, "agent-2"), Received::FORGED);
        }
        assert_eq!(tracker.receive(&out.message("b"), "agent-1"), NEW);
    }

    #[test]
    fn a_thousand_publishers_are_tracked_and_the_least_recent_one_is_dropped() {
        let mut tracker = SequenceTracker::default();
        let mut first = Sequencer::new("first");
        tracker.receive(&first.message("x"), "");
        for n in 0..MAX_PUBLISHERS {
            tracker.receive(&Sequencer::new(format!("p{n}")).message("x"), "");
        }
        assert_eq!(tracker.by_id.len(), MAX_PUBLISHERS);
        let _ = first.message("lost");
        assert_eq!(tracker.receive(&first.message("x"), ""), NEW, "it was forgotten");
    }

    proptest! {
        /// Whichever frames of a publisher are lost or duplicated, the delivered and the missed ones add up.
        #[test]
        fn no_loss_is_silent(
            announces in any::<bool>(),
            fates in proptest::collection::vec((0u8..5, 0u8..3), 1..60),
        ) {
            let (mut out, mut tracker) = (Sequencer::new("a"), SequenceTracker::default());
            tracker.receive(&out.hello(), "");
            let (mut delivered, mut missed, mut sent) = (0, 0, 0);
            if announces {
                tracker.receive(&out.announce("first"), "");
                (delivered, sent) = (1, 1);
            }
            for (kind, copies) in fates {
                let frame = match kind {
                    0 => out.answer(),
                    1 => out.hello(),
                    _ => {
                        sent += 1;
                        out.message("x")
                    }
                };
                for _ in 0..copies {
                    let received = tracker.receive(&frame, "");
                    missed += received.missed;
                    delivered += u64::from(received.new && matches!(frame.kind, FrameKind::Message { .. }));
                }
            }
            missed += tracker.receive(&out.hello(), "").missed;
            prop_assert_eq!(delivered + missed, sent);
        }

        #[test]
        fn no_numbers_panic(frames in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..20)) {
            let mut tracker = SequenceTracker::default();
            for (number, latest, message) in frames {
                let kind = if message { FrameKind::Message { number } } else { FrameKind::Announcement { number, latest } };
                tracker.receive(&Frame { publisher: "a".into(), kind, payload: Bytes::new() }, "");
            }
        }
    }
}
