//! Recovery of an established connection that was lost.
//!
//! ```text
//!              ┌────────────── failed, too slow: once more after a while ──────────────┐
//!  Connected ──┴─▶ Waiting ──┬─▶ Opening ─▶ Asking ─▶ Restarting ──────────────────────┼─▶ Connected
//!              lost          │   (resume: the same session, the same media connection) │
//!                            └─▶ Binding ─▶ Connecting ─▶ Joining ─▶ Joined ───────────┘
//!                                (rejoin: a new session of the same participant)
//! ```
//!
//! A resume is tried first, unless the server or the media connection reports that there is nothing to
//! resume. The delays between attempts double, with full jitter; they restart from the first one after a
//! connection has lasted for [`STABLE_AFTER`]. After `Config::reconnect_timeout` without success the room
//! ends.

use std::mem;
use std::time::Duration;

use agent_proto::{Time, livekit as proto};

use super::phase::{Phase, Recovery, Step};
use super::{Signal, SignalOutput, join};
use crate::data_tracks::DataTrackState;
use crate::{DisconnectReason, JoinFailure, Reconnected, RoomError, RoomEvent};
use proto::signal_request::Message as Request;

/// First delay between two attempts; the attempt right after a loss has none.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Maximum delay between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a connection must last to reset the delays.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How long a token may be refused before the room ends.
const REFUSED_FOR: Duration = Duration::from_secs(15);
/// Timeout of each step of a resume, which takes a few milliseconds if it works.
const RESUME_STEP_LIMIT: Duration = Duration::from_secs(5);
/// Maximum number of unanswered resumes before a rejoin.
const MAX_UNANSWERED: u32 = 3;

/// Counters of losses and attempts, over the life of the room.
#[derive(Default)]
pub(super) struct Retries {
    in_a_row: u32,
    established_since: Option<Time>,
}

/// State of the lower layers for a server that takes over our session.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LowerState {
    /// Labels and stream ids of the data channels.
    pub(crate) channels: Vec<(String, u16)>,
    /// The last sequence number of each sender, by sid.
    pub(crate) received: Vec<(String, u32)>,
    /// Our data tracks, and those that we receive.
    pub(crate) data_tracks: DataTrackState,
    /// Our audio tracks.
    pub(crate) tracks: Vec<proto::TrackPublishedResponse>,
}

