//! The signalling of one room: join, participants, our own changes, pings, leave.
//!
//! This machine has protobuf on one side and [`SignalOutput`]s on the other. It has no WebRTC: offers, and
//! whether packets arrive, are inputs. It is deterministic: the same calls give the same outputs, byte for
//! byte (I12).
//!
//! ```text
//!  Unbound ──bound──▶ Connecting ──opened──▶ Joining ──Join──▶ Joined ──media ready──▶ Connected ──Leave command──▶ Leaving
//!     │                   │                     │                │                        │                           │
//!     └───────────────────┴─────────────────────┴──── failure, Leave, silence, timeout ───┴──── flushed, timeout ─────┴──▶ Closed
//! ```
//!
//! Without media in time `Joined` becomes `JoinFailed`, from which a retry leads back to `Joined`, and a
//! Leave command to `Closed`. In `Joined` the events are held back ([`SignalOutput::Hold`]), so that
//! `Connected` is the first event for the user and none is lost. [`recovery`] handles the loss of an
//! established connection.
//!
//! - `messages`: messages of the server. `roster`: the participants. `requests`: our own changes.
//! - `subscriptions`: the tracks of others that we are sent.
//! - `recovery`: resume, or join with a new session. `ending`: the ways out. `timers`: the timers.

mod ending;
mod join;
mod messages;
mod own_tracks;
mod phase;
mod recovery;
mod requests;
mod roster;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timers;
mod track_events;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::{Secret, Time, decode, encode, livekit as proto};

use crate::data_tracks::DataTrackMessage;
use crate::local_tracks::LocalTrackMessage;
use crate::streams::Abilities;
use crate::turn::IceServer;
use crate::{
    CommandId, Config, DisconnectReason, JoinFailure, MAX_CHANGE_LEN, RoomError, RoomEvent, RoomInfo,
};
use phase::{Phase, PingSchedule, Step};
use proto::signal_request::Message as Request;
use recovery::Retries;
use requests::Requests;
use roster::Roster;
pub(crate) use roster::UnknownLeft;
use subscriptions::Subscriptions;

pub(crate) use recovery::LowerState;

/// Used if the server sends no interval.
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(5);
/// Used if the server sends no timeout.
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum interval or timeout that is accepted, in seconds.
const MAX_PING_SECONDS: i32 = 600;
/// After media loss, wait this long for the server's Leave, which carries the reason.
const MEDIA_GONE_GRACE: Duration = Duration::from_secs(2);
/// Maximum length of a trickled candidate, in bytes.
const MAX_CANDIDATE_LEN: usize = 4096;
/// Maximum number of ICE servers that are looked at.
const MAX_ICE_SERVERS: usize = 32;
/// Maximum length of a server's text in an error.
const MAX_DETAIL_LEN: usize = 300;

/// An output of the machine, to be carried out in order.
#[derive(Debug, PartialEq)]
pub(crate) enum SignalOutput {
    /// Open the WebSocket; `may_be_new_server` as in [`Output::ConnectSignal`](crate::Output::ConnectSignal).
    Connect { url: String, token: Secret, may_be_new_server: bool },
    /// Send a frame.
    Send(Bytes),
    /// Close the WebSocket.
    CloseSignal,
    /// Apply the server's answer to our last offer, with the track sid of each media section that carries
    /// one.
    Answer { sdp: String, tracks: BTreeMap<String, String> },
    /// The TURN servers from now on, and whether nothing else is to be used.
    IceServers { servers: Vec<IceServer>, force_relay: bool },
    /// Apply a candidate of the server, as in SDP.
    Candidate(String),
    /// The server has more tracks to send than there are sections. Make a new offer, even if both are 0.
    Sections { audio: u32, video: u32 },
    /// Look for another path for media in this session, and offer it.
    RestartMedia,
    /// Report to the caller of the join.
    JoinFailed { failure: JoinFailure },
    /// Close the media connection.
    CloseMedia,
    /// The server knows our session, and has received our reliable messages up to this one. Repeat the later
    /// ones, look for another path to it, and answer with [`Signal::sync`].
    Resume { last_sequence: u32 },
    /// Abandon the media connection, report [`Signal::unconfirmed`], and create another one on another
    /// socket.
    Rebind,
    /// Notify the user, unless events are held back.
    Event(RoomEvent),
    /// Hold back events from now on, these first.
    Hold(Vec<RoomEvent>),
    /// Notify the user of the connection, then of the events that were held back.
    Entered(RoomEvent),
    /// Notify the user of the end. The events that were held back are obsolete.
    Disconnected { reason: DisconnectReason },
    /// A participant has left who was not announced to the user.
    UnknownLeft(UnknownLeft),
    /// A message about data tracks.
    DataTrack(DataTrackMessage),
    /// A message about our audio tracks.
    LocalTrack(LocalTrackMessage),
    /// A command is completed.
    Done { id: CommandId, result: Result<(), RoomError> },
    /// The machine is closed.
    Closed { reason: DisconnectReason },
}

