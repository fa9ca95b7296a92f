//! Requests to the server for the tracks of others.
//!
//! A server sends all tracks by default, or none, as requested with the join. Differences from that default
//! are requested after the join, when a track is published, and when a choice changes. If tracks were
//! unsubscribed by hand before a new session, the default of that session is none and each of the other
//! tracks is requested, as the server would send all of them at first. A choice belongs to a track's sid,
//! which stays the same in a new session of ours; a participant that rejoins publishes other tracks.

use std::collections::BTreeMap;

use agent_proto::livekit as proto;

use super::Signal;
use super::roster::Roster;
use crate::{
    AutoSubscribe, CommandId, RoomError, RoomEvent, SubscriptionChange, SubscriptionChoice, TrackKind,
    VideoChoice,
};
use proto::signal_request::Message as Request;

/// What was chosen for tracks, by sid. There are only tracks that are published, and each for which something
/// was chosen ever, as the server may not know yet that it no longer is.
pub(super) struct Subscriptions {
    mode: AutoSubscribe,
    /// Whether the server sends all tracks of this session without a request.
    by_itself: bool,
    choices: BTreeMap<String, SubscriptionChoice>,
}

/// What is chosen of a track.
#[derive(Clone, Copy, PartialEq)]
struct Chosen {
    subscribed: bool,
    settings: Settings,
}

/// How a track is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Settings {
    enabled: bool,
    video: VideoChoice,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, video: VideoChoice::default() }
    }
}

impl Settings {
    fn of(choice: &SubscriptionChoice) -> Self {
        Self { enabled: choice.is_enabled(), video: choice.video() }
    }
}

impl Chosen {
    fn of(choice: &SubscriptionChoice, automatic: bool) -> Self {
        Self { subscribed: choice.is_wanted(automatic), settings: Settings::of(choice) }
    }
}

/// A track of another participant.
struct Published<'a> {
    participant_sid: &'a str,
    sid: &'a str,
    kind: TrackKind,
}

impl Subscriptions {
    pub(super) fn new(mode: AutoSubscribe) -> Self {
        Self { mode, by_itself: false, choices: BTreeMap::new() }
    }

    /// Another session is joined. Returns whether the server is to send all tracks without a request.
    pub(super) fn begin_session(&mut self) -> bool {
        let all_wanted = self.choices.values().all(|choice| choice.is_wanted(true));
        self.by_itself = self.mode == AutoSubscribe::All && all_wanted;
        self.by_itself
    }

    /// As it was decided when the session began.
    pub(super) const fn sends_by_itself(&self) -> bool {
        self.by_itself
    }

    fn is_wanted(&self, sid: &str, kind: TrackKind) -> bool {
        let automatic = self.mode.includes(kind);
        self.choices.get(sid).map_or(automatic, |choice| choice.is_wanted(automatic))
    }

    /// The sids of the tracks that are paused.
    pub(super) fn paused(&self) -> Vec<String> {
        let paused = self.choices.iter().filter(|(_, choice)| !choice.is_enabled());
        paused.map(|(sid, _)| sid.clone()).collect()
    }

    /// The request for those of these tracks that the server would treat in another way.
    fn differing<'a>(&self, tracks: impl Iterator<Item = Published<'a>>) -> proto::UpdateSubscription {
        let differ = tracks.filter(|track| self.is_wanted(track.sid, track.kind) != self.by_itself);
        request(differ.map(|track| (track.participant_sid, track.sid)), !self.by_itself)
    }

    /// The request for all tracks that the server would treat in another way.
    pub(super) fn all(&self, roster: &Roster) -> proto::UpdateSubscription {
        self.differing(published(roster))
    }

    /// Tracks that end take their choices with them.
    pub(super) fn forget_ended(&mut self, events: &[RoomEvent]) {
        for event in events {
            match event {
                RoomEvent::TrackUnpublished { track, .. } => {
                    self.choices.remove(&track.sid);
                }
                RoomEvent::ParticipantLeft { participant, .. } => {
                    self.choices.retain(|sid, _| !participant.tracks.contains_key(sid));
                }
                _ => {}
            }
        }
    }
}

