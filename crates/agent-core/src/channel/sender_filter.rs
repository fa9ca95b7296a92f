//! Which participants may publish on the topic of a room: agents only, as any participant can send data to
//! any topic.
//!
//! A frame is judged by the participants at its arrival, in the order of the room's events: an agent that
//! publishes and leaves at once is accepted. Data can also arrive some seconds before its sender is
//! announced, or just after it has left; so frames of unknown senders are held for a while, and senders that
//! have left are remembered for a moment. No longer: their identities may then be those of others.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::Time;

/// Maximum number and bytes of held frames of one unknown sender.
const MAX_HELD: usize = 1024;
const MAX_HELD_BYTES: usize = 1024 * 1024;
/// Maximum bytes of all held frames. Beyond it the sender with the most bytes loses its frames.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of unknown senders. Beyond it the oldest one is forgotten.
const MAX_UNKNOWN: usize = 256;
/// How long frames are held. A server announces a participant within 3 s.
const HOLD: Duration = Duration::from_secs(10);
/// How long, and how many, senders that have left are remembered.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_GONE: usize = 256;

/// Accepts, holds or refuses frames by their sender.
///
/// ```
/// use agent_core::{SenderFilter, Time, Trust};
///
/// let mut senders = SenderFilter::default();
/// assert_eq!(senders.receive("agent-1", "hello".into(), Time::ZERO), Trust::Held);
/// assert_eq!(senders.joined("agent-1", true).frames, ["hello"]);
/// senders.joined("ada", false);
/// assert_eq!(senders.receive("ada", "forged".into(), Time::ZERO), Trust::Refused { first: true });
/// ```
#[derive(Clone, Debug, Default)]
pub struct SenderFilter {
    present: BTreeMap<String, Present>,
    /// The last to leave at the end.
    gone: VecDeque<Gone>,
    unknown: BTreeMap<String, Unknown>,
}

#[derive(Clone, Copy, Debug)]
struct Present {
    agent: bool,
    refused: bool,
}

/// A sender that has left.
#[derive(Clone, Debug)]
struct Gone {
    identity: String,
    agent: bool,
    since: Time,
}

#[derive(Clone, Debug)]
struct Unknown {
    since: Time,
    held: HeldFrames,
    bytes: usize,
}

/// What to do with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its sender is an agent.
    Accepted(Bytes),
    /// Its sender is not known yet; the frame is held.
    Held,
    /// Its sender is not an agent.
    Refused {
        /// Whether it is the first one of this sender.
        first: bool,
    },
}

/// The frames that an agent sent before it was announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldFrames {
    /// The frames, in order of arrival.
    pub frames: Vec<Bytes>,
    /// Whether frames beyond the limits were lost.
    pub lost: bool,
}

impl SenderFilter {
    /// A participant was announced. Returns the frames held for it, if it is an agent.
    pub fn joined(&mut self, identity: &str, agent: bool) -> HeldFrames {
        self.gone.retain(|gone| gone.identity != identity);
        self.present.insert(identity.to_owned(), Present { agent, refused: false });
        let held = self.unknown.remove(identity).map(|unknown| unknown.held);
        held.filter(|_| agent).unwrap_or_default()
    }

    /// A participant left.
    pub fn left(&mut self, identity: &str, now: Time) {
        self.unknown.remove(identity);
        let Some(Present { agent, .. }) = self.present.remove(identity) else { return };
        if self.gone.len() >= MAX_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(Gone { identity: identity.to_owned(), agent, since: now });
    }

    /// Whether the participant is an agent; `None` if it is unknown.
    #[must_use]
    pub fn is_agent(&self, identity: &str, now: Time) -> Option<bool> {
        let present = self.present.get(identity).map(|present| present.agent);
        let remembered = |gone: &&Gone| gone.identity == identity && now - gone.since <= REMEMBERED;
        present.or_else(|| self.gone.iter().rev().find(remembered).map(|gone| gone.agent))
    }

    /// Takes a frame of a participant.
    pub fn receive(&mut self, identity: &str, frame: Bytes, now: Time) -> Trust {
        match self.is_agent(identity, now) {
            Some(true) => Trust::Accepted(frame),
            Some(false) => {
                let present = self.present.get_mut(identity);
                Trust::Refused { first: present.is_some_and(|p| !std::mem::replace(&mut p.refused, true)) }
            }
            None => {
                self.hold(identity, frame, now);
                Trust::Held
            }
        }
    }

