//! What a user and a driver may rely on, whatever comes: compared with the outputs of the machine.

use std::collections::{BTreeMap, BTreeSet};

use agent_proto::livekit::SignalRequest;
use agent_proto::livekit::signal_request::Message as Request;
use agent_proto::{MAX_FRAME_LEN, decode};

use super::kinds::InputKind;
use crate::signal::{Signal, SignalOutput};
use crate::{CommandId, DisconnectReason, JoinFailure, Participant, RoomEvent};

/// A broken promise, in plain words.
pub(super) type Checked = Result<(), String>;

/// The WebSocket, as its driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    Closed,
    Opening,
    Open,
    /// A Leave was sent: the last message.
    Left,
}

/// What follows from the outputs of the machine so far.
pub(super) struct Model {
    socket: Socket,
    /// The room as the user knows it, from `Connected` on.
    view: Option<View>,
    /// Events that wait for the next `Entered`.
    held: Option<Vec<RoomEvent>>,
    reconnecting: bool,
    /// A failed join waits for the user.
    join_failed: bool,
    disconnected: bool,
    closed: bool,
    /// Commands without a result.
    waiting: BTreeSet<CommandId>,
    /// Whether only time passes now.
    time: bool,
}

/// The participants, and their tracks and data tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    own: String,
    others: BTreeMap<String, Tracks>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tracks {
    sid: String,
    media: BTreeSet<String>,
    data: BTreeSet<String>,
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            socket: Socket::Closed,
            view: None,
            held: None,
            reconnecting: false,
            join_failed: false,
            disconnected: false,
            closed: false,
            waiting: BTreeSet::new(),
            time: false,
        }
    }

    /// What happens next, and the command if it is one.
    pub(super) fn input(&mut self, kind: InputKind, command: Option<CommandId>) {
        self.time = matches!(kind, InputKind::Timeout | InputKind::EarlyTimeout);
        self.waiting.extend(command);
        match (kind, self.socket) {
            (InputKind::Opened, Socket::Opening) => self.socket = Socket::Open,
            (InputKind::SignalClosed, _)
            | (
                InputKind::Failed
                | InputKind::Unauthorized
                | InputKind::ServerTooOld
                | InputKind::Refused
                | InputKind::RefusedForAWhile,
                Socket::Opening,
            ) => self.socket = Socket::Closed,
            (InputKind::Leave | InputKind::RetryJoin, _) => self.join_failed = false,
            _ => {}
        }
    }

    pub(super) fn output(&mut self, output: &SignalOutput) -> Checked {
        let done = matches!(output, SignalOutput::Done { .. });
        check(!self.closed || done, || format!("after Closed there is {output:?}"))?;
        match output {
            SignalOutput::Connect { .. } => {
                let socket = std::mem::replace(&mut self.socket, Socket::Opening);
                check(socket == Socket::Closed, || {
                    format!("a second WebSocket beside one that is {socket:?}")
                })
            }
            SignalOutput::Send(frame) => {
                let socket = self.socket;
                check(socket == Socket::Open, || format!("{frame:?} is sent; the WebSocket is {socket:?}"))?;
                let sent = decode::<SignalRequest>(frame, MAX_FRAME_LEN);
                let sent = sent.map_err(|error| format!("{frame:?}: {error}"))?;
                if let Some(Request::Leave(_)) = sent.message {
                    self.socket = Socket::Left;
                }
                Ok(())
            }
            SignalOutput::CloseSignal => {
                self.socket = Socket::Closed;
                Ok(())
            }
            SignalOutput::JoinFailed { .. } => {
                self.join_failed = true;
                check(self.view.is_none() && self.held.is_some(), || "a join fails that was none".to_owned())
            }
            SignalOutput::Event(event) => match (&mut self.held, &mut self.view) {
                (Some(held), _) => {
                    held.push(event.clone());
                    Ok(())
                }
                (None, Some(view)) => view.apply(event, &mut self.reconnecting),
                (None, None) => Err(format!("{event:?} before there is a room")),
            },
            SignalOutput::Hold(events) => {
                self.held.get_or_insert_default().extend(events.iter().cloned());
                Ok(())
            }
            SignalOutput::Entered(event) => self.entered(event),
            SignalOutput::Disconnected { .. } => {
                let twice = std::mem::replace(&mut self.disconnected, true);
                check(self.view.is_some() && !twice, || "an end of what has not begun".to_owned())
            }
            SignalOutput::Done { id, .. } => {
                check(self.waiting.remove(id), || format!("command {id} is done, and was not waiting"))
            }
            SignalOutput::Closed { reason } => self.closed(reason),
            SignalOutput::Answer { .. }
            | SignalOutput::IceServers { .. }
            | SignalOutput::Candidate(_)
            | SignalOutput::Sections { .. }
            | SignalOutput::RestartMedia
            | SignalOutput::CloseMedia
            | SignalOutput::Resume { .. }
            | SignalOutput::Rebind
            | SignalOutput::UnknownLeft(_)
            | SignalOutput::DataTrack(_)
            | SignalOutput::LocalTrack(_) => Ok(()),
        }
    }

    fn entered(&mut self, event: &RoomEvent) -> Checked {
        match event {
            RoomEvent::Connected(connected) => {
                check(self.view.is_none(), || "joined twice".to_owned())?;
                let mut view = View { own: connected.local.identity.clone(), ..View::default() };
                view.others = connected
                    .participants
                    .iter()
                    .map(|who| (who.identity.clone(), Tracks::of(who)))
                    .collect();
                self.view = Some(view);
            }
            RoomEvent::Reconnected(_) => {
                let lost = std::mem::take(&mut self.reconnecting);
                check(lost && self.view.is_some(), || "reconnected without a loss".to_owned())?;
            }
            other => return Err(format!("entered with {other:?}")),
        }
        let held = self.held.take();
        let Some(view) = &mut self.view else { return Ok(()) };
        held.into_iter().flatten().try_for_each(|event| view.apply(&event, &mut self.reconnecting))
    }

    fn closed(&mut self, reason: &DisconnectReason) -> Checked {
        self.closed = true;
        let by_media = matches!(
            reason,
            DisconnectReason::JoinFailed(JoinFailure::Media { .. } | JoinFailure::MediaTimeout { .. })
        );
        check(self.socket == Socket::Closed, || format!("closed, and the WebSocket is {:?}", self.socket))?;
        check(self.view.is_some() == self.disconnected, || {
            format!(
                "closed: in the room {}, Disconnected reported {}",
                self.view.is_some(),
                self.disconnected
            )
        })?;
        // A server does not let an agent rejoin that has left.
        check(!(self.join_failed && self.time && by_media), || {
            format!("a failed join ends by itself, before the user decides: {reason:?}")
        })
    }

    /// After all outputs of an input.
    pub(super) fn settled(&self, signal: &Signal, most_requests: usize, most_others: usize) -> Checked {
        check(signal.is_closed() == self.closed, || "closed without Closed".to_owned())?;
        check(!self.closed || self.waiting.is_empty(), || {
            format!("closed, and these commands have no result: {:?}", self.waiting)
        })?;
        check(signal.requests.len() <= most_requests, || "too many requests are kept".to_owned())?;
        check(signal.roster.remote().count() <= most_others, || "too many participants are kept".to_owned())?;
        if self.closed {
            return check(signal.poll_timeout().is_none(), || "a timer after Closed".to_owned());
        }
        check(signal.poll_timeout().is_some() || self.join_failed, || "nothing ends this state".to_owned())?;
        // What was reported and is about to be, together, is the room as it is.
        let Some(mut view) = self.view.clone() else { return Ok(()) };
        let mut reconnecting = true;
        let held =
            self.held.iter().flatten().filter(|event| !matches!(event, RoomEvent::Reconnecting { .. }));
        for event in held {
            view.apply(event, &mut reconnecting)?;
        }
        let known = signal.roster.remote().map(|who| (who.identity.clone(), Tracks::of(who))).collect();
        check(view.others == known, || format!("by the events {:?}, by the roster {known:?}", view.others))
    }

    /// No command waits any more once the room is closed, which it has to be at the end.
    pub(super) fn finished(&self) -> Checked {
        check(self.closed, || "without a server the room does not end".to_owned())
    }
}

