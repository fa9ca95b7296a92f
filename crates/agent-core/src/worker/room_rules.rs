//! When a job is over because of its room and its participants. Pure rules of one job; `watch` carries them
//! out.
//!
//! A server closes a room some time after its last participant left (`departure_timeout`), or after its
//! creation when nobody joined (`empty_timeout`). It then records a failure for every job in it, whatever the
//! worker reports afterwards. So a job that has nothing to wait for ends before that moment.

use std::time::Duration;

use agent_proto::Time;

use crate::config::EndWhen;
use crate::job::{Job, Target};
use crate::outcome::CancelReason;

/// The participants in the room of a job, besides its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Presence {
    /// People, and participants that represent one: ordinary clients, callers, connectors.
    pub people: usize,
    /// Participants for which a server keeps the room open: all but agents and recorders.
    pub keepers: usize,
    /// The session (`PA_…`) of the target participant; `None` when it is absent, and for a room job.
    pub target: Option<String>,
}

/// A room, as its server describes it on joining.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JoinedRoom {
    /// Its id, `RM_…`; empty while the server has not sent it.
    pub sid: String,
    /// How long ago it was created.
    pub age: Duration,
    /// How long it took to join it.
    pub took: Duration,
    /// How long after its creation the server closes a room that nobody joined; `None` when not known.
    pub empty_timeout: Option<Duration>,
    /// How long after the last participant leaves the server closes it; `None` when not known.
    pub departure_timeout: Option<Duration>,
}

/// How late a server may report that a participant without tracks has left.
const LEAVE_LAG: Duration = Duration::from_secs(3);
/// A server counts whole seconds: a room may close this much before its timeout.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// Minimum time for the handler to return and for its status to arrive.
const MIN_HANDOVER: Duration = Duration::from_millis(500);
/// The time for that where the timeout allows it.
const HANDOVER: Duration = Duration::from_secs(10);
/// Minimum wait for a target that was absent when its room was joined.
const ABSENT_TARGET: Duration = Duration::from_secs(10);

/// The shortest departure timeout that leaves time to end a job before its room is closed.
pub const MIN_DEPARTURE_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of the room of one job.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomWatch {
    /// Whether a room was joined.
    joined: bool,
    /// The room that was joined, once its id is known.
    sid: Option<String>,
    departure_timeout: Option<Duration>,
    /// When to end at the latest while nobody has joined.
    empty_deadline: Option<Time>,
    /// The server moved the agent to another room: sessions there are unrelated to those of the job's room.
    moved: bool,
    /// Whether the subject, or a participant that keeps the room open, was ever present.
    seen: bool,
    kept: bool,
    /// Since when the subject is absent, and since when nothing keeps the room open; `None` while present,
    /// and before the first look.
    absent_since: Option<Time>,
    unkept_since: Option<Time>,
}

/// Whose presence decides.
enum Subject<'a> {
    /// None: the handler or the server ends the job.
    Nobody,
    People,
    Target(&'a Target),
}

/// The rules and the job that they are applied to.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) end_when: EndWhen,
    /// Whether a job stays in another room of the same name.
    pub(super) stay: bool,
    pub(super) job: &'a Job,
}

/// The effect of a room's settings on the configured wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShortRoom {
    pub(super) departure_timeout: Duration,
    /// The configured wait, and the wait that remains of it.
    pub(super) configured: Duration,
    pub(super) wait: Duration,
}

impl<'a> Rules<'a> {
    fn subject(self) -> Subject<'a> {
        match (self.end_when, &self.job.target) {
            (EndWhen::Never, _) => Subject::Nobody,
            (EndWhen::Empty { .. }, _) | (EndWhen::TargetLeft { .. }, None) => Subject::People,
            // Hidden participants always seem absent.
            (EndWhen::TargetLeft { .. }, Some(target)) if target.hidden => Subject::Nobody,
            (EndWhen::TargetLeft { .. }, Some(target)) => Subject::Target(target),
        }
    }
}

impl RoomWatch {
    /// The room was joined, or its description changed. Returns a reason to cancel if it is not the job's
    /// room.
    pub(super) fn on_room(&mut self, room: JoinedRoom, rules: Rules<'_>, now: Time) -> Option<CancelReason> {
        self.joined = true;
        self.departure_timeout = room.departure_timeout;
        self.empty_deadline =
            room.empty_timeout.map(|timeout| now + before_empty(timeout).saturating_sub(room.age));
        if room.sid.is_empty() {
            return None;
        }
        let expected = &rules.job.room.sid;
        let other = match &self.sid {
            None => !expected.is_empty() && *expected != room.sid,
            Some(before) => {
                self.moved |= *before != room.sid;
                false
            }
        };
        self.moved |= other;
        self.sid = Some(room.sid);
        (other && !rules.stay).then_some(CancelReason::RoomGone)
    }

