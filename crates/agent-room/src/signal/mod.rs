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
//! In `Joined` the events that come are held back, so that `Connected` is the first that the user sees and nothing is lost.

mod join;
mod requests;
mod roster;
#[cfg(test)]
mod tests;

use crate::{
    Command, CommandError, CommandId, Config, Connected, DisconnectReason, JoinFailure, RoomEvent, RoomInfo,
    Timer, Token,
};
use agent_proto::{decode, encode, livekit as proto};
use bytes::Bytes;
use proto::{
    leave_request::Action, signal_request::Message as Request, signal_response::Message as Response,
};
use requests::Requests;
use roster::Roster;
use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// Used when the server names no interval.
const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(5);
/// Used when the server names no timeout.
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest interval or timeout that is believed, in seconds.
const MAX_PING_SECONDS: i32 = 600;
/// When the media connection is gone, the server's own word on why is on its way: so long it is waited for.
const MEDIA_GONE_GRACE: Duration = Duration::from_secs(2);
/// The longest text of a server that goes into an error.
const MAX_DETAIL_LEN: usize = 300;

/// What the machine wants done, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Open the WebSocket.
    Connect { url: String, token: Token },
    /// Send a frame.
    Send(Bytes),
    /// Close the WebSocket.
    CloseSignal,
    /// The server's answer to our last offer.
    Answer(String),
    /// A candidate of the server, as in SDP.
    Candidate(String),
    /// The server wants to send more tracks than there are sections; offer again, also if both are 0.
    Sections { audio: u32, video: u32 },
    /// Close the media connection.
    CloseMedia,
    /// Tell the user.
    Event(RoomEvent),
    /// A command is done.
    Done { id: CommandId, result: Result<(), CommandError> },
    /// Everything is over.
    Closed { reason: DisconnectReason },
}

enum Phase {
    Unbound,
    Connecting,
    Joining,
    Joined {
        connected: Box<Connected>,
        held: VecDeque<RoomEvent>,
        missed: u64,
    },
    Connected,
    Leaving {
        until: Instant,
        asked: Vec<CommandId>,
    },
    /// Told to leave before the server's Join. It may have let us in already, and it does not hear a Leave before it has: its
    /// Join is waited for.
    GivenUp {
        until: Instant,
        asked: Vec<CommandId>,
        opened: bool,
    },
    Closed,
}

/// Times that begin with the server's Join.
struct Clock {
    ping_interval: Duration,
    ping_timeout: Duration,
    next_ping: Instant,
    last_heard: Instant,
    /// The server's answer to our last ping, as it wants it told with the next one.
    round_trip_ms: i64,
}

pub(crate) struct Signal {
    config: Config,
    phase: Phase,
    started: Instant,
    roster: Roster,
    room: RoomInfo,
    /// The newest token: a later connection would use it.
    token: Token,
    clock: Option<Clock>,
    requests: Requests,
    media_gone: Option<(Instant, String)>,
    sections: u32,
    violations: u64,
    effects: VecDeque<Effect>,
}