/// A change of our own participant; empty values are kept as they are.
#[derive(Debug, Default)]
pub(crate) struct OwnChange {
    pub(crate) metadata: String,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

pub(crate) struct Signal {
    config: Config,
    phase: Phase,
    /// The deadline of the join.
    join_until: Time,
    roster: Roster,
    room: RoomInfo,
    server_version: String,
    server_trailer: Bytes,
    /// The newest token: a later connection would use it.
    token: Secret,
    ping_schedule: Option<PingSchedule>,
    requests: Requests,
    subscriptions: Subscriptions,
    media_gone: Option<(Time, String)>,
    sections: u32,
    descriptions: SessionDescriptions,
    /// The previous room, while it is unknown whether this is a new one.
    was_in: Option<String>,
    tries: Retries,
    rng: fastrand::Rng,
    violations: u64,
    outputs: VecDeque<SignalOutput>,
}

/// The last offer and answer: a server that takes over a session requests them.
#[derive(Default)]
struct SessionDescriptions {
    offer: String,
    /// Numbers our offers; the server repeats it in its answer.
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
            subscriptions: Subscriptions::new(config.auto_subscribe),
            config,
            phase: Phase::Unbound,
            room: RoomInfo::default(),
            server_version: String::new(),
            server_trailer: Bytes::new(),
            ping_schedule: None,
            requests: Requests::default(),
            media_gone: None,
            sections: 0,
            descriptions: SessionDescriptions::default(),
            was_in: None,
            tries: Retries::default(),
            violations: 0,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<SignalOutput> {
        self.outputs.pop_front()
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether user data are accepted; while a connection is being re-established they are queued.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected | Phase::Recovering(_))
    }

    /// Whether the session is about to be replaced: data sent in it are lost.
    pub(crate) fn abandons_session(&self) -> bool {
        matches!(&self.phase, Phase::Recovering(recovery) if recovery.abandons_session())
    }

    /// Whether a leave waits for [`Self::flushed`].
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    /// The socket is bound, and this is our first offer.
    pub(crate) fn bound(&mut self, offer: String) {
        if self.rebound(&offer) {
            return;
        }
        if !matches!(self.phase, Phase::Unbound) {
            return self.violation();
        }
        self.phase = Phase::Connecting;
        let offer = self.next_offer(offer);
        let url = join::url(&self.config, offer, self.subscriptions.begin_session());
        self.outputs.push_back(SignalOutput::Connect {
            url,
            token: self.token.clone(),
            may_be_new_server: false,
        });
    }

    /// The socket could not be bound.
    pub(crate) fn not_bound(&mut self, error: &str, now: Time) {
        let detail = format!("no UDP socket: {}", shorten(error));
        self.lose(DisconnectReason::JoinFailed(JoinFailure::Media { detail }), true, now);
    }

    /// The WebSocket is open.
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