    pub(super) const fn has_joined(&self) -> bool {
        self.joined
    }

    /// The participants changed. Returns a reason to cancel at once, if there is one.
    pub(super) fn on_presence(
        &mut self,
        presence: &Presence,
        rules: Rules<'_>,
        now: Time,
    ) -> Option<CancelReason> {
        let there = match rules.subject() {
            Subject::Nobody => return None,
            Subject::People => presence.people > 0,
            Subject::Target(target) => {
                let replaced = |session: &String| !target.sid.is_empty() && *session != target.sid;
                if !self.moved && presence.target.as_ref().is_some_and(replaced) {
                    // The server creates a job for each session: the new one has its own.
                    return Some(CancelReason::TargetReplaced);
                }
                // A target with a known session was present when the job was created.
                self.kept |= !target.sid.is_empty();
                presence.target.is_some()
            }
        };
        self.seen |= there;
        self.kept |= presence.keepers > 0;
        since(&mut self.absent_since, there, now);
        since(&mut self.unkept_since, presence.keepers > 0, now);
        None
    }

    /// When the job is over if nothing changes.
    pub(super) fn ends_at(&self, rules: Rules<'_>) -> Option<Time> {
        let absent = self.absent_since?;
        let after = rules.end_when.after()?;
        let by_policy = match rules.subject() {
            Subject::Nobody => return None,
            _ if self.seen => Some(absent + after),
            // It was present when the job was created. The server may report that with a delay.
            Subject::Target(target) if !target.sid.is_empty() => Some(absent + after.max(ABSENT_TARGET)),
            Subject::People | Subject::Target(_) => None,
        };
        let by_server = match (self.unkept_since, self.kept) {
            (None, _) => None,
            (Some(unkept), true) => self.departure_timeout.map(|timeout| unkept + before_departure(timeout)),
            (Some(_), false) => self.empty_deadline,
        };
        by_policy.into_iter().chain(by_server).min()
    }

    /// The reason of the cancellation at that moment.
    pub(super) fn reason(&self, rules: Rules<'_>) -> CancelReason {
        let text = match rules.subject() {
            Subject::Target(target) if self.seen || !target.sid.is_empty() => "the participant has left",
            _ if self.kept || self.seen => "the room is empty",
            _ => "nobody has come into the room",
        };
        CancelReason::Shutdown(text.to_owned())
    }

    /// Whether the room leaves less time than was explicitly configured, or too little for any job.
    pub(super) fn short_room(&self, rules: Rules<'_>) -> Option<ShortRoom> {
        if matches!(rules.subject(), Subject::Nobody) {
            return None;
        }
        let (departure_timeout, configured) = (self.departure_timeout?, rules.end_when.after()?);
        let wait = configured.min(before_departure(departure_timeout));
        let on_purpose = rules.end_when.after() != EndWhen::default().after();
        let short = departure_timeout < MIN_DEPARTURE_TIMEOUT || (on_purpose && wait < configured);
        short.then_some(ShortRoom { departure_timeout, configured, wait })
    }
}

/// The longest wait after the last participant left.
fn before_departure(timeout: Duration) -> Duration {
    let least = LEAVE_LAG + CLOCK_STEP + MIN_HANDOVER;
    timeout.saturating_sub((timeout / 2).clamp(least, HANDOVER))
}

/// The longest wait for the first participant.
fn before_empty(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 10).clamp(CLOCK_STEP + MIN_HANDOVER, HANDOVER))
}

fn since(moment: &mut Option<Time>, there: bool, now: Time) {
    if there {
        *moment = None;
    } else {
        moment.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_before_the_server_closes_the_room() {
        let seconds = Duration::from_secs;
        for (timeout, wait) in
            [(0, 0), (1, 0), (4, 0), (5, 500), (9, 4_500), (12, 6_000), (20, 10_000), (60, 50_000)]
        {
            assert_eq!(
                before_departure(seconds(timeout)),
                Duration::from_millis(wait),
                "departure {timeout} s"
            );
        }
        for (timeout, wait) in [(0, 0), (1, 0), (2, 500), (5, 3_500), (60, 54_000), (300, 290_000)] {
            assert_eq!(before_empty(seconds(timeout)), Duration::from_millis(wait), "empty {timeout} s");
        }
        let least = MIN_DEPARTURE_TIMEOUT - LEAVE_LAG - CLOCK_STEP;
        assert!(before_departure(MIN_DEPARTURE_TIMEOUT) < least);
    }
}
