//! Numbers: given to what is published, and understood where it arrives.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Frame, FrameKind};

/// Publishers that are remembered; beyond that, whoever was silent for longest is forgotten, and a later loss of it with it.
const MAX_PUBLISHERS: usize = 1024;

/// One publisher: it numbers what it says, and keeps what it announced last.
///
/// ```
/// use agent_core::{FrameKind, Outgoing};
///
/// let mut outgoing = Outgoing::new("AJ_1/7");
/// assert_eq!(outgoing.announce("I transcribe").kind, FrameKind::Announcement { number: 1, latest: 1 });
/// assert_eq!(outgoing.message("hello").kind, FrameKind::Message { number: 2 });
/// let again = outgoing.answer(); // somebody said hello
/// assert_eq!(again.kind, FrameKind::Announcement { number: 1, latest: 2 });
/// ```
#[derive(Clone, Debug)]
pub struct Outgoing {
    publisher: String,
    last: u64,
    announced: Option<(u64, Bytes)>,
}

impl Outgoing {
    /// A publisher that has said nothing yet. Its id must be another one each time.
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

    /// The next announcement, in the place of the last one.
    pub fn announce(&mut self, payload: impl Into<Bytes>) -> Frame {
        let (number, payload) = (self.next(), payload.into());
        self.announced = Some((number, payload.clone()));
        self.frame(FrameKind::Announcement { number, latest: number }, payload)
    }

    /// The answer to a hello: the last announcement once more, or that there was none.
    #[must_use]
    pub fn answer(&self) -> Frame {
        let latest = self.last;
        match self.announced.clone() {
            Some((number, payload)) => self.frame(FrameKind::Announcement { number, latest }, payload),
            None => self.frame(FrameKind::Here { latest }, Bytes::new()),
        }
    }

    /// Tells the others that we listen, and asks who they are.
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

/// What the numbers of a frame tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// So many frames of this publisher before this one will not come any more.
    pub missed: u64,
    /// Whether what it carries is new.
    pub new: bool,
    /// It is not from who it says: another sender uses this publisher's id. It tells nothing else.
    pub forged: bool,
}

impl Heard {
    const FORGED: Self = Self { missed: 0, new: false, forged: true };
}

/// Everybody who was heard on a topic, and up to which number.
#[derive(Clone, Debug, Default)]
pub struct Publishers {
    by_id: BTreeMap<String, Seen>,
    heard: u64,
}

#[derive(Clone, Debug)]
struct Seen {
    /// Who used this id first, as whatever carries the frames knows it. Ids are random, so nobody else did before.
    sender: String,
    last: u64,
    announced: u64,
    /// When it was heard, counted in frames.
    at: u64,
}