impl Signal {
    pub(crate) fn new(config: Config, now: Instant) -> Self {
        Self {
            roster: Roster::new(config.limits.participants),
            token: config.token.clone(),
            config,
            phase: Phase::Unbound,
            started: now,
            room: RoomInfo::default(),
            clock: None,
            requests: Requests::default(),
            media_gone: None,
            sections: 0,
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

    /// Whether user data may be sent.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Whether a leave waits for [`Self::flushed`].
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    /// There is a socket, and this is our first offer.
    pub(crate) fn bound(&mut self, offer: String) {
        if !matches!(self.phase, Phase::Unbound) {
            return self.violation();
        }
        self.phase = Phase::Connecting;
        let url = join::url(&self.config, offer);
        self.effects.push_back(Effect::Connect { url, token: self.token.clone() });
    }

    /// The WebSocket stands.
    pub(crate) fn opened(&mut self) {
        match self.phase {
            Phase::Connecting => self.phase = Phase::Joining,
            Phase::GivenUp { ref mut opened, .. } => *opened = true,
            Phase::Unbound
            | Phase::Joining
            | Phase::Joined { .. }
            | Phase::Connected
            | Phase::Leaving { .. }
            | Phase::Closed => self.violation(),
        }
    }

    /// The server refused the WebSocket.
    pub(crate) fn refused(&mut self, status: u16, body: &str) {
        let detail = shorten(body);
        let failure = match status {
            404 => JoinFailure::ServerTooOld,
            401 | 403 => JoinFailure::Unauthorized { status, detail },
            _ => JoinFailure::Refused { status: Some(status), detail },
        };
        self.lost(DisconnectReason::JoinFailed(failure));
    }

    /// There is no WebSocket.
    pub(crate) fn failed(&mut self, error: &str) {
        self.lost(DisconnectReason::JoinFailed(JoinFailure::Unreachable { detail: shorten(error) }));
    }

    /// The WebSocket is closed.
    pub(crate) fn signal_closed(&mut self, detail: &str) {
        self.lost(DisconnectReason::SignalLost { detail: shorten(detail) });
    }

    /// The reliable channel is open.
    pub(crate) fn media_ready(&mut self) {
        if let Phase::Joined { .. } = self.phase
            && let Phase::Joined { mut connected, held, missed } =
                mem::replace(&mut self.phase, Phase::Connected)
        {
            // The server tells others at once and us seconds later.
            self.roster.activate_local();
            Arc::make_mut(&mut connected.local).active = true;
            self.effects.push_back(Effect::Event(RoomEvent::Connected(connected)));
            if missed > 0 {
                self.effects.push_back(Effect::Event(RoomEvent::Lagged { missed }));
            }
            self.effects.extend(held.into_iter().map(Effect::Event));
        }
    }

    /// The media connection is gone for good.
    pub(crate) fn media_gone(&mut self, detail: &str, now: Instant) {
        if self.media_gone.is_none() && !self.is_closed() {
            self.media_gone = Some((now + MEDIA_GONE_GRACE, shorten(detail)));
        }
    }

    /// The server's answer could not be used.
    pub(crate) fn answer_unusable(&mut self, detail: &str) {
        self.violation();
        if let Phase::Joined { .. } = self.phase {
            self.finish(DisconnectReason::JoinFailed(JoinFailure::Media { detail: shorten(detail) }));
        }
    }

    /// Another offer of ours.
    pub(crate) fn offer(&mut self, sdp: String) {
        if !self.is_closed() {
            self.send(Request::Offer(offer(sdp)));
        }
    }

    /// Something for the user that came in another way than by signalling.
    pub(crate) fn event(&mut self, event: RoomEvent) {
        match &mut self.phase {
            Phase::Joined { held, missed, .. } => {
                if held.len() >= self.config.limits.held_events {
                    held.pop_front();
                    *missed += 1;
                }
                held.push_back(event);
            }
            Phase::Connected | Phase::Leaving { .. } => self.effects.push_back(Effect::Event(event)),
            Phase::Unbound | Phase::Connecting | Phase::Joining | Phase::GivenUp { .. } | Phase::Closed => {}
        }
    }

    /// Something odd, counted.
    pub(crate) fn violation(&mut self) {
        self.violations = self.violations.saturating_add(1);
    }

    /// A command other than publishing.
    pub(crate) fn command(&mut self, id: CommandId, command: Command, now: Instant) {
        let (metadata, name, attributes) = match command {
            Command::Leave => return self.leave(id, now),
            Command::Publish(_) => return self.done(id, Err(CommandError::NotConnected)),
            Command::SetMetadata(metadata) => (metadata, String::new(), Default::default()),
            Command::SetName(name) => (String::new(), name, Default::default()),
            Command::SetAttributes(attributes) => (String::new(), String::new(), attributes),
        };
        if !self.is_connected() {
            return self.done(id, Err(CommandError::NotConnected));
        }
        if metadata.is_empty() && name.is_empty() && attributes.is_empty() {
            return self.done(id, Ok(()));
        }
        if self.requests.len() >= self.config.limits.requests {
            return self.done(id, Err(CommandError::QueueFull));
        }
        let request_id = self.requests.add(id, now + self.config.request_timeout);
        self.send(Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata,
            name,
            attributes,
            request_id,
        }));
    }

