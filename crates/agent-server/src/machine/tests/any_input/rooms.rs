//! What members may rely on: which participants and changes are reported to them, compared with the outputs
//! of the machine.

use std::collections::{BTreeMap, BTreeSet};

use agent_room::{CommandId, Connected, IncomingStream, Participant, RoomEvent, RpcRequestId, StreamEvent};

use super::jobs::{Checked, check};
use crate::machine::{Input, MemberId, Output, Reply, Request, RequestId, Server};

/// What is known of members, calls and requests.
#[derive(Default)]
pub(super) struct Rooms {
    members: BTreeMap<MemberId, View>,
    /// The member that joins now, and the events that it gets before the reply.
    joining: Option<(MemberId, Vec<RoomEvent>)>,
    /// The request without a reply.
    asked: Option<RequestId>,
    /// The calls without a result.
    calls: BTreeMap<CommandId, MemberId>,
    /// Requests that were passed to members.
    pub(super) requests: Vec<RpcRequestId>,
    /// Who receives each stream.
    streams: BTreeMap<IncomingStream, MemberId>,
}

/// The room as a member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    room: String,
    own: String,
    others: BTreeMap<String, Tracks>,
    /// The tracks that it is sent.
    subscribed: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tracks {
    sid: String,
    media: BTreeSet<String>,
    data: BTreeSet<String>,
}

impl Rooms {
    /// What happens next; `None`: only time passes.
    pub(super) fn input(&mut self, input: Option<&Input>) {
        match input {
            Some(Input::Called { member, id, .. }) => drop(self.calls.insert(*id, *member)),
            Some(Input::Requested { id, request }) => {
                self.asked = Some(*id);
                if let Request::Join(join) = request {
                    // A join sends events to the joining member only if it is a new one.
                    let new = !self.members.contains_key(&join.member);
                    self.joining = new.then(|| (join.member, Vec::new()));
                }
            }
            _ => {}
        }
    }

    pub(super) fn output(&mut self, output: &Output) -> Checked {
        match output {
            Output::Notify { member, event } => match &mut self.joining {
                Some((joining, events)) if joining == member => {
                    events.push(event.clone());
                    Ok(())
                }
                _ => self.notified(*member, event),
            },
            Output::Stream { member, event } => {
                self.present(*member, || format!("{event:?}"))?;
                match event {
                    StreamEvent::Opened { stream, .. } => {
                        let before = self.streams.insert(*stream, *member);
                        check(before.is_none(), || format!("{stream:?} begins twice"))
                    }
                    StreamEvent::Content { stream, content } => {
                        let received = self.streams.get(stream) == Some(member);
                        check(received && (1..=15_000).contains(&content.len()), || {
                            format!("content of {stream:?}")
                        })
                    }
                    StreamEvent::Ended { stream, .. } => {
                        let received = self.streams.remove(stream) == Some(*member);
                        check(received, || format!("{stream:?} ends, and is not received"))
                    }
                }
            }
            Output::DataFrame { member, sid, .. } => {
                let view = self.present(*member, || format!("a frame of {sid}"))?;
                let known = view.others.values().any(|of| of.data.contains(sid));
                check(known, || format!("a frame of {sid}, which {member} does not know"))
            }
            Output::LocalTrack { member, .. } => self.present(*member, || "a track".to_owned()).map(drop),
            Output::Requested { member, request } => {
                self.requests.push(request.request);
                self.present(*member, || format!("{request:?}")).map(drop)
            }
            Output::CallDone { member, id, .. } => {
                let called = self.calls.remove(id) == Some(*member);
                check(called, || format!("call {id} of {member} is done, and was not made"))
            }
            Output::Reply { id, reply } => {
                check(self.asked.take() == Some(*id), || format!("a reply to {id}, which is not asked"))?;
                let joining = self.joining.take();
                match (reply, joining) {
                    (Ok(Reply::Joined(connected)), Some((member, events))) => {
                        self.members.insert(member, View::of(connected));
                        events.iter().try_for_each(|event| self.notified(member, event))
                    }
                    (Ok(Reply::Joined(_)), None) => Err("somebody joins a second time".to_owned()),
                    (_, Some((_, events))) => {
                        check(events.is_empty(), || format!("a member that has not joined gets {events:?}"))
                    }
                    _ => Ok(()),
                }
            }
            Output::Send { .. } | Output::Assign { .. } | Output::Close { .. } | Output::Log(_) => Ok(()),
        }
    }

    fn present(&self, member: MemberId, what: impl Fn() -> String) -> Result<&View, String> {
        self.members.get(&member).ok_or_else(|| format!("{} for member {member}, who is not there", what()))
    }

    fn notified(&mut self, member: MemberId, event: &RoomEvent) -> Checked {
        self.present(member, || format!("{event:?}"))?;
        if let RoomEvent::Disconnected { .. } = event {
            self.members.remove(&member);
            let receives = self.streams.values().any(|to| *to == member);
            let calls = self.calls.values().any(|of| *of == member);
            return check(!receives && !calls, || format!("{member} is out, with open streams or calls"));
        }
        let Some(view) = self.members.get_mut(&member) else { return Ok(()) };
        view.apply(event).map_err(|what| format!("{member} ({}): {what}", view.own))
    }