impl Tracks {
    fn of(participant: &Participant) -> Self {
        Self {
            sid: participant.sid.clone(),
            media: participant.tracks.keys().cloned().collect(),
            data: participant.data_tracks.keys().cloned().collect(),
        }
    }
}

impl View {
    /// An event of another participant's is about one that was announced, and so for its tracks.
    fn apply(&mut self, event: &RoomEvent, reconnecting: &mut bool) -> Checked {
        let unknown = || format!("{event:?} of what was not announced: {:?}", self.others);
        match event {
            RoomEvent::ParticipantJoined(who) => {
                let new = Tracks { sid: who.sid.clone(), ..Tracks::default() };
                let before = self.others.insert(who.identity.clone(), new);
                return check(before.is_none() && who.identity != self.own, || {
                    format!("{event:?} a second time")
                });
            }
            RoomEvent::ParticipantLeft { participant, .. } => {
                let left = self.others.remove(&participant.identity);
                return check(left.is_some_and(|left| left.sid == participant.sid), || {
                    format!("{event:?} of nobody")
                });
            }
            RoomEvent::ParticipantActive(who)
            | RoomEvent::MetadataChanged(who)
            | RoomEvent::NameChanged(who)
            | RoomEvent::PermissionsChanged(who)
            | RoomEvent::AttributesChanged { participant: who, .. } => check(self.knows(who), unknown)?,
            RoomEvent::TrackSubscribed { participant, track }
            | RoomEvent::TrackStreamStateChanged { participant, track, .. }
            | RoomEvent::TrackSubscriptionPermissionChanged { participant, track, .. }
            | RoomEvent::TrackMuted { participant, track }
            | RoomEvent::TrackUnmuted { participant, track } => {
                let of = self.others.get(&participant.identity);
                let known = of.is_some_and(|of| of.media.contains(&track.sid));
                check(known || participant.identity == self.own, unknown)?;
            }
            RoomEvent::SpeakersChanged(speakers) => {
                let known = |identity: &String| *identity == self.own || self.others.contains_key(identity);
                check(speakers.iter().all(|speaker| known(&speaker.identity)), unknown)?;
            }
            RoomEvent::ConnectionQualityChanged { identity, .. } => {
                check(*identity == self.own || self.others.contains_key(identity), unknown)?;
            }
            RoomEvent::RoomMoved { local, .. } => {
                check(self.others.is_empty(), || format!("moved, and these stay: {:?}", self.others))?;
                self.own.clone_from(&local.identity);
            }
            RoomEvent::Reconnecting { .. } => {
                check(!std::mem::replace(reconnecting, true), || "lost twice".to_owned())?;
            }
            _ => {}
        }
        self.apply_tracks(event)
    }

    fn knows(&self, who: &Participant) -> bool {
        who.identity == self.own || self.others.get(&who.identity).is_some_and(|known| known.sid == who.sid)
    }

    fn apply_tracks(&mut self, event: &RoomEvent) -> Checked {
        let (participant, sid, publishes, is_data) = match event {
            RoomEvent::TrackPublished { participant, track } => (participant, &track.sid, true, false),
            RoomEvent::TrackUnpublished { participant, track } => (participant, &track.sid, false, false),
            RoomEvent::DataTrackPublished { participant, track } => (participant, &track.sid, true, true),
            RoomEvent::DataTrackUnpublished { participant, track } => (participant, &track.sid, false, true),
            _ => return Ok(()),
        };
        // What we publish ourselves is known from answers.
        if participant.identity == self.own {
            return Ok(());
        }
        let Some(of) = self.others.get_mut(&participant.identity) else {
            return Err(format!("{event:?} of nobody"));
        };
        let tracks = if is_data { &mut of.data } else { &mut of.media };
        let changed = if publishes { tracks.insert(sid.clone()) } else { tracks.remove(sid) };
        check(changed, || format!("{event:?} a second time"))
    }
}