    fn leave(&mut self, id: CommandId, now: Instant) {
        match &mut self.phase {
            Phase::Connected => {
                self.phase = Phase::Leaving { until: now + self.config.leave_timeout, asked: vec![id] };
            }
            Phase::Leaving { asked, .. } | Phase::GivenUp { asked, .. } => asked.push(id),
            Phase::Connecting | Phase::Joining => {
                let opened = matches!(self.phase, Phase::Joining);
                // Nobody waits for this end, and a busy server takes its time.
                let until = self.started + self.config.join_timeout;
                self.phase = Phase::GivenUp { until, asked: vec![id], opened };
            }
            Phase::Closed => self.done(id, Err(CommandError::NotConnected)),
            Phase::Joined { .. } => {
                self.say_leave();
                self.done(id, Ok(()));
                self.finish(DisconnectReason::JoinFailed(JoinFailure::Cancelled));
            }
            Phase::Unbound => {
                self.done(id, Ok(()));
                self.finish(DisconnectReason::JoinFailed(JoinFailure::Cancelled));
            }
        }
    }

    /// Everything that was published has arrived: a leave need not wait.
    pub(crate) fn flushed(&mut self) {
        if let Phase::Leaving { asked, .. } = &mut self.phase {
            let asked = mem::take(asked);
            self.say_leave();
            for id in asked {
                self.done(id, Ok(()));
            }
            self.finish(DisconnectReason::ClientInitiated);
        }
    }

    fn give_up(&mut self) {
        if let Phase::GivenUp { opened: true, .. } = self.phase {
            self.say_leave();
        }
        self.finish(DisconnectReason::JoinFailed(JoinFailure::Cancelled));
    }