impl Publishers {
    /// Takes the next frame, and who has sent it as far as its carrier knows; empty if it knows nobody. One who is heard for the first
    /// time may have said things before we listened: that is no loss.
    pub fn hear(&mut self, frame: &Frame, sender: &str) -> Heard {
        let (number, latest, announcement) = match frame.kind {
            // They carry nothing that could be new.
            FrameKind::Hello { latest } | FrameKind::Here { latest } => (0, latest, false),
            FrameKind::Message { number } => (number, number, false),
            FrameKind::Announcement { number, latest } => (number, latest.max(number), true),
        };
        self.heard += 1;
        let at = self.heard;
        let Some(seen) = self.by_id.get_mut(&frame.publisher) else {
            self.make_room();
            let announced = if announcement { number } else { 0 };
            let seen = Seen { sender: sender.to_owned(), last: latest, announced, at };
            self.by_id.insert(frame.publisher.clone(), seen);
            return Heard { missed: 0, new: true, forged: false };
        };
        if seen.sender != sender {
            return Heard::FORGED;
        }
        let unseen = latest.saturating_sub(seen.last);
        let new = number > if announcement { seen.announced } else { seen.last };
        let missed = unseen - u64::from(number > seen.last);
        seen.last = seen.last.max(latest);
        if announcement {
            seen.announced = seen.announced.max(number);
        }
        seen.at = at;
        Heard { missed, new, forged: false }
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
    use super::*;
    use proptest::prelude::*;

    const NEW: Heard = Heard { missed: 0, new: true, forged: false };
    const OLD: Heard = Heard { missed: 0, new: false, forged: false };

    const fn new_after(missed: u64) -> Heard {
        Heard { missed, new: true, forged: false }
    }

    #[test]
    fn a_gap_is_counted_once_and_a_copy_is_old() {
        let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
        let frames: Vec<Frame> = (0..6).map(|_| out.message("x")).collect();
        for (n, expected) in [(0, NEW), (1, NEW), (1, OLD), (4, new_after(2)), (0, OLD), (5, NEW)] {
            assert_eq!(heard.hear(&frames[n], ""), expected, "{n}");
        }
    }

    #[test]
    fn one_who_comes_later_counts_from_there() {
        let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
        let _ = (out.announce("a"), out.message("b"), out.message("c"));
        assert_eq!(heard.hear(&out.answer(), ""), NEW);
        assert_eq!(heard.hear(&out.message("d"), ""), NEW);
        assert_eq!(heard.hear(&out.answer(), ""), OLD);
    }

    #[test]
    fn a_repeated_announcement_tells_what_was_lost_before_it() {
        let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
        assert_eq!(heard.hear(&out.message("a"), ""), NEW);
        let _ = (out.announce("lost"), out.message("lost"));
        // The announcement itself arrives after all.
        assert_eq!(heard.hear(&out.answer(), ""), new_after(1));
        let _ = out.message("lost");
        assert_eq!(heard.hear(&out.answer(), ""), Heard { missed: 1, new: false, forged: false });
    }

    #[test]
    fn a_hello_and_its_answer_tell_what_was_lost_before_them() {
        let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
        heard.hear(&out.hello(), "");
        let _ = out.message("lost");
        assert_eq!(heard.hear(&out.message("b"), ""), new_after(1));
        let _ = out.message("lost");
        assert_eq!(heard.hear(&out.hello(), "").missed, 1);
        let _ = (out.message("lost"), out.message("lost"));
        assert_eq!(out.answer().kind, FrameKind::Here { latest: 5 });
        assert_eq!(heard.hear(&out.answer(), "").missed, 2);
        assert_eq!(heard.hear(&out.answer(), "").missed, 0, "once");
        assert_eq!(heard.hear(&out.message("c"), ""), NEW);
    }

    #[test]
    fn an_announcement_in_a_gap_is_still_new_when_it_is_repeated() {
        let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
        let first = out.message("a");
        let _ = out.announce("lost");
        let third = out.message("c");
        assert_eq!((heard.hear(&first, ""), heard.hear(&third, "")), (NEW, new_after(1)));
        assert_eq!(heard.hear(&out.answer(), ""), NEW);
    }

    #[test]
    fn nobody_speaks_for_another() {
        let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
        assert_eq!(heard.hear(&out.message("a"), "agent-1"), NEW);
        let mut thief = out.clone();
        thief.last = u64::MAX - 1;
        for frame in [thief.announce("forged"), thief.message("forged"), thief.hello()] {
            assert_eq!(heard.hear(&frame, "agent-2"), Heard::FORGED);
        }
        assert_eq!(heard.hear(&out.message("b"), "agent-1"), NEW);
    }

    #[test]
    fn a_thousand_publishers_are_remembered_and_the_most_silent_one_is_forgotten() {
        let mut heard = Publishers::default();
        let mut first = Outgoing::new("first");
        heard.hear(&first.message("x"), "");
        for n in 0..MAX_PUBLISHERS {
            heard.hear(&Outgoing::new(format!("p{n}")).message("x"), "");
        }
        assert_eq!(heard.by_id.len(), MAX_PUBLISHERS);
        let _ = first.message("lost");
        assert_eq!(heard.hear(&first.message("x"), ""), NEW, "it was forgotten");
    }

    proptest! {
        /// Whatever of a publisher's frames is lost or doubled, what is delivered and what is told to be missing add up.
        #[test]
        fn nothing_is_lost_in_silence(
            announces in any::<bool>(),
            fates in proptest::collection::vec((0u8..5, 0u8..3), 1..60),
        ) {
            let (mut out, mut heard) = (Outgoing::new("a"), Publishers::default());
            heard.hear(&out.hello(), "");
            let (mut delivered, mut missed, mut sent) = (0, 0, 0);
            if announces {
                heard.hear(&out.announce("first"), "");
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
                    let told = heard.hear(&frame, "");
                    missed += told.missed;
                    delivered += u64::from(told.new && matches!(frame.kind, FrameKind::Message { .. }));
                }
            }
            missed += heard.hear(&out.hello(), "").missed;
            prop_assert_eq!(delivered + missed, sent);
        }

        #[test]
        fn no_numbers_panic(frames in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..20)) {
            let mut heard = Publishers::default();
            for (number, latest, message) in frames {
                let kind = if message { FrameKind::Message { number } } else { FrameKind::Announcement { number, latest } };
                heard.hear(&Frame { publisher: "a".into(), kind, payload: Bytes::new() }, "");
            }
        }
    }
}