impl Signal {
    /// An established connection was lost.
    pub(super) fn lose(&mut self, cause: DisconnectReason, new_session: bool, now: Time) {
        // In any case, as a new session has a media connection of its own.
        let media_gone = self.media_gone.take().is_some();
        let new_session = new_session || media_gone;
        match &mut self.phase {
            Phase::Connected => {
                let stable = |since| now - since >= STABLE_AFTER;
                if self.tries.established_since.take().is_none_or(stable) {
                    self.tries.in_a_row = 0;
                }
                self.outputs
                    .push_back(SignalOutput::Event(RoomEvent::Reconnecting { reason: cause.clone() }));
                self.phase = Phase::Recovering(Box::new(Recovery {
                    since: now,
                    cause,
                    last: None,
                    new_session,
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
                // Once there is a new session, the old one is gone.
                let left =
                    matches!(recovery.step, Step::Binding | Step::Connecting | Step::Joining | Step::Joined);
                recovery.new_session |= new_session || left || recovery.unanswered >= MAX_UNANSWERED;
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
        self.outputs.push_back(SignalOutput::CloseSignal);
        let wait = self.next_wait();
        if wait.is_zero() {
            self.retry(false, now);
        } else if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.until = now + wait;
        }
    }

    fn next_wait(&mut self) -> Duration {
        let failures = self.tries.in_a_row;
        self.tries.in_a_row = failures.saturating_add(1);
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let most = FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT);
        // Not zero, so that time passes between two attempts.
        Duration::from_millis(1) + most.mul_f64(self.rng.f64())
    }

    /// `may_be_new_server`: some time has passed since the loss.
    fn retry(&mut self, may_be_new_server: bool, now: Time) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        if recovery.new_session {
            recovery.step = Step::Binding;
            recovery.until = now + self.config.join_timeout;
            self.outputs.push_back(SignalOutput::Rebind);
        } else {
            recovery.step = Step::Opening;
            recovery.until = now + RESUME_STEP_LIMIT;
            let reason = match recovery.cause {
                DisconnectReason::MediaLost { .. } => proto::ReconnectReason::RrPublisherFailed,
                _ => proto::ReconnectReason::RrSignalDisconnected,
            };
            let sid = self.roster.local().map(|local| local.sid.clone()).unwrap_or_default();
            let url = join::resume_url(&self.config, sid, reason, self.subscriptions.sends_by_itself());
            self.outputs.push_back(SignalOutput::Connect {
                url,
                token: self.token.clone(),
                may_be_new_server,
            });
        }
    }

    /// The WebSocket of an attempt is open.
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

    /// The socket for a new session is bound. `false`: none was requested.
    pub(super) fn rebound(&mut self, offer: &str) -> bool {
        let Phase::Recovering(recovery) = &mut self.phase else { return false };
        let Step::Binding = recovery.step else { return false };
        recovery.step = Step::Connecting;
        let offer = self.next_offer(offer.to_owned());
        let url = join::url(&self.config, offer, self.subscriptions.begin_session());
        self.outputs.push_back(SignalOutput::Connect {
            url,
            token: self.token.clone(),
            may_be_new_server: true,
        });
        true
    }

    /// The server knows our session.
    pub(super) fn resumed(&mut self, response: proto::ReconnectResponse, now: Time) {
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.step = Step::Restarting;
            recovery.until = now + RESUME_STEP_LIMIT;
            if let Some(schedule) = &mut self.ping_schedule {
                schedule.restart(now);
            }
            self.ice_servers(response.ice_servers, response.client_configuration.as_ref());
            self.outputs.push_back(SignalOutput::Resume { last_sequence: response.last_message_seq });
        }
    }

    /// The lower layers' state for a [`SignalOutput::Resume`], and their offer. `None`: the last offer is not
    /// answered yet, and the server may not have received it. Does nothing if the resume is over already.
    pub(crate) fn sync(&mut self, below: LowerState, offer: Option<String>, now: Time) {
        if !matches!(&self.phase, Phase::Recovering(recovery) if matches!(recovery.step, Step::Restarting)) {
            return;
        }
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
        let DataTrackState { published, subscription } = below.data_tracks;
        self.send(Request::SyncState(proto::SyncState {
            offer: Some(description("offer", &self.descriptions.offer)),
            answer: Some(description("answer", &self.descriptions.answer)),
            subscription: Some(self.subscriptions.all(&self.roster)),
            track_sids_disabled: self.subscriptions.paused(),
            publish_tracks: below.tracks,
            data_channels: below.channels.into_iter().map(channel).collect(),
            datachannel_receive_states: below.received.into_iter().map(received).collect(),
            publish_data_tracks: published,
            data_subscription: Some(subscription).filter(|subscription| !subscription.updates.is_empty()),
        }));
        self.confirm_subscriptions();
        self.offer(offer.unwrap_or_else(|| self.descriptions.offer.clone()));
        self.repeat_requests(now);
    }

    /// The media connection has found a path again.
    pub(crate) fn media_restarted(&mut self, now: Time) {
        if let Phase::Recovering(recovery) = &self.phase
            && let Step::Restarting = recovery.step
        {
            self.recovered(now, true);
        }
    }

    /// The server admitted a new session of ours.
    pub(super) fn rejoined(&mut self, join: proto::JoinResponse, local: proto::ParticipantInfo, now: Time) {
        self.start_pings(join.ping_interval, join.ping_timeout, now);
        self.room = join.room.map(Into::into).unwrap_or_default();
        self.sections = 0;
        let mut events = Vec::new();
        self.roster.rejoin(local, &join.other_participants, &mut events);
        self.update_roster(join.other_participants, &mut events);
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.step = Step::Joined;
        }
        self.subscriptions.forget_ended(&events);
        self.outputs.push_back(SignalOutput::Hold(events));
        self.request_subscriptions();
    }