    fn say_leave(&mut self) {
        self.send(Request::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            action: Action::Disconnect as i32,
            ..Default::default()
        }));
    }

    /// A frame of the server.
    pub(crate) fn received(&mut self, frame: &Bytes, now: Instant) {
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
                Phase::Joined { .. } | Phase::Connected | Phase::Leaving { .. } => {
                    self.message(message, now);
                }
                Phase::Closed => {}
            },
            Err(_) => self.violation(),
        }
    }

    fn before_join(&mut self, message: Response, now: Instant) {
        match message {
            Response::Join(join) => self.join(join, now),
            Response::Leave(leave) => self.left(&leave),
            _ => self.violation(),
        }
    }

    fn join(&mut self, join: proto::JoinResponse, now: Instant) {
        let Some(local) = join.participant else {
            // Without ourselves nothing that follows makes sense.
            self.violation();
            let detail = "the server's answer names no participant".to_owned();
            return self.finish(DisconnectReason::JoinFailed(JoinFailure::Refused { status: None, detail }));
        };
        let ping_interval = seconds(join.ping_interval, DEFAULT_PING_INTERVAL);
        self.clock = Some(Clock {
            ping_interval,
            ping_timeout: seconds(join.ping_timeout, DEFAULT_PING_TIMEOUT).max(ping_interval),
            next_ping: now + ping_interval,
            last_heard: now,
            round_trip_ms: 0,
        });
        self.room = join.room.map(RoomInfo::from).unwrap_or_default();
        self.roster.set_local(local);
        // The others are in the snapshot: their events are not told.
        self.update_roster(join.other_participants, &mut Vec::new());
        let server_version = match join.server_info {
            Some(info) if !info.version.is_empty() => info.version,
            _ => join.server_version,
        };
        let connected = Box::new(Connected {
            room: self.room.clone(),
            local: self.roster.local().cloned().unwrap_or_default(),
            participants: self.roster.remote().cloned().collect(),
            server_version,
        });
        let connected_event = [RoomEvent::Connected(connected.clone())];
        self.phase = Phase::Joined { connected, held: VecDeque::new(), missed: 0 };
        self.subscribe(&connected_event);
    }

    fn message(&mut self, message: Response, now: Instant) {
        let mut events = Vec::new();
        match message {
            Response::Join(_) | Response::Reconnect(_) | Response::Offer(_) => self.violation(),
            Response::Answer(answer) => {
                self.effects.push_back(Effect::Answer(answer.sdp));
                self.roster.subscriptions(answer.mid_to_track_id.into_values(), &mut events);
            }
            Response::Trickle(trickle) => match candidate(&trickle) {
                Ok(Some(candidate)) => self.effects.push_back(Effect::Candidate(candidate)),
                Ok(None) => {}
                Err(()) => self.violation(),
            },
            Response::Update(update) => self.update_roster(update.participants, &mut events),
            Response::Leave(leave) => return self.left(&leave),
            Response::Mute(mute) => self.roster.mute_local(&mute.sid, mute.muted, &mut events),
            Response::SpeakersChanged(changes) => self.roster.speakers(changes.speakers, &mut events),
            Response::RoomUpdate(update) => self.update_room(update.room, &mut events),
            Response::ConnectionQuality(update) => {
                for info in &update.updates {
                    self.roster.quality(info, &mut events);
                }
            }
            Response::RefreshToken(token) => {
                self.token = token.into();
                events.push(RoomEvent::TokenRefreshed { token: self.token.clone() });
            }
            Response::RequestResponse(response) => {
                // One that came too late was told as timed out.
                if let Some((id, result)) = self.requests.answered(response) {
                    self.done(id, result);
                }
            }
            Response::PongResp(pong) => {
                let sent_and_back = self.elapsed_ms(now).saturating_sub(pong.last_ping_timestamp);
                if let Some(clock) = &mut self.clock {
                    clock.round_trip_ms = sent_and_back.clamp(0, 60_000);
                }
            }
            Response::RoomMoved(moved) => self.moved(moved, &mut events),
            Response::MediaSectionsRequirement(wanted) => {
                let more = wanted.num_audios.saturating_add(wanted.num_videos);
                if self.sections.saturating_add(more) as usize > self.config.limits.media_sections {
                    self.violation();
                } else {
                    self.sections += more;
                    self.effects
                        .push_back(Effect::Sections { audio: wanted.num_audios, video: wanted.num_videos });
                }
            }
            // Of media that is published or received, which nobody does yet; and the old form of the pong.
            Response::TrackPublished(_)
            | Response::TrackUnpublished(_)
            | Response::TrackSubscribed(_)
            | Response::StreamStateUpdate(_)
            | Response::SubscriptionPermissionUpdate(_)
            | Response::SubscriptionResponse(_)
            | Response::Pong(_) => {}
        }
        self.subscribe(&events);
        for event in events {
            self.event(event);
        }
    }

    fn update_roster(&mut self, participants: Vec<proto::ParticipantInfo>, events: &mut Vec<RoomEvent>) {
        for info in participants {
            if !self.roster.update(info, events) {
                self.violation();
            }
        }
    }

    fn update_room(&mut self, room: Option<proto::Room>, events: &mut Vec<RoomEvent>) {
        let Some(room) = room else { return self.violation() };
        let mut room = RoomInfo::from(room);
        // Updates of some kinds leave these out.
        if room.sid.is_empty() {
            room.sid.clone_from(&self.room.sid);
        }
        if room.name.is_empty() {
            room.name.clone_from(&self.room.name);
        }
        let old = mem::replace(&mut self.room, room);
        if old.metadata != self.room.metadata {
            events.push(RoomEvent::RoomMetadataChanged(self.room.clone()));
        } else if old != self.room {
            events.push(RoomEvent::RoomUpdated(self.room.clone()));
        }
    }

    fn moved(&mut self, moved: proto::RoomMovedResponse, events: &mut Vec<RoomEvent>) {
        let (Some(room), Some(local)) = (moved.room, moved.participant) else { return self.violation() };
        if !moved.token.is_empty() {
            self.token = moved.token.into();
        }
        self.roster.clear(&DisconnectReason::Migration, events);
        self.room = room.into();
        self.roster.set_local(local);
        self.roster.activate_local();
        let local = self.roster.local().cloned().unwrap_or_default();
        events.push(RoomEvent::RoomMoved { room: self.room.clone(), local });
        self.update_roster(moved.other_participants, events);
    }

    /// Asks for the tracks that the server does not send by itself.
    fn subscribe(&mut self, events: &[RoomEvent]) {
        let wanted = roster::wanted_tracks(events, self.config.auto_subscribe);
        if wanted.is_empty() {
            return;
        }
        let participant_tracks = wanted
            .iter()
            .map(|(participant_sid, track_sid)| proto::ParticipantTracks {
                participant_sid: participant_sid.clone(),
                track_sids: vec![track_sid.clone()],
            })
            .collect();
        let track_sids = wanted.into_iter().map(|(_, track_sid)| track_sid).collect();
        self.send(Request::Subscription(proto::UpdateSubscription {
            track_sids,
            subscribe: true,
            participant_tracks,
        }));
    }

    fn left(&mut self, leave: &proto::LeaveRequest) {
        let reason = DisconnectReason::from_wire(leave.reason);
        let reason = match (reason, leave.action()) {
            (DisconnectReason::Unspecified, Action::Resume | Action::Reconnect) => {
                DisconnectReason::ReconnectRequested
            }
            (reason, _) => reason,
        };
        self.lost(reason);
    }

    /// Something ended the room. Before it stood, that is a failed join, whatever the reason.
    fn lost(&mut self, reason: DisconnectReason) {
        if self.is_closed() {
            return;
        }
        let reason = match (&self.phase, reason) {
            (Phase::GivenUp { .. }, _) => DisconnectReason::JoinFailed(JoinFailure::Cancelled),
            (_, reason @ DisconnectReason::JoinFailed(_)) => reason,
            // What was asked for has happened, whichever side was first.
            (
                Phase::Leaving { .. },
                DisconnectReason::SignalLost { .. } | DisconnectReason::MediaLost { .. },
            ) => DisconnectReason::ClientInitiated,
            (Phase::Connected | Phase::Leaving { .. }, reason) => reason,
            (_, DisconnectReason::SignalLost { detail }) => {
                DisconnectReason::JoinFailed(JoinFailure::Unreachable { detail })
            }
            (_, DisconnectReason::MediaLost { detail }) => {
                DisconnectReason::JoinFailed(JoinFailure::Media { detail })
            }
            (_, reason) => DisconnectReason::JoinFailed(JoinFailure::Ended(Box::new(reason))),
        };
        self.finish(reason);
    }

    /// The one way into `Closed`: every command is answered, everything is closed, the end is told last.
    fn finish(&mut self, reason: DisconnectReason) {
        let phase = mem::replace(&mut self.phase, Phase::Closed);
        for id in self.requests.take_all() {
            self.done(id, Err(CommandError::NotConnected));
        }
        let stood = matches!(phase, Phase::Connected | Phase::Leaving { .. });
        match phase {
            Phase::Leaving { asked, .. } | Phase::GivenUp { asked, .. } => {
                for id in asked {
                    self.done(id, Ok(()));
                }
            }
            Phase::Connected
            | Phase::Unbound
            | Phase::Connecting
            | Phase::Joining
            | Phase::Joined { .. }
            | Phase::Closed => {}
        }
        self.effects.push_back(Effect::CloseMedia);
        self.effects.push_back(Effect::CloseSignal);
        if stood {
            self.effects.push_back(Effect::Event(RoomEvent::Disconnected { reason: reason.clone() }));
        }
        self.effects.push_back(Effect::Closed { reason });
    }

    fn done(&mut self, id: CommandId, result: Result<(), CommandError>) {
        self.effects.push_back(Effect::Done { id, result });
    }

    fn send(&mut self, request: Request) {
        self.effects.push_back(Effect::Send(encode(&proto::SignalRequest { message: Some(request) })));
    }

    fn elapsed_ms(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(i64::MAX)
    }

    /// Does what is due; too early, it does nothing.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, timer)) = self.poll_timeout()
            && due <= now
        {
            self.fire(timer, now);
        }
    }

    fn fire(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Join => {
                let failure = match self.phase {
                    Phase::Joined { .. } => JoinFailure::MediaTimeout,
                    Phase::Unbound
                    | Phase::Connecting
                    | Phase::Joining
                    | Phase::Connected
                    | Phase::Leaving { .. }
                    | Phase::GivenUp { .. }
                    | Phase::Closed => JoinFailure::SignalTimeout,
                };
                if let Phase::Joining | Phase::Joined { .. } = self.phase {
                    self.say_leave();
                }
                self.finish(DisconnectReason::JoinFailed(failure));
            }
            Timer::Ping => {
                let timestamp = self.elapsed_ms(now);
                if let Some(clock) = &mut self.clock {
                    clock.next_ping = now + clock.ping_interval;
                    let rtt = clock.round_trip_ms;
                    self.send(Request::PingReq(proto::Ping { timestamp, rtt }));
                }
            }
            Timer::Silence => {
                self.lost(DisconnectReason::SignalLost {
                    detail: "the server was silent for longer than its ping timeout".to_owned(),
                });
            }
            Timer::Request => {
                for id in self.requests.expired(now) {
                    self.done(id, Err(CommandError::TimedOut));
                }
            }
            Timer::MediaGone => {
                if let Some((_, detail)) = self.media_gone.take() {
                    self.say_leave();
                    self.lost(DisconnectReason::MediaLost { detail });
                }
            }
            Timer::Leave => match self.phase {
                Phase::GivenUp { .. } => self.give_up(),
                Phase::Leaving { .. }
                | Phase::Unbound
                | Phase::Connecting
                | Phase::Joining
                | Phase::Joined { .. }
                | Phase::Connected
                | Phase::Closed => self.flushed(),
            },
            // Not ours.
            Timer::Transport => {}
        }
    }

    /// The next thing that is due, with its reason. Of several at the same time the first of [`Timer`]'s order.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let mut due: Vec<(Instant, Timer)> = Vec::new();
        match &self.phase {
            Phase::Closed => return None,
            Phase::Unbound | Phase::Connecting | Phase::Joining | Phase::Joined { .. } => {
                due.push((self.started + self.config.join_timeout, Timer::Join));
            }
            Phase::Connected => {}
            Phase::Leaving { until, .. } | Phase::GivenUp { until, .. } => due.push((*until, Timer::Leave)),
        }
        if let Some(clock) = &self.clock {
            due.push((clock.next_ping, Timer::Ping));
            due.push((clock.last_heard + clock.ping_timeout, Timer::Silence));
        }
        due.extend(self.requests.next_timeout().map(|until| (until, Timer::Request)));
        due.extend(self.media_gone.as_ref().map(|(until, _)| (*until, Timer::MediaGone)));
        due.into_iter().min()
    }
}

fn offer(sdp: String) -> proto::SessionDescription {
    proto::SessionDescription { r#type: "offer".to_owned(), sdp, ..Default::default() }
}

fn seconds(seconds: i32, default: Duration) -> Duration {
    match seconds {
        1.. => Duration::from_secs(seconds.min(MAX_PING_SECONDS).unsigned_abs().into()),
        _ => default,
    }
}

/// The candidate in a trickle message; `None` at the end of candidates.
fn candidate(trickle: &proto::TrickleRequest) -> Result<Option<String>, ()> {
    let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).map_err(|_| ())?;
    let candidate = init.get("candidate").and_then(serde_json::Value::as_str).ok_or(())?;
    Ok((!candidate.is_empty()).then(|| candidate.to_owned()))
}

/// A text of the other side, cut to a length that a log can bear.
fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_DETAIL_LEN) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}
