//! A connection that stood and is lost: getting it back.
//!
//! ```text
//!              ┌────────────── failed, too slow: once more after a while ──────────────┐
//!  Connected ──┴─▶ Waiting ──┬─▶ Opening ─▶ Asking ─▶ Restarting ──────────────────────┼─▶ Connected
//!              lost          │   (resume: the same session, the same media connection) │
//!                            └─▶ Binding ─▶ Connecting ─▶ Joining ─▶ Joined ───────────┘
//!                                (anew: another session of the same participant)
//! ```
//!
//! A resume is tried first, unless the server or the media connection says that there is nothing to resume. The waits between
//! tries double, with full jitter; they begin anew once a connection has stood for [`STABLE_AFTER`]. After
//! `Config::reconnect_timeout` without success the room is over.

use super::{Effect, Phase, Signal, join};
use crate::{DisconnectReason, JoinFailure, Reconnected, RoomError, RoomEvent};
use agent_proto::{Time, livekit as proto};
use proto::signal_request::Message as Request;
use std::{mem, time::Duration};

/// The first wait between two tries; the try that follows a loss does not wait.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a connection must stand for the waits to begin anew.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How long a token may be refused before that ends the room.
const REFUSED_FOR: Duration = Duration::from_secs(15);
/// For each step of a resume: it takes a few milliseconds when it works.
const RESUME_STEP_LIMIT: Duration = Duration::from_secs(5);
/// Resumes that the server may leave without an answer before we join anew.
const MAX_UNANSWERED: u32 = 3;

/// What is being done about a lost connection.
pub(super) struct Recovery {
    since: Time,
    /// Why the connection was lost.
    cause: DisconnectReason,
    /// Why the last try failed.
    last: Option<DisconnectReason>,
    /// Whether there is nothing to resume.
    anew: bool,
    pub(super) step: Step,
    /// When the wait is over, or the step has taken too long.
    pub(super) until: Time,
    unanswered: u32,
    /// The room as it was.
    room_sid: String,
    /// Reliable messages that the old session may have lost.
    unconfirmed: u64,
}

impl Recovery {
    pub(super) fn gives_session_up(&self) -> bool {
        let old = matches!(self.step, Step::Waiting | Step::Opening | Step::Asking | Step::Restarting);
        self.anew && old
    }
}

pub(super) enum Step {
    /// Until the next try.
    Waiting,
    /// The WebSocket for a resume is being opened.
    Opening,
    /// The server is to say whether it knows us.
    Asking,
    /// It does: the media connection finds its way anew.
    Restarting,
    /// A socket for another session is being made.
    Binding,
    /// Its WebSocket is being opened.
    Connecting,
    /// The server is to let us in.
    Joining,
    /// It did: the media connection is being made.
    Joined,
}

/// Losses and tries, over the life of the room.
#[derive(Default)]
pub(super) struct Tries {
    in_a_row: u32,
    stands_since: Option<Time>,
}

/// What a server that took our session over from another one would need to know, from the layers below.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Below {
    /// Labels and stream ids of the data channels.
    pub(crate) channels: Vec<(String, u16)>,
    /// The last sequence number of each sender, by sid.
    pub(crate) received: Vec<(String, u32)>,
}

