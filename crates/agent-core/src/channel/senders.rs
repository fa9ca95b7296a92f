//! Who may speak on the topic of a room: agents alone. Anybody in a room can send data to any topic.
//!
//! What comes is judged by who was in the room when it came, in the order in which the room tells: an agent that has said something and
//! left at once is heard. Data can also come some seconds before its sender is announced, or just after it has left; so unknown
//! senders are held for a while, and those who have left are remembered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::Time;

/// Frames of one sender that is not known yet, and their bytes.
const MAX_HELD: usize = 1024;
const MAX_HELD_BYTES: usize = 1024 * 1024;
/// Bytes of all of them. Beyond that whoever has sent most loses it.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Unknown senders at a time. Beyond that the one that was held for longest is forgotten.
const MAX_UNKNOWN: usize = 256;
/// A server announces a participant within three seconds.
const HOLD: Duration = Duration::from_secs(10);
/// Senders that have left and are remembered.
const MAX_GONE: usize = 256;

/// Everybody in a room who may send something.
///
/// ```
/// use agent_core::{Senders, Time, Belief};
///
/// let mut senders = Senders::default();
/// assert_eq!(senders.heard("agent-1", "hello".into(), Time::ZERO), Belief::Held);
/// assert_eq!(senders.joined("agent-1", true).frames, ["hello"]);
/// senders.joined("ada", false);
/// assert_eq!(senders.heard("ada", "forged".into(), Time::ZERO), Belief::Refused { first: true });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Senders {
    present: BTreeMap<String, Present>,
    /// Whether it was an agent; the last to leave at the end.
    gone: VecDeque<(String, bool)>,
    unknown: BTreeMap<String, Unknown>,
}

#[derive(Clone, Copy, Debug)]
struct Present {
    agent: bool,
    refused: bool,
}

#[derive(Clone, Debug)]
struct Unknown {
    since: Time,
    held: Held,
    bytes: usize,
}

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belief {
    /// An agent has sent it.
    Taken(Bytes),
    /// Its sender is not known yet.
    Held,
    /// No agent has sent it.
    Refused {
        /// Whether it is the first one of this sender.
        first: bool,
    },
}

/// What an agent had sent before it was known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// In their order.
    pub frames: Vec<Bytes>,
    /// Whether there was more than could be held.
    pub lost: bool,
}

impl Senders {
    /// Somebody is there. Gives what it had sent before that was known, if it is an agent.
    pub fn joined(&mut self, identity: &str, agent: bool) -> Held {
        self.gone.retain(|(gone, _)| gone != identity);
        self.present.insert(identity.to_owned(), Present { agent, refused: false });
        let held = self.unknown.remove(identity).map(|unknown| unknown.held);
        held.filter(|_| agent).unwrap_or_default()
    }

    /// Somebody is gone.
    pub fn left(&mut self, identity: &str) {
        self.unknown.remove(identity);
        let Some(Present { agent, .. }) = self.present.remove(identity) else { return };
        if self.gone.len() >= MAX_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back((identity.to_owned(), agent));
    }

    /// Whether this one is an agent, if it is known.
    #[must_use]
    pub fn is_agent(&self, identity: &str) -> Option<bool> {
        let present = self.present.get(identity).map(|present| present.agent);
        present.or_else(|| self.gone.iter().find(|(gone, _)| gone == identity).map(|(_, agent)| *agent))
    }

    /// Somebody has sent a frame.
    pub fn heard(&mut self, identity: &str, frame: Bytes, now: Time) -> Belief {
        match self.is_agent(identity) {
            Some(true) => Belief::Taken(frame),
            Some(false) => {
                let present = self.present.get_mut(identity);
                Belief::Refused { first: present.is_some_and(|p| !std::mem::replace(&mut p.refused, true)) }
            }
            None => {
                self.hold(identity, frame, now);
                Belief::Held
            }
        }
    }

