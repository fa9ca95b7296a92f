//! When a job is over because of its room and of who is in it. Pure rules of one job; `watch` carries them out.
//!
//! A server closes a room by itself: some time after its last person left (`departure_timeout`), or after it was made, when nobody ever
//! came (`empty_timeout`). It then records a failure for every job in it, whatever the worker reports afterwards. So a job that has nothing
//! to wait for ends before that moment.

use crate::config::EndWhen;
use crate::job::{Job, Target};
use crate::outcome::CancelReason;
use agent_proto::Time;
use std::time::Duration;

/// Who is in the room of a job, besides its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Presence {
    /// People, or what stands for one: ordinary clients, callers, connectors.
    pub people: usize,
    /// Participants for which a server keeps the room open: all but agents and recorders.
    pub keepers: usize,
    /// The session (`PA_…`) of the participant that the job is about; `None` when it is not there, and for a room job.
    pub target: Option<String>,
}

/// A room, as its server describes it to who joins it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JoinedRoom {
    /// Its id, `RM_…`; empty while the server has not sent it.
    pub sid: String,
    /// How long ago it was made.
    pub age: Duration,
    /// After which time the server closes a room to which nobody came; `None` when it does not say.
    pub empty_timeout: Option<Duration>,
    /// How long after the last person left the server closes it; `None` when it does not say.
    pub departure_timeout: Option<Duration>,
}

/// A server sends the leave of a participant that publishes nothing up to this much later.
const LEAVE_LAG: Duration = Duration::from_secs(3);
/// A server counts whole seconds: a room may close this much earlier than it says.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// A little time for the handler to return and for its status to arrive.
const LEAST_HANDOVER: Duration = Duration::from_millis(500);
/// As much of it as is taken where there is time.
const HANDOVER: Duration = Duration::from_secs(10);
/// How long to wait at least for a target that was not there when its room was joined.
const ABSENT_TARGET: Duration = Duration::from_secs(10);

/// The shortest departure timeout that leaves time to end a job before its room is closed.
pub const MIN_DEPARTURE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of the room of one job.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomWatch {
    /// The room that was joined, once its id is known.
    sid: Option<String>,
    departure_timeout: Option<Duration>,
    /// When to end at the latest while nobody ever came.
    nobody_by: Option<Time>,
    /// The server took the agent to another room: sessions there say nothing about those of the job's room.
    moved: bool,
    /// Somebody was there who counts, or who keeps the room open.
    seen: bool,
    kept: bool,
    /// Since when who counts is not there, and since when nothing keeps the room open; `None` while it is so, and before the first look.
    absent_since: Option<Time>,
    unkept_since: Option<Time>,
}

/// Whose presence decides.
enum Subject<'a> {
    /// Nobody's: the handler or the server ends the job.
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

/// What a room's settings do to the wait that was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShortRoom {
    pub(super) departure_timeout: Duration,
    /// The configured wait, and the one that is left of it.
    pub(super) configured: Duration,
    pub(super) wait: Duration,
}

impl<'a> Rules<'a> {
    fn subject(self) -> Subject<'a> {
        match (self.end_when, &self.job.target) {
            (EndWhen::Never, _) => Subject::Nobody,
            (EndWhen::Empty { .. }, _) | (EndWhen::TargetLeft { .. }, None) => Subject::People,
            // It is not shown to anybody, so that it seems to be away all the time.
            (EndWhen::TargetLeft { .. }, Some(target)) if target.hidden => Subject::Nobody,
            (EndWhen::TargetLeft { .. }, Some(target)) => Subject::Target(target),
        }
    }
}

impl RoomWatch {
    /// The room was joined, or its description changed; a reason to stop if it is not the one that the job is for.
    pub(super) fn on_room(&mut self, room: JoinedRoom, rules: Rules<'_>, now: Time) -> Option<CancelReason> {
        self.departure_timeout = room.departure_timeout;
        self.nobody_by =
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

    /// Who is there changed; a reason to stop at once, if there is one.
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
                    // The server makes a job for each session: the new one has its own.
                    return Some(CancelReason::TargetReplaced);
                }
                // One of a known session was there, or there would be no job.
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
            // It was there when the job was made. Servers that are slow to say so get some time.
            Subject::Target(target) if !target.sid.is_empty() => Some(absent + after.max(ABSENT_TARGET)),
            Subject::People | Subject::Target(_) => None,
        };
        let by_server = match (self.unkept_since, self.kept) {
            (None, _) => None,
            (Some(unkept), true) => self.departure_timeout.map(|timeout| unkept + before_departure(timeout)),
            (Some(_), false) => self.nobody_by,
        };
        by_policy.into_iter().chain(by_server).min()
    }

    /// Why the job is over when that moment has come.
    pub(super) fn reason(&self, rules: Rules<'_>) -> CancelReason {
        let text = match rules.subject() {
            Subject::Target(target) if self.seen || !target.sid.is_empty() => "the participant has left",
            _ if self.kept || self.seen => "the room is empty",
            _ => "nobody has come into the room",
        };
        CancelReason::Shutdown(text.to_owned())
    }

    /// Whether the room leaves less time than was configured on purpose, or too little for any job.
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

/// How long to wait at most after the last person left.
fn before_departure(timeout: Duration) -> Duration {
    let least = LEAVE_LAG + CLOCK_STEP + LEAST_HANDOVER;
    timeout.saturating_sub((timeout / 2).clamp(least, HANDOVER))
}

/// How long to wait at most for the first person.
fn before_empty(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 10).clamp(CLOCK_STEP + LEAST_HANDOVER, HANDOVER))
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