    fn hold(&mut self, identity: &str, frame: Bytes, now: Time) {
        self.unknown.retain(|_, unknown| now - unknown.since <= HOLD);
        if !self.unknown.contains_key(identity) && self.unknown.len() >= MAX_UNKNOWN {
            let oldest = self.unknown.iter().min_by_key(|(_, unknown)| unknown.since);
            oldest.map(|(identity, _)| identity.clone()).and_then(|oldest| self.unknown.remove(&oldest));
        }
        let new = || Unknown { since: now, held: HeldFrames::default(), bytes: 0 };
        let unknown = self.unknown.entry(identity.to_owned()).or_insert_with(new);
        if unknown.held.frames.len() < MAX_HELD && unknown.bytes + frame.len() <= MAX_HELD_BYTES {
            unknown.bytes += frame.len();
            unknown.held.frames.push(frame);
        } else {
            unknown.held.lost = true;
        }
        while self.unknown.values().map(|unknown| unknown.bytes).sum::<usize>() > MAX_BYTES {
            let Some(most) = self.unknown.values_mut().max_by_key(|unknown| unknown.bytes) else { break };
            (most.bytes, most.held) = (0, HeldFrames { frames: Vec::new(), lost: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn an_agent_that_leaves_at_once_is_accepted_and_a_person_of_that_name_is_not() {
        let mut senders = SenderFilter::default();
        senders.joined("a", true);
        senders.left("a", at(0));
        assert_eq!(senders.receive("a", frame("last frame"), at(0)), Trust::Accepted(frame("last frame")));
        senders.joined("a", false);
        assert_eq!(senders.receive("a", frame("forged"), at(0)), Trust::Refused { first: true });
        assert_eq!(senders.receive("a", frame("forged"), at(0)), Trust::Refused { first: false });
    }

    #[test]
    fn a_sender_that_left_is_remembered_for_a_moment_only() {
        for agent in [true, false] {
            let mut senders = SenderFilter::default();
            senders.joined("a", agent);
            senders.left("a", at(0));
            let last = senders.receive("a", frame("last frame"), at(5));
            let expected =
                if agent { Trust::Accepted(frame("last frame")) } else { Trust::Refused { first: false } };
            assert_eq!((last, senders.is_agent("a", at(5))), (expected, Some(agent)));
            // Another participant with its identity may send before it is announced.
            assert_eq!(senders.is_agent("a", at(6)), None);
            assert_eq!(senders.receive("a", frame("hello"), at(6)), Trust::Held);
            let held = senders.joined("a", !agent).frames;
            assert_eq!(held, if agent { vec![] } else { vec![frame("hello")] });
        }
    }

    #[test]
    fn frames_of_an_unknown_sender_wait_until_it_is_known() {
        let mut senders = SenderFilter::default();
        for text in ["one", "two"] {
            assert_eq!(senders.receive("a", frame(text), at(0)), Trust::Held);
        }
        assert_eq!(
            senders.joined("a", true),
            HeldFrames { frames: vec![frame("one"), frame("two")], lost: false }
        );
        assert_eq!(senders.joined("a", true), HeldFrames::default(), "once");
        assert_eq!(senders.receive("p", frame("forged"), at(0)), Trust::Held);
        assert_eq!(senders.joined("p", false), HeldFrames::default());
    }

    #[test]
    fn a_flood_of_one_unknown_sender_costs_no_other_its_frames() {
        let mut senders = SenderFilter::default();
        assert_eq!(senders.receive("a", frame("hello"), at(0)), Trust::Held);
        for _ in 0..100_000 {
            senders.receive("p", frame("flood"), at(0));
        }
        assert_eq!(senders.unknown.get("p").unwrap().held.frames.len(), MAX_HELD);
        for _ in 0..100 {
            senders.receive("q", vec![0; 60_000].into(), at(0));
        }
        assert!(senders.unknown.get("q").unwrap().bytes <= MAX_HELD_BYTES);
        for n in 0..20_000 {
            senders.receive(&format!("q{}", n % 40), vec![0; 60_000].into(), at(0));
        }
        assert!(senders.unknown.values().map(|unknown| unknown.bytes).sum::<usize>() <= MAX_BYTES);
        assert_eq!(senders.joined("a", true), HeldFrames { frames: vec![frame("hello")], lost: false });
        assert!(senders.joined("q", true).lost);
    }

    #[test]
    fn senders_that_never_join_are_dropped() {
        let mut senders = SenderFilter::default();
        senders.receive("ghost", frame("boo"), at(0));
        senders.receive("a", frame("hello"), at(11));
        assert_eq!(senders.joined("ghost", true), HeldFrames::default());
        for n in 0..1_000 {
            senders.receive(&format!("u{n}"), frame("x"), at(12));
            let identity = format!("p{n}");
            senders.joined(&identity, false);
            senders.left(&identity, at(12));
        }
        assert!(senders.gone.len() <= MAX_GONE && senders.unknown.len() <= MAX_UNKNOWN);
        assert_eq!(senders.present.len(), 1);
    }
}