impl Signal {
    /// A connection that stood is lost.
    pub(super) fn lose(&mut self, cause: DisconnectReason, anew: bool, now: Time) {
        let anew = anew || self.media_gone.take().is_some();
        match &mut self.phase {
            Phase::Connected => {
                let stable = |since| now - since >= STABLE_AFTER;
                if self.tries.stands_since.take().is_none_or(stable) {
                    self.tries.in_a_row = 0;
                }
                self.effects.push_back(Effect::Event(RoomEvent::Reconnecting { reason: cause.clone() }));
                self.phase = Phase::Recovering(Box::new(Recovery {
                    since: now,
                    cause,
                    last: None,
                    anew,
                    step: Step::Waiting,
                    until: now,
                    unanswered: 0,
                    room_sid: self.room.sid.clone(),
                    unconfirmed: 0,
                }));
            }
            Phase::Recovering(recovery) => {
                if let Step::Asking = recovery.step {
                    recovery.unanswered += 1;
                }
                // Once there is another session, the old one is gone.
                let left =
                    matches!(recovery.step, Step::Binding | Step::Connecting | Step::Joining | Step::Joined);
                recovery.anew |= anew || left || recovery.unanswered >= MAX_UNANSWERED;
                recovery.last = Some(cause);
                recovery.step = Step::Waiting;
            }
            Phase::Unbound
            | Phase::Connecting
            | Phase::Joining
            | Phase::Joined { .. }
            | Phase::JoinFailed { .. }
            | Phase::Leaving { .. }
            | Phase::GivenUp { .. }
            | Phase::Closed => return self.lost(cause),
        }
        self.effects.push_back(Effect::CloseSignal);
        let wait = self.next_wait();
        if wait.is_zero() {
            self.try_again(false, now);
        } else if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.until = now + wait;
        }
    }

    fn next_wait(&mut self) -> Duration {
        let failures = self.tries.in_a_row;
        self.tries.in_a_row = failures.saturating_add(1);
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let most = FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT);
        // Not zero: a wait is a wait.
        Duration::from_millis(1) + most.mul_f64(self.rng.f64())
    }

    /// `late`: some time has passed since the loss.
    fn try_again(&mut self, late: bool, now: Time) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if recovery.anew {
            recovery.step = Step::Binding;
            recovery.until = now + self.config.join_timeout;
            self.effects.push_back(Effect::Rebind);
        } else {
            recovery.step = Step::Opening;
            recovery.until = now + RESUME_STEP_LIMIT;
            let reason = match recovery.cause {
                DisconnectReason::MediaLost { .. } => proto::ReconnectReason::RrPublisherFailed,
                _ => proto::ReconnectReason::RrSignalDisconnected,
            };
            let sid = self.roster.local().map(|local| local.sid.clone()).unwrap_or_default();
            let url = join::resume_url(&self.config, sid, reason);
            self.effects.push_back(Effect::Connect { url, token: self.token.clone(), late });
        }
    }

    /// The WebSocket of a try stands.
    pub(super) fn reopened(&mut self, now: Time) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        recovery.step = match recovery.step {
            Step::Opening => {
                recovery.until = now + RESUME_STEP_LIMIT;
                Step::Asking
            }
            Step::Connecting => Step::Joining,
            _ => return self.violation(),
        };
    }

    /// There is a socket for another session. `false`: none was asked for.
    pub(super) fn rebound(&mut self, offer: &str) -> bool {
        let Phase::Recovering(recovery) = &mut self.phase else { return false };
        let Step::Binding = recovery.step else { return false };
        recovery.step = Step::Connecting;
        let offer = self.next_offer(offer.to_owned());
        let url = join::url(&self.config, offer);
        self.effects.push_back(Effect::Connect { url, token: self.token.clone(), late: true });
        true
    }

    /// The server knows our session.
    pub(super) fn resumed(&mut self, response: &proto::ReconnectResponse, now: Time) {
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.step = Step::Restarting;
            recovery.until = now + RESUME_STEP_LIMIT;
            if let Some(clock) = &mut self.clock {
                clock.restart(now);
            }
            self.effects.push_back(Effect::Resume { last_sequence: response.last_message_seq });
        }
    }

    /// What the layers below had to say for an [`Effect::Resume`], and their offer. `None`: the last one is not answered yet, and the
    /// server may not have heard it.
    pub(crate) fn sync(&mut self, below: Below, offer: Option<String>, now: Time) {
        let description = |kind: &str, sdp: &str| proto::SessionDescription {
            r#type: kind.to_owned(),
            sdp: sdp.to_owned(),
            ..Default::default()
        };
        let channel = |(label, id): (String, u16)| proto::DataChannelInfo {
            label,
            id: id.into(),
            target: proto::SignalTarget::Publisher as i32,
        };
        let received = |(publisher_sid, last_seq)| proto::DataChannelReceiveState { publisher_sid, last_seq };
        self.send(Request::SyncState(proto::SyncState {
            offer: Some(description("offer", &self.descriptions.offer)),
            answer: Some(description("answer", &self.descriptions.answer)),
            subscription: Some(proto::UpdateSubscription::default()),
            data_channels: below.channels.into_iter().map(channel).collect(),
            datachannel_receive_states: below.received.into_iter().map(received).collect(),
            ..Default::default()
        }));
        self.offer(offer.unwrap_or_else(|| self.descriptions.offer.clone()));
        self.repeat_requests(now);
    }

    /// The media connection has found its way again.
    pub(crate) fn media_restarted(&mut self, now: Time) {
        if let Phase::Recovering(recovery) = &self.phase
            && let Step::Restarting = recovery.step
        {
            self.recovered(now, true);
        }
    }

    /// The server let another session of ours in.
    pub(super) fn rejoined(&mut self, join: proto::JoinResponse, local: proto::ParticipantInfo, now: Time) {
        self.start_clock(join.ping_interval, join.ping_timeout, now);
        self.room = join.room.map(Into::into).unwrap_or_default();
        self.sections = 0;
        let mut events = Vec::new();
        self.roster.rejoin(local, &join.other_participants, &mut events);
        self.update_roster(join.other_participants, &mut events);
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.step = Step::Joined;
        }
        self.effects.push_back(Effect::Hold(events));
        self.subscribe_to_all();
    }

    /// The media connection of another session stands.
    pub(super) fn reconnected(&mut self, now: Time) {
        if let Phase::Recovering(recovery) = &self.phase
            && let Step::Joined = recovery.step
        {
            self.roster.activate_local();
            self.recovered(now, false);
            let own = self.requests.own();
            if let Some(own) = own {
                self.send(Request::UpdateMetadata(own));
            }
            self.repeat_requests(now);
        }
    }

    fn recovered(&mut self, now: Time, resumed: bool) {
        let phase = mem::replace(&mut self.phase, Phase::Connected);
        let Phase::Recovering(recovery) = phase else { return };
        self.tries.stands_since = Some(now);
        let known = !recovery.room_sid.is_empty() && !self.room.sid.is_empty();
        let changed = !resumed && known && recovery.room_sid != self.room.sid;
        if !resumed && !known {
            self.was_in = Some(recovery.room_sid.clone()).filter(|sid| !sid.is_empty());
        }
        self.effects.push_back(Effect::Entered(RoomEvent::Reconnected(Box::new(Reconnected {
            resumed,
            room_changed: changed,
            unconfirmed: recovery.unconfirmed,
            after: now - recovery.since,
            room: self.room.clone(),
            local: self.roster.local().cloned().unwrap_or_default(),
        }))));
    }

    fn repeat_requests(&mut self, now: Time) {
        for id in self.requests.given_up() {
            self.done(id, Err(RoomError::TimedOut));
        }
        for message in self.requests.repeat(now + self.config.request_timeout) {
            self.send(Request::UpdateMetadata(message));
        }
    }

    /// So many reliable messages may be lost with the old session.
    pub(crate) fn unconfirmed(&mut self, messages: u64) {
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.unconfirmed += messages;
        }
    }

    /// There is no WebSocket for a join or a try.
    pub(super) fn not_opened(&mut self, failure: JoinFailure, now: Time) {
        let unauthorized = matches!(failure, JoinFailure::Unauthorized { .. });
        let failure = DisconnectReason::JoinFailed(failure);
        match &mut self.phase {
            // The same token will not do better the next time. But it was good before, and what stands before a server that is
            // being replaced may refuse it for a moment.
            Phase::Recovering(recovery) if unauthorized && now - recovery.since >= REFUSED_FOR => {
                recovery.last = Some(failure);
                self.give_recovery_up();
            }
            _ => self.lose(failure, false, now),
        }
    }

    /// The server wants to be left alone for so long. Half of the time that is left is spent on that at most, so that another try
    /// fits into it.
    pub(super) fn wait_at_least(&mut self, asked: Duration, now: Time) {
        let Some(end) = self.gives_up_at() else { return };
        if let Phase::Recovering(recovery) = &mut self.phase
            && let Step::Waiting = recovery.step
        {
            let most = (end - now) / 2;
            recovery.until = recovery.until.max(now + asked.min(most));
        }
    }

    /// The media connection is beyond help while the connection is being restored.
    pub(super) fn lose_media(&mut self, detail: String, now: Time) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        match recovery.step {
            Step::Opening | Step::Asking | Step::Restarting | Step::Joined => {
                self.lose(DisconnectReason::MediaLost { detail }, true, now)
            }
            Step::Waiting => recovery.anew = true,
            // There is none.
            Step::Binding | Step::Connecting | Step::Joining => {}
        }
    }

    /// The wait is over, or the step has taken too long.
    pub(super) fn on_recovery_step(&mut self, media: &impl Fn() -> String, now: Time) {
        let Phase::Recovering(recovery) = &self.phase else { return };
        let slow = |what: &str| JoinFailure::Refused {
            status: None,
            detail: format!("no answer to {what} in time"),
        };
        let (failure, anew) = match recovery.step {
            Step::Waiting => return self.try_again(true, now),
            Step::Opening | Step::Connecting | Step::Binding => (JoinFailure::SignalTimeout, false),
            // A server that speaks, but does not answer, and media that find no way: another session may.
            Step::Asking => (slow("the resume"), true),
            Step::Restarting => (JoinFailure::MediaTimeout { detail: media() }, true),
            Step::Joining => (JoinFailure::SignalTimeout, true),
            Step::Joined => (JoinFailure::MediaTimeout { detail: media() }, true),
        };
        if matches!(recovery.step, Step::Joined) {
            self.say_leave();
        }
        self.lose(DisconnectReason::JoinFailed(failure), anew, now);
    }

    pub(super) fn give_recovery_up(&mut self) {
        if self.phase.signal_stands() {
            self.say_leave();
        }
        if let Phase::Recovering(recovery) = &self.phase {
            let last = recovery.last.as_ref().unwrap_or(&recovery.cause);
            let reason = DisconnectReason::ReconnectFailed {
                cause: Box::new(recovery.cause.clone()),
                last: Box::new(last.clone()),
            };
            self.finish(reason);
        }
    }

    pub(super) fn gives_up_at(&self) -> Option<Time> {
        match &self.phase {
            Phase::Recovering(recovery) => Some(recovery.since + self.config.reconnect_timeout),
            _ => None,
        }
    }
}