impl Signal {
    /// Changes what is received of a track.
    pub(crate) fn change_subscription(&mut self, id: CommandId, sid: &str, change: SubscriptionChange) {
        let result = self.try_change_subscription(id, sid, change);
        self.done(id, result);
    }

    fn try_change_subscription(
        &mut self,
        id: CommandId,
        sid: &str,
        change: SubscriptionChange,
    ) -> Result<(), RoomError> {
        if !self.is_connected() {
            return Err(RoomError::NotConnected);
        }
        let Some((participant, kind)) = published(&self.roster)
            .find(|track| track.sid == sid)
            .map(|track| (track.participant_sid.to_owned(), track.kind))
        else {
            return match change {
                // The track has ended before its reader.
                SubscriptionChange::StopReading(_) => Ok(()),
                _ => Err(RoomError::TrackNotFound { sid: sid.to_owned() }),
            };
        };
        if change == SubscriptionChange::Subscribe(true) && !self.roster.may_subscribe() {
            return Err(RoomError::NotAllowed { detail: "no permission to subscribe to tracks".to_owned() });
        }
        let automatic = self.subscriptions.mode.includes(kind);
        let choice = self.subscriptions.choices.entry(sid.to_owned()).or_default();
        let mut before = Chosen::of(choice, automatic);
        choice.apply(id, change);
        let now = Chosen::of(choice, automatic);
        // A choice by hand is sent in any case, as an earlier request for it may have failed.
        if matches!(change, SubscriptionChange::Subscribe(_)) {
            before.subscribed = !now.subscribed;
        }
        self.send_choice(&participant, sid, now, before);
        Ok(())
    }

    /// Whether this track is read.
    pub(crate) fn reads(&self, sid: &str) -> bool {
        self.subscriptions.choices.get(sid).is_some_and(SubscriptionChoice::is_read)
    }

    /// Forgets what commands with smaller ids than `before` chose by hand.
    pub(crate) fn reset_subscriptions(&mut self, id: CommandId, before: CommandId) {
        if !self.is_connected() {
            return self.done(id, Err(RoomError::NotConnected));
        }
        let mut changed = Vec::new();
        for track in published(&self.roster) {
            let Some(choice) = self.subscriptions.choices.get_mut(track.sid) else { continue };
            let automatic = self.subscriptions.mode.includes(track.kind);
            let old = Chosen::of(choice, automatic);
            choice.reset(before);
            let now = Chosen::of(choice, automatic);
            changed.push((track.participant_sid.to_owned(), track.sid.to_owned(), now, old));
        }
        for (participant, sid, now, old) in changed {
            self.send_choice(&participant, &sid, now, old);
        }
        self.done(id, Ok(()));
    }

    /// Sends what changed from one state to another. Without a connection it is sent with the next one.
    fn send_choice(&mut self, participant: &str, sid: &str, now: Chosen, before: Chosen) {
        if !self.phase.signal_established() || now == before {
            return;
        }
        if now.subscribed != before.subscribed {
            self.send(Request::Subscription(request([(participant, sid)].into_iter(), now.subscribed)));
        }
        // A subscription that begins gets its settings when it has begun.
        if now.subscribed && before.subscribed && now.settings != before.settings {
            self.send_settings([(sid.to_owned(), now.settings)]);
        }
    }

    /// Sends the settings of tracks, in one request for all that have the same.
    fn send_settings(&mut self, tracks: impl IntoIterator<Item = (String, Settings)>) {
        let mut by_settings: BTreeMap<Settings, Vec<String>> = BTreeMap::new();
        for (sid, settings) in tracks {
            by_settings.entry(settings).or_default().push(sid);
        }
        for (Settings { enabled, video }, sids) in by_settings {
            self.send(Request::TrackSetting(video.settings(sids, enabled)));
        }
    }

    /// Requests what is chosen, in a new session.
    pub(super) fn request_subscriptions(&mut self) {
        let differing = self.subscriptions.all(&self.roster);
        self.send_subscriptions(differing);
    }