    /// The WebSocket could not be opened.
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
            // The server notifies others immediately and us seconds later.
            self.roster.activate_local();
            Arc::make_mut(&mut connected.local).active = true;
            self.outputs.push_back(SignalOutput::Entered(RoomEvent::Connected(connected)));
        } else {
            self.reconnected(now);
        }
    }

    /// The media connection is gone for good.
    pub(crate) fn media_gone(&mut self, detail: &str, now: Time) {
        match &mut self.phase {
            // What is awaited of the server needs no media.
            Phase::Closed | Phase::GivenUp { .. } => {}
            Phase::JoinFailed { ready, .. } => *ready = false,
            Phase::Recovering(_) => self.lose_media(shorten(detail), now),
            _ if self.media_gone.is_some() => {}
            _ => self.media_gone = Some((now + MEDIA_GONE_GRACE, shorten(detail))),
        }
    }

    /// Nothing arrives over the media connection any more.
    pub(crate) fn media_silent(&mut self, detail: &str, now: Time) {
        match self.phase {
            Phase::Connected => {
                self.lose(DisconnectReason::MediaLost { detail: shorten(detail) }, false, now);
            }
            // The recovery is already in progress.
            Phase::Recovering(_) => {}
            _ => self.media_gone(detail, now),
        }
    }

    /// No path for media and data is left to try: there is nothing to wait for.
    pub(crate) fn no_path(&mut self, detail: String, now: Time) {
        match &self.phase {
            Phase::Joined { .. } => self.fail_join(JoinFailure::Media { detail }),
            Phase::Recovering(_) => self.lose_media(detail, now),
            _ => {}
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

    /// A new offer of ours.
    pub(crate) fn offer(&mut self, sdp: String) {
        let offer = self.next_offer(sdp);
        // Otherwise it is sent with a resume, or a new session makes it obsolete.
        if self.phase.signal_established() {
            self.send(Request::Offer(offer));
        }
    }

    /// An address of ours at which the server may reach us.
    pub(crate) fn own_candidate(&mut self, text: &str) {
        // Otherwise it is in the next offer.
        if self.phase.signal_established() {
            let candidate = serde_json::json!({ "candidate": text, "sdpMid": null, "sdpMLineIndex": 0 });
            self.send(Request::Trickle(proto::TrickleRequest {
                candidate_init: candidate.to_string(),
                target: proto::SignalTarget::Publisher as i32,
                ..Default::default()
            }));
        }
    }

    /// Whether the user is notified of events in the room, now or later.
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

    /// Counts an invalid message.
    pub(crate) fn violation(&mut self) {
        self.violations = self.violations.saturating_add(1);
    }

    /// Counts `count` invalid messages.
    pub(crate) fn violations_of(&mut self, count: u64) {
        self.violations = self.violations.saturating_add(count);
    }

    /// A change of our own participant.
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
        let sent = self.phase.signal_established();
        let change = self.requests.add(id, change, now + self.config.request_timeout, sent);
        if sent {
            self.send(Request::UpdateMetadata(change));
        }
    }

    /// Whether the server accepts our data; otherwise it would drop them silently.
    pub(crate) fn may_publish_data(&self) -> bool {
        self.roster.may_publish_data()
    }

    /// What all these participants can read, or everybody else if there are none.
    pub(crate) fn abilities(&self, destinations: &[String]) -> Abilities {
        self.roster.abilities(destinations)
    }

    /// Sends a request that another module keeps until it is answered; without a connection it is dropped.
    pub(crate) fn request(&mut self, request: Request) {
        if self.phase.signal_established() {
            self.send(request);
        }
    }

    /// Whether this participant is in the room.
    pub(crate) fn knows(&self, identity: &str) -> bool {
        self.roster.contains(identity)
    }

    /// What the frames end with that the server makes itself; may be empty.
    pub(crate) fn server_trailer(&self) -> &[u8] {
        &self.server_trailer
    }

    /// The server's version; empty if it has not sent one.
    pub(crate) fn server_version(&self) -> &str {
        &self.server_version
    }

    /// A frame of the server.
    pub(crate) fn received(&mut self, frame: &Bytes, now: Time) {
        if self.is_closed() {
            return;
        }
        if let Some(schedule) = &mut self.ping_schedule {
            schedule.last_received = now;
        }
        match decode::<proto::SignalResponse>(frame, self.config.limits.signal_frame) {
            // A message of a newer protocol is not a violation; neither is an empty frame.
            Ok(proto::SignalResponse { message: None }) => {}
            Ok(proto::SignalResponse { message: Some(message) }) => match self.phase {
                Phase::Unbound | Phase::Connecting => self.violation(),
                // Whatever it is: the server reads our messages now.
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

    /// Applies the server's list of relays. Without a list the relays stay as they are.
    fn ice_servers(&mut self, servers: Vec<proto::IceServer>, client: Option<&proto::ClientConfiguration>) {
        let force_relay =
            client.is_some_and(|client| client.force_relay() == proto::ClientConfigSetting::Enabled);
        let force_relay = force_relay || self.config.force_relay;
        if force_relay || !servers.is_empty() {
            let servers = servers.into_iter().take(MAX_ICE_SERVERS).map(IceServer::from).collect();
            self.outputs.push_back(SignalOutput::IceServers { servers, force_relay });
        }
    }

    fn start_pings(&mut self, ping_interval: i32, ping_timeout: i32, now: Time) {
        let ping_interval = seconds(ping_interval, DEFAULT_PING_INTERVAL);
        self.ping_schedule = Some(PingSchedule {
            ping_interval,
            ping_timeout: seconds(ping_timeout, DEFAULT_PING_TIMEOUT).max(ping_interval),
            next_ping: now + ping_interval,
            last_received: now,
            round_trip_ms: 0,
        });
    }

    fn done(&mut self, id: CommandId, result: Result<(), RoomError>) {
        self.outputs.push_back(SignalOutput::Done { id, result });
    }

    fn send(&mut self, request: Request) {
        self.outputs.push_back(SignalOutput::Send(encode(&proto::SignalRequest { message: Some(request) })));
    }
}

/// Milliseconds since the machine was created.
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

/// A text of the other side, in the form for errors.
fn shorten(text: &str) -> String {
    agent_proto::text::shorten(text.trim(), MAX_DETAIL_LEN)
}
