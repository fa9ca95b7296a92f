//! The signalling of one room: join, who is there, our own changes, pings, leave.
//!
//! This machine speaks protobuf on one side and [`Effect`]s on the other. It knows no WebRTC: what an offer is made of, and
//! whether packets flow, is told to it. It is deterministic: the same calls give the same effects, byte for byte (I12).
//!
//! ```text
//!  Unbound ──bound──▶ Connecting ──opened──▶ Joining ──Join──▶ Joined ──media ready──▶ Connected ──Leave command──▶ Leaving
//!     │                   │                     │                │                        │                           │
//!     └───────────────────┴─────────────────────┴──── failure, Leave, silence, timeout ───┴──── flushed, timeout ─────┴──▶ Closed
//! ```
//!
//! Without media in time `Joined` becomes `JoinFailed`, which a retry makes `Joined` again, and a Leave command `Closed`.
//! In `Joined` the events that come are held back ([`Effect::Hold`]), so that `Connected` is the first that the user sees and nothing is
//! lost. What happens when a connection that stood is lost is told in [`recovery`].
//!
//! - `messages`: what the server says. `roster`: who is there. `requests`: changes of ourselves.
//! - `recovery`: resume, or join anew. `ending`: the ways out. `timers`: what is due.

mod ending;
mod join;
mod messages;
mod phase;
mod recovery;
mod requests;
mod roster;
#[cfg(test)]
mod tests;
mod timers;

use crate::{
    CommandId, Config, DisconnectReason, JoinFailure, MAX_CHANGE_LEN, RoomError, RoomEvent, RoomInfo,
};
use agent_proto::{Secret, Time, decode, encode, livekit as proto};
use bytes::Bytes;
use phase::{Clock, Phase};
use proto::signal_request::Message as Request;
use recovery::{Step, Tries};
use requests::Requests;
use roster::Roster;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

pub(crate) use recovery::Below;

/// Used when the server names no interval.
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(5);
/// Used when the server names no timeout.
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest interval or timeout that is believed, in seconds.
const MAX_PING_SECONDS: i32 = 600;
/// When the media connection is gone, the server's own word on why is on its way: so long it is waited for.
const MEDIA_GONE_GRACE: Duration = Duration::from_secs(2);
/// The longest trickled candidate that is read, in bytes.
const MAX_CANDIDATE_LEN: usize = 4096;
/// The longest text of a server that goes into an error.
const MAX_DETAIL_LEN: usize = 300;

/// What the machine wants done, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Open the WebSocket; `late` as in [`Output::ConnectSignal`](crate::Output::ConnectSignal).
    Connect { url: String, token: Secret, late: bool },
    /// Send a frame.
    Send(Bytes),
    /// Close the WebSocket.
    CloseSignal,
    /// The server's answer to our last offer, with the track sid of each media section that carries one.
    Answer { sdp: String, tracks: BTreeMap<String, String> },
    /// A candidate of the server, as in SDP.
    Candidate(String),
    /// The server wants to send more tracks than there are sections; offer again, also if both are 0.
    Sections { audio: u32, video: u32 },
    /// Look for another way for media in this session, and offer it.
    RestartMedia,
    /// Tell the one who joins.
    JoinFailed { failure: JoinFailure },
    /// Close the media connection.
    CloseMedia,
    /// The server knows our session, and has reliable messages of ours up to this one. Send it the others again, look for another
    /// way to it, and answer with [`Signal::sync`].
    Resume { last_sequence: u32 },
    /// Give the media connection up, tell [`Signal::unconfirmed`], and make another one on another socket.
    Rebind,
    /// Tell the user, unless events are held back.
    Event(RoomEvent),
    /// Hold back events from now on, these first.
    Hold(Vec<RoomEvent>),
    /// Tell the user of the connection, then what was held back.
    Entered(RoomEvent),
    /// Tell the user of the end. What was held back is of no use any more.
    Disconnected { reason: DisconnectReason },
    /// A command is done.
    Done { id: CommandId, result: Result<(), RoomError> },
    /// Everything is over.
    Closed { reason: DisconnectReason },
}