    fn hold(&mut self, identity: &str, frame: Bytes, now: Time) {
        self.unknown.retain(|_, unknown| now - unknown.since <= HOLD);
        if !self.unknown.contains_key(identity) && self.unknown.len() >= MAX_UNKNOWN {
            let oldest = self.unknown.iter().min_by_key(|(_, unknown)| unknown.since);
            oldest.map(|(identity, _)| identity.clone()).and_then(|oldest| self.unknown.remove(&oldest));
        }
        let new = || Unknown { since: now, held: Held::default(), bytes: 0 };
        let unknown = self.unknown.entry(identity.to_owned()).or_insert_with(new);
        if unknown.held.frames.len() < MAX_HELD && unknown.bytes + frame.len() <= MAX_HELD_BYTES {
            unknown.bytes += frame.len();
            unknown.held.frames.push(frame);
        } else {
            unknown.held.lost = true;
        }
        while self.unknown.values().map(|unknown| unknown.bytes).sum::<usize>() > MAX_BYTES {
            let Some(most) = self.unknown.values_mut().max_by_key(|unknown| unknown.bytes) else { break };
            (most.bytes, most.held) = (0, Held { frames: Vec::new(), lost: true });
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
    fn an_agent_that_leaves_at_once_is_heard_and_a_person_of_that_name_is_not() {
        let mut senders = Senders::default();
        senders.joined("a", true);
        senders.left("a");
        assert_eq!(senders.heard("a", frame("last words"), at(0)), Belief::Taken(frame("last words")));
        senders.joined("a", false);
        assert_eq!(senders.heard("a", frame("forged"), at(0)), Belief::Refused { first: true });
        assert_eq!(senders.heard("a", frame("forged"), at(0)), Belief::Refused { first: false });
    }

    #[test]
    fn what_comes_before_its_sender_is_known_waits_for_it() {
        let mut senders = Senders::default();
        for text in ["one", "two"] {
            assert_eq!(senders.heard("a", frame(text), at(0)), Belief::Held);
        }
        assert_eq!(senders.joined("a", true), Held { frames: vec![frame("one"), frame("two")], lost: false });
        assert_eq!(senders.joined("a", true), Held::default(), "once");
        assert_eq!(senders.heard("p", frame("forged"), at(0)), Belief::Held);
        assert_eq!(senders.joined("p", false), Held::default());
    }

    #[test]
    fn a_flood_of_one_unknown_sender_costs_no_other_its_frames() {
        let mut senders = Senders::default();
        assert_eq!(senders.heard("a", frame("hello"), at(0)), Belief::Held);
        for _ in 0..100_000 {
            senders.heard("p", frame("flood"), at(0));
        }
        assert_eq!(senders.unknown.get("p").unwrap().held.frames.len(), MAX_HELD);
        for _ in 0..100 {
            senders.heard("q", vec![0; 60_000].into(), at(0));
        }
        assert!(senders.unknown.get("q").unwrap().bytes <= MAX_HELD_BYTES);
        for n in 0..20_000 {
            senders.heard(&format!("q{}", n % 40), vec![0; 60_000].into(), at(0));
        }
        assert!(senders.unknown.values().map(|unknown| unknown.bytes).sum::<usize>() <= MAX_BYTES);
        assert_eq!(senders.joined("a", true), Held { frames: vec![frame("hello")], lost: false });
        assert!(senders.joined("q", true).lost);
    }

    #[test]
    fn senders_that_never_come_are_forgotten() {
        let mut senders = Senders::default();
        senders.heard("ghost", frame("boo"), at(0));
        senders.heard("a", frame("hello"), at(11));
        assert_eq!(senders.joined("ghost", true), Held::default());
        for n in 0..1_000 {
            senders.heard(&format!("u{n}"), frame("x"), at(12));
            let identity = format!("p{n}");
            senders.joined(&identity, false);
            senders.left(&identity);
        }
        assert!(senders.gone.len() <= MAX_GONE && senders.unknown.len() <= MAX_UNKNOWN);
        assert_eq!(senders.present.len(), 1);
    }
}