    /// After a resume: requests what is as it would be without a choice, which the state for the server does
    /// not contain.
    pub(super) fn confirm_subscriptions(&mut self) {
        let subscriptions = &self.subscriptions;
        let by_itself = subscriptions.by_itself;
        let chosen = || {
            let tracks = published(&self.roster).map(|track| (subscriptions.choices.get(track.sid), track));
            tracks.filter_map(|(choice, track)| Some((choice?, track)))
        };
        let is_wanted = |track: &Published<'_>| subscriptions.is_wanted(track.sid, track.kind);
        let same = chosen().filter(|(_, track)| is_wanted(track) == by_itself);
        let same = request(same.map(|(_, track)| (track.participant_sid, track.sid)), by_itself);
        let enabled = chosen().filter(|(choice, track)| choice.is_enabled() && is_wanted(track));
        let enabled: Vec<_> =
            enabled.map(|(choice, track)| (track.sid.to_owned(), Settings::of(choice))).collect();
        self.send_subscriptions(same);
        self.send_settings(enabled);
    }

    /// Requests the tracks that were published, forgets those that ended, and sends the settings of those
    /// that begin.
    pub(super) fn follow_tracks(&mut self, events: &[RoomEvent]) {
        self.subscriptions.forget_ended(events);
        let new = events.iter().filter_map(|event| match event {
            RoomEvent::TrackPublished { participant, track } => {
                Some(Published { participant_sid: &participant.sid, sid: &track.sid, kind: track.kind })
            }
            _ => None,
        });
        // Not what we publish ourselves.
        let local = self.roster.local().map(|local| local.sid.as_str());
        let new = new.filter(|track| Some(track.participant_sid) != local);
        let differing = self.subscriptions.differing(new);
        self.send_subscriptions(differing);
        let begins = events.iter().filter_map(|event| match event {
            RoomEvent::TrackSubscribed { participant, track } => {
                let sid = track.sid.as_str();
                Some((
                    self.subscriptions.choices.get(sid)?,
                    Published { participant_sid: &participant.sid, sid, kind: track.kind },
                ))
            }
            _ => None,
        });
        // A server that sends all tracks subscribes us some time after the join, whatever was requested
        // before. And livekit-server 1.13 ignores settings of a track that it does not send yet.
        let (subscriptions, mut unwanted, mut set) = (&self.subscriptions, Vec::new(), Vec::new());
        for (choice, track) in begins {
            if !subscriptions.is_wanted(track.sid, track.kind) {
                unwanted.push((track.participant_sid, track.sid));
            } else if Settings::of(choice) != Settings::default() {
                set.push((track.sid.to_owned(), Settings::of(choice)));
            }
        }
        self.send_subscriptions(request(unwanted.into_iter(), false));
        self.send_settings(set);
    }

    fn send_subscriptions(&mut self, subscriptions: proto::UpdateSubscription) {
        if !subscriptions.track_sids.is_empty() {
            self.send(Request::Subscription(subscriptions));
        }
    }
}

fn published(roster: &Roster) -> impl Iterator<Item = Published<'_>> {
    roster.remote().flat_map(|participant| {
        let participant_sid = participant.sid.as_str();
        participant.tracks.values().map(move |track| Published {
            participant_sid,
            sid: &track.sid,
            kind: track.kind,
        })
    })
}

/// `tracks`: the sids of participant and track.
fn request<'a>(
    tracks: impl Iterator<Item = (&'a str, &'a str)>,
    subscribe: bool,
) -> proto::UpdateSubscription {
    let participant_tracks: Vec<_> = tracks
        .map(|(participant_sid, track_sid)| proto::ParticipantTracks {
            participant_sid: participant_sid.to_owned(),
            track_sids: vec![track_sid.to_owned()],
        })
        .collect();
    let track_sids = participant_tracks.iter().flat_map(|tracks| tracks.track_sids.clone()).collect();
    proto::UpdateSubscription { track_sids, subscribe, participant_tracks }
}