/// What is to change of ourselves; what is empty stays as it is.
#[derive(Debug, Default)]
pub(crate) struct OwnChange {
    pub(crate) metadata: String,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

pub(crate) struct Signal {
    config: Config,
    phase: Phase,
    /// When a join takes too long.
    join_until: Time,
    roster: Roster,
    room: RoomInfo,
    /// The newest token: a later connection would use it.
    token: Secret,
    clock: Option<Clock>,
    requests: Requests,
    media_gone: Option<(Time, String)>,
    sections: u32,
    descriptions: Descriptions,
    /// The room that we were in, while the server has not said whether this is another one.
    was_in: Option<String>,
    tries: Tries,
    rng: fastrand::Rng,
    violations: u64,
    effects: VecDeque<Effect>,
}

/// The last offer and answer: a server that takes a session over asks for them.
#[derive(Default)]
struct Descriptions {
    offer: String,
    /// Counts our offers; the server repeats it in its answer.
    offer_id: u32,
    answer: String,
}

impl Signal {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            roster: Roster::new(config.limits.participants),
            token: config.token.clone(),
            rng: fastrand::Rng::with_seed(config.seed),
            join_until: Time::ZERO + config.join_timeout,
            config,
            phase: Phase::Unbound,
            room: RoomInfo::default(),
            clock: None,
            requests: Requests::default(),
            media_gone: None,
            sections: 0,
            descriptions: Descriptions::default(),
            was_in: None,
            tries: Tries::default(),
            violations: 0,
            effects: VecDeque::new(),
        }
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether user data is taken; while a connection is being restored it waits.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Recovering(_))
    }

    /// Whether the session is about to be replaced: what is sent in it is lost.
    pub(crate) fn gives_session_up(&self) -> bool {
        matches!(&self.phase, Phase::Recovering(recovery) if recovery.gives_session_up())
    }

    /// Whether a leave waits for [`Self::flushed`].
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    /// There is a socket, and this is our first offer.
    pub(crate) fn bound(&mut self, offer: String) {
        if self.rebound(&offer) {
            return;
        }
        if !matches!(self.phase, Phase::Unbound) {
            return self.violation();
        }
        self.phase = Phase::Connecting;
        let offer = self.next_offer(offer);
        let url = join::url(&self.config, offer);
        self.effects.push_back(Effect::Connect { url, token: self.token.clone(), late: false });
    }

    /// There is no socket.
    pub(crate) fn not_bound(&mut self, error: &str, now: Time) {
        let detail = format!("no UDP socket: {}", shorten(error));
        self.lose(DisconnectReason::JoinFailed(JoinFailure::Media { detail }), true, now);
    }

    /// The WebSocket stands.
    pub(crate) fn opened(&mut self, now: Time) {
        match &mut self.phase {
            Phase::Connecting => self.phase = Phase::Joining,
            Phase::GivenUp { opened, .. } => *opened = true,
            Phase::Recovering(_) => self.reopened(now),
            Phase::Unbound
            | Phase::Joining
            | Phase::Joined { .. }
            | Phase::JoinFailed { .. }
            | Phase::Connected
            | Phase::Leaving { .. }
            | Phase::Closed => self.violation(),
        }
    }

    /// The server refused the WebSocket.
    pub(crate) fn refused(&mut self, status: u16, body: &str, retry_after: Option<Duration>, now: Time) {
        let detail = shorten(body);
        let failure = match status {
            404 => JoinFailure::ServerTooOld,
            401 | 403 => JoinFailure::Unauthorized { status, detail },
            _ => JoinFailure::Refused { status: Some(status), detail },
        };
        self.not_opened(failure, now);
        self.wait_at_least(retry_after.unwrap_or_default(), now);
    }

    /// There is no WebSocket.
    pub(crate) fn failed(&mut self, error: &str, now: Time) {
        self.not_opened(JoinFailure::Unreachable { detail: shorten(error) }, now);
    }

    /// The WebSocket is closed.
    pub(crate) fn signal_closed(&mut self, detail: &str, now: Time) {
        self.lose(DisconnectReason::SignalLost { detail: shorten(detail) }, false, now);
    }

    /// The reliable channel is open.
    pub(crate) fn media_ready(&mut self, now: Time) {
        if let Phase::JoinFailed { ready, .. } = &mut self.phase {
            *ready = true;
            return;
        }
        if let Phase::Joined { .. } = self.phase
            && let Phase::Joined { mut connected } = mem::replace(&mut self.phase, Phase::Connected)
        {
            // The server tells others at once and us seconds later.
            self.roster.activate_local();
            Arc::make_mut(&mut connected.local).active = true;
            self.effects.push_back(Effect::Entered(RoomEvent::Connected(connected)));
        } else {
            self.reconnected(now);
        }
    }

    /// The media connection is gone for good.
    pub(crate) fn media_gone(&mut self, detail: &str, now: Time) {
        match &self.phase {
            Phase::Closed | Phase::JoinFailed { .. } => {}
            Phase::Recovering(_) => self.lose_media(shorten(detail), now),
            _ if self.media_gone.is_some() => {}
            _ => self.media_gone = Some((now + MEDIA_GONE_GRACE, shorten(detail))),
        }
    }

    /// Nothing comes over the media connection any more.
    pub(crate) fn media_silent(&mut self, detail: &str, now: Time) {
        match self.phase {
            Phase::Connected => {
                self.lose(DisconnectReason::MediaLost { detail: shorten(detail) }, false, now);
            }
            // There it goes its way already.
            Phase::Recovering(_) => {}
            _ => self.media_gone(detail, now),
        }
    }

    /// The server's answer could not be used.
    pub(crate) fn answer_unusable(&mut self, detail: &str, now: Time) {
        self.violation();
        match &self.phase {
            Phase::Joined { .. } => self.fail_join(JoinFailure::Media { detail: shorten(detail) }),
            Phase::Recovering(_) => self.lose_media(shorten(detail), now),
            _ => {}
        }
    }

    /// Another offer of ours.
    pub(crate) fn offer(&mut self, sdp: String) {
        let offer = self.next_offer(sdp);
        // Otherwise it is sent with a resume, or another session makes it pointless.
        if self.phase.signal_stands() {
            self.send(Request::Offer(offer));
        }
    }

    /// An address of ours at which the server may reach us.
    pub(crate) fn own_candidate(&mut self, text: &str) {
        // Otherwise it is in the next offer.
        if self.phase.signal_stands() {
            let candidate = serde_json::json!({ "candidate": text, "sdpMid": null, "sdpMLineIndex": 0 });
            self.send(Request::Trickle(proto::TrickleRequest {
                candidate_init: candidate.to_string(),
                target: proto::SignalTarget::Publisher as i32,
                ..Default::default()
            }));
        }
    }

    /// Whether the user is told what happens in the room, at once or later.
    pub(crate) fn is_in_room(&self) -> bool {
        match self.phase {
            Phase::Joined { .. }
            | Phase::JoinFailed { .. }
            | Phase::Connected
            | Phase::Recovering(_)
            | Phase::Leaving { .. } => true,
            Phase::Unbound | Phase::Connecting | Phase::Joining | Phase::GivenUp { .. } | Phase::Closed => {
                false
            }
        }
    }

    /// Something odd, counted.
    pub(crate) fn violation(&mut self) {
        self.violations = self.violations.saturating_add(1);
    }

    /// So many odd things, counted.
    pub(crate) fn violations_of(&mut self, count: u64) {
        self.violations = self.violations.saturating_add(count);
    }

    /// A change of ourselves.
    pub(crate) fn change(&mut self, id: CommandId, change: OwnChange, now: Time) {
        let OwnChange { metadata, name, attributes } = change;
        if !self.is_connected() {
            return self.done(id, Err(RoomError::NotConnected));
        }
        if metadata.is_empty() && name.is_empty() && attributes.is_empty() {
            return self.done(id, Ok(()));
        }
        let len = metadata.len()
            + name.len()
            + attributes.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if len > MAX_CHANGE_LEN {
            return self.done(id, Err(RoomError::ChangeTooLarge { len }));
        }
        if self.requests.len() >= self.config.limits.requests {
            return self.done(id, Err(RoomError::QueueFull));
        }
        let change = proto::UpdateParticipantMetadata { metadata, name, attributes, request_id: 0 };
        // Without a connection it is sent with the next one.
        let sent = self.phase.signal_stands();
        let change = self.requests.add(id, change, now + self.config.request_timeout, sent);
        if sent {
            self.send(Request::UpdateMetadata(change));
        }
    }

    /// Whether the server takes data of ours; what it would not is dropped there in silence.
    pub(crate) fn may_publish_data(&self) -> bool {
        self.roster.may_publish_data()
    }

    /// A frame of the server.
    pub(crate) fn received(&mut self, frame: &Bytes, now: Time) {
        if self.is_closed() {
            return;
        }
        if let Some(clock) = &mut self.clock {
            clock.last_heard = now;
        }
        match decode::<proto::SignalResponse>(frame, self.config.limits.signal_frame) {
            // A message of a newer protocol is not a violation; an empty frame is neither.
            Ok(proto::SignalResponse { message: None }) => {}
            Ok(proto::SignalResponse { message: Some(message) }) => match self.phase {
                Phase::Unbound | Phase::Connecting => self.violation(),
                // Whatever it is: the server listens now.
                Phase::GivenUp { .. } => self.give_up(),
                Phase::Joining => self.before_join(message, now),
                Phase::Recovering(ref recovery) => match recovery.step {
                    Step::Asking => self.before_resume(message, now),
                    Step::Joining => self.before_join(message, now),
                    Step::Restarting | Step::Joined => self.message(message, now),
                    Step::Waiting | Step::Opening | Step::Binding | Step::Connecting => self.violation(),
                },
                Phase::Joined { .. }
                | Phase::JoinFailed { .. }
                | Phase::Connected
                | Phase::Leaving { .. } => {
                    self.message(message, now);
                }
                Phase::Closed => {}
            },
            Err(_) => self.violation(),
        }
    }

    fn next_offer(&mut self, sdp: String) -> proto::SessionDescription {
        self.descriptions.offer.clone_from(&sdp);
        self.descriptions.offer_id = self.descriptions.offer_id.wrapping_add(1);
        let id = self.descriptions.offer_id;
        proto::SessionDescription { r#type: "offer".to_owned(), sdp, id, ..Default::default() }
    }

    fn start_clock(&mut self, ping_interval: i32, ping_timeout: i32, now: Time) {
        let ping_interval = seconds(ping_interval, DEFAULT_PING_INTERVAL);
        self.clock = Some(Clock {
            ping_interval,
            ping_timeout: seconds(ping_timeout, DEFAULT_PING_TIMEOUT).max(ping_interval),
            next_ping: now + ping_interval,
            last_heard: now,
            round_trip_ms: 0,
        });
    }

    fn done(&mut self, id: CommandId, result: Result<(), RoomError>) {
        self.effects.push_back(Effect::Done { id, result });
    }

    fn send(&mut self, request: Request) {
        self.effects.push_back(Effect::Send(encode(&proto::SignalRequest { message: Some(request) })));
    }
}

/// Milliseconds since the machine was made.
fn millis(at: Time) -> i64 {
    i64::try_from((at - Time::ZERO).as_millis()).unwrap_or(i64::MAX)
}

fn seconds(seconds: i32, default: Duration) -> Duration {
    match seconds {
        1.. => Duration::from_secs(seconds.min(MAX_PING_SECONDS).unsigned_abs().into()),
        _ => default,
    }
}

/// The candidate in a trickle message; `None` at the end of candidates.
fn candidate(trickle: &proto::TrickleRequest) -> Result<Option<String>, ()> {
    if trickle.candidate_init.len() > MAX_CANDIDATE_LEN {
        return Err(());
    }
    let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).map_err(|_| ())?;
    let candidate = init.get("candidate").and_then(serde_json::Value::as_str).ok_or(())?;
    Ok((!candidate.is_empty()).then(|| candidate.to_owned()))
}

/// A text of the other side, as errors show it.
fn shorten(text: &str) -> String {
    agent_proto::text::shorten(text.trim(), MAX_DETAIL_LEN)
}