    /// The media connection of a new session is established.
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
        self.tries.established_since = Some(now);
        let known = !recovery.room_sid.is_empty() && !self.room.sid.is_empty();
        let changed = !resumed && known && recovery.room_sid != self.room.sid;
        if !resumed && !known {
            self.was_in = Some(recovery.room_sid.clone()).filter(|sid| !sid.is_empty());
        }
        self.outputs.push_back(SignalOutput::Entered(RoomEvent::Reconnected(Box::new(Reconnected {
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

    /// Number of reliable messages that may be lost with the old session.
    pub(crate) fn unconfirmed(&mut self, messages: u64) {
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.unconfirmed += messages;
        }
    }

    /// The WebSocket for a join or an attempt could not be opened.
    pub(super) fn not_opened(&mut self, failure: JoinFailure, now: Time) {
        let unauthorized = matches!(failure, JoinFailure::Unauthorized { .. });
        let failure = DisconnectReason::JoinFailed(failure);
        match &mut self.phase {
            // The same token will fail again. But it was valid before, and a proxy in front of a server that
            // is being replaced may refuse it for a moment.
            Phase::Recovering(recovery) if unauthorized && now - recovery.since >= REFUSED_FOR => {
                recovery.last = Some(failure);
                self.give_recovery_up();
            }
            _ => self.lose(failure, false, now),
        }
    }

    /// The server requested a delay. At most half of the remaining time is spent on it, so that another
    /// attempt is possible.
    pub(super) fn wait_at_least(&mut self, asked: Duration, now: Time) {
        let Some(end) = self.gives_up_at() else { return };
        if let Phase::Recovering(recovery) = &mut self.phase
            && let Step::Waiting = recovery.step
        {
            let most = (end - now) / 2;
            recovery.until = recovery.until.max(now + asked.min(most));
        }
    }

    /// The media connection failed for good during the recovery.
    pub(super) fn lose_media(&mut self, detail: String, now: Time) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        match recovery.step {
            Step::Opening | Step::Asking | Step::Restarting | Step::Joined => {
                self.lose(DisconnectReason::MediaLost { detail }, true, now)
            }
            Step::Waiting => recovery.new_session = true,
            // There is no media connection.
            Step::Binding | Step::Connecting | Step::Joining => {}
        }
    }

    /// The delay is over, or the step has timed out.
    pub(super) fn on_recovery_step(&mut self, media: &impl Fn() -> String, now: Time) {
        let Phase::Recovering(recovery) = &self.phase else { return };
        let slow = |what: &str| JoinFailure::Refused {
            status: None,
            detail: format!("no answer to {what} in time"),
        };
        let (failure, new_session) = match recovery.step {
            Step::Waiting => return self.retry(true, now),
            Step::Opening | Step::Connecting | Step::Binding => (JoinFailure::SignalTimeout, false),
            // A server that sends messages but no answer, and media that find no path: a new session may
            // work.
            Step::Asking => (slow("the resume"), true),
            Step::Restarting => (JoinFailure::MediaTimeout { detail: media() }, true),
            Step::Joining => (JoinFailure::SignalTimeout, true),
            Step::Joined => (JoinFailure::MediaTimeout { detail: media() }, true),
        };
        if matches!(recovery.step, Step::Joined) {
            self.send_leave();
        }
        self.lose(DisconnectReason::JoinFailed(failure), new_session, now);
    }

    pub(super) fn give_recovery_up(&mut self) {
        if self.phase.signal_established() {
            self.send_leave();
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