    /// After all outputs of an input.
    pub(super) fn settled(&self, server: &Server) -> Checked {
        check(self.asked.is_none(), || format!("no reply to {:?}", self.asked))?;
        let known: Vec<_> = self.members.keys().collect();
        check(known == server.members.keys().collect::<Vec<_>>(), || format!("there are {known:?}"))?;
        for (member, view) in &self.members {
            let actual = View::now(server, &view.room, &view.own);
            check(*view == actual, || format!("{member} knows {view:?},\nand there is {actual:?}"))?;
        }
        Ok(())
    }

    /// Everybody is gone, and all times are over.
    pub(super) fn finished(&self) -> Checked {
        check(self.members.is_empty() && self.streams.is_empty() && self.calls.is_empty(), || {
            format!("left: {:?} {:?} {:?}", self.members, self.streams, self.calls)
        })
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
    fn of(connected: &Connected) -> Self {
        let others = connected.participants.iter().map(|who| (who.identity.clone(), Tracks::of(who)));
        Self {
            room: connected.room.name.clone(),
            own: connected.local.identity.clone(),
            others: others.collect(),
            subscribed: BTreeSet::new(),
        }
    }

    /// What the server has of this room.
    fn now(server: &Server, room: &str, own: &str) -> Self {
        let there = server.participants(room).unwrap_or_default();
        let others = there.iter().filter(|who| who.identity != own && !who.permissions.hidden);
        let tracks = there.iter().flat_map(|who| who.tracks.keys().map(move |sid| (&who.identity, sid)));
        let receives = |(publisher, sid): &(&String, &String)| {
            server.subscribers(room, publisher, sid).iter().any(|(to, _)| to == own)
        };
        Self {
            room: room.to_owned(),
            own: own.to_owned(),
            others: others.map(|who| (who.identity.clone(), Tracks::of(who))).collect(),
            subscribed: tracks.filter(receives).map(|(_, sid)| sid.clone()).collect(),
        }
    }

    fn apply(&mut self, event: &RoomEvent) -> Checked {
        let unknown = || format!("{event:?} of what was not announced");
        match event {
            RoomEvent::ParticipantJoined(who) => {
                let joined = Tracks { sid: who.sid.clone(), ..Tracks::default() };
                let before = self.others.insert(who.identity.clone(), joined);
                check(before.is_none() && who.identity != self.own, || format!("{event:?} a second time"))
            }
            RoomEvent::ParticipantLeft { participant, .. } => {
                let left =
                    self.others.remove(&participant.identity).filter(|left| left.sid == participant.sid);
                let left = left.ok_or_else(|| format!("{event:?} of nobody"))?;
                self.subscribed.retain(|sid| !left.media.contains(sid));
                Ok(())
            }
            RoomEvent::ParticipantActive(who)
            | RoomEvent::MetadataChanged(who)
            | RoomEvent::NameChanged(who)
            | RoomEvent::PermissionsChanged(who)
            | RoomEvent::AttributesChanged { participant: who, .. } => check(self.knows(who), unknown),
            RoomEvent::TrackMuted { participant, track } | RoomEvent::TrackUnmuted { participant, track } => {
                check(self.has_track(participant, &track.sid), unknown)
            }
            RoomEvent::TrackSubscribed { participant, track } => {
                check(self.has_track(participant, &track.sid) && participant.identity != self.own, unknown)?;
                check(self.subscribed.insert(track.sid.clone()), || format!("{event:?} a second time"))
            }
            RoomEvent::TrackUnsubscribed { track_sid } => {
                check(self.subscribed.remove(track_sid), || format!("{event:?}, which it was not"))
            }
            RoomEvent::TrackPublished { participant, track } => {
                self.change(event, participant, |of| of.media.insert(track.sid.clone()))
            }
            RoomEvent::TrackUnpublished { participant, track } => {
                self.change(event, participant, |of| of.media.remove(&track.sid))
            }
            RoomEvent::DataTrackPublished { participant, track } => {
                self.change(event, participant, |of| of.data.insert(track.sid.clone()))
            }
            RoomEvent::DataTrackUnpublished { participant, track } => {
                self.change(event, participant, |of| of.data.remove(&track.sid))
            }
            _ => Ok(()),
        }
    }

    fn knows(&self, who: &Participant) -> bool {
        who.identity == self.own || self.others.get(&who.identity).is_some_and(|known| known.sid == who.sid)
    }

    /// Its own tracks it knows from its commands.
    fn has_track(&self, who: &Participant, sid: &str) -> bool {
        who.identity == self.own || self.others.get(&who.identity).is_some_and(|of| of.media.contains(sid))
    }

    fn change(
        &mut self,
        event: &RoomEvent,
        participant: &Participant,
        change: impl FnOnce(&mut Tracks) -> bool,
    ) -> Checked {
        if participant.identity == self.own {
            return Ok(());
        }
        let of = self.others.get_mut(&participant.identity).ok_or_else(|| format!("{event:?} of nobody"))?;
        check(change(of), || format!("{event:?} a second time"))
    }
}
