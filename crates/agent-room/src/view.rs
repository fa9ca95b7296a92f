//! The room's state derived from its events: the only place that decides how an event changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Connected, ConnectionQuality, DataTrack, DisconnectReason, NetworkPath, Participant, ParticipantKind,
    RoomEvent, RoomInfo, Speaker, Track,
};

/// The state of a room after its last event: its description, ourselves, the others, and what we receive of
/// them.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    room: RoomInfo,
    local: Arc<Participant>,
    /// Keyed by identity.
    participants: BTreeMap<String, Arc<Participant>>,
    /// The sids of the tracks that the server sends us.
    subscribed: BTreeSet<String>,
    /// The active speakers, loudest first.
    speakers: Vec<Speaker>,
    /// Keyed by identity.
    qualities: BTreeMap<String, ConnectionQuality>,
    network_path: Option<NetworkPath>,
}

/// The effect of an event on a [`View`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// No change.
    None,
    /// A participant joined, left or changed, or the description of the room did.
    Changed,
    /// As `Changed`, and this is a new room of the same name.
    Replaced,
    /// We are no longer in the room; the view keeps its last state.
    Ended(DisconnectReason),
}

impl View {
    /// The view of a room that was just joined.
    #[must_use]
    pub fn new(connected: Connected) -> Self {
        let Connected { room, local, participants, network_path, .. } = connected;
        Self {
            room,
            local,
            participants: by_identity(participants),
            subscribed: BTreeSet::new(),
            speakers: Vec::new(),
            qualities: BTreeMap::new(),
            network_path,
        }
    }

    /// The room's description.
    #[must_use]
    pub const fn room(&self) -> &RoomInfo {
        &self.room
    }

    /// Our own participant.
    #[must_use]
    pub const fn local(&self) -> &Arc<Participant> {
        &self.local
    }

    /// The other participants, by identity.
    #[must_use]
    pub const fn participants(&self) -> &BTreeMap<String, Arc<Participant>> {
        &self.participants
    }

    /// The number of the others who are people, or represent one: ordinary clients, callers, connectors.
    #[must_use]
    pub fn people(&self) -> usize {
        self.participants.values().filter(|participant| participant.kind.is_human()).count()
    }

    /// The number of the others for whom a server keeps the room open: all but agents and recorders.
    #[must_use]
    pub fn keepers(&self) -> usize {
        let keeps = |participant: &&Arc<Participant>| {
            !matches!(participant.kind, ParticipantKind::Agent | ParticipantKind::Egress)
        };
        self.participants.values().filter(keeps).count()
    }

    /// How old the room was when we joined it, by the server's clock; zero if the server did not send it.
    #[must_use]
    pub fn age_when_joined(&self) -> Duration {
        let (joined, created) = (self.local.joined_at_ms, self.room.created_at_ms);
        if joined == 0 || created == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(u64::try_from(joined.saturating_sub(created)).unwrap_or_default())
    }

    /// A track of another participant, and its publisher.
    #[must_use]
    pub fn track(&self, sid: &str) -> Option<(&Arc<Participant>, &Track)> {
        self.participants.values().find_map(|participant| Some((participant, participant.tracks.get(sid)?)))
    }

    /// A data track of another participant, and its publisher.
    #[must_use]
    pub fn data_track(&self, sid: &str) -> Option<(&Arc<Participant>, &DataTrack)> {
        self.participants
            .values()
            .find_map(|participant| Some((participant, participant.data_tracks.get(sid)?)))
    }

    /// Whether the participant of this identity, one of the others, publishes this track or data track.
    #[must_use]
    pub fn publishes(&self, identity: &str, track_sid: &str) -> bool {
        self.participants.get(identity).is_some_and(|participant| {
            participant.tracks.contains_key(track_sid) || participant.data_tracks.contains_key(track_sid)
        })
    }

    /// Whether the server sends us this track.
    #[must_use]
    pub fn is_subscribed(&self, track_sid: &str) -> bool {
        self.subscribed.contains(track_sid)
    }

    /// The active speakers, loudest first, possibly with ourselves.
    #[must_use]
    pub fn speakers(&self) -> &[Speaker] {
        &self.speakers
    }

    /// The quality of a participant's connection, possibly our own; `None` before its first rating.
    #[must_use]
    pub fn connection_quality(&self, identity: &str) -> Option<ConnectionQuality> {
        self.qualities.get(identity).copied()
    }

    /// The path of our media and data to the server; `None`: it is not known.
    #[must_use]
    pub const fn network_path(&self) -> Option<&NetworkPath> {
        self.network_path.as_ref()
    }

    /// Applies an event. There is no wildcard: a new kind of event must be handled here.
    #[deny(clippy::wildcard_enum_match_arm, reason = "each event is decided, none falls through")]
    pub fn apply(&mut self, event: &RoomEvent) -> ViewChange {
        match event {
            RoomEvent::Connected(connected) => {
                *self = Self::new(Connected::clone(connected));
                ViewChange::Changed
            }
            RoomEvent::Reconnected(again) => {
                self.room.clone_from(&again.room);
                self.local = again.local.clone();
                if again.room_changed { ViewChange::Replaced } else { ViewChange::Changed }
            }
            RoomEvent::ParticipantLeft { participant, .. } => {
                self.participants.remove(&participant.identity);
                self.qualities.remove(&participant.identity);
                self.speakers.retain(|speaker| speaker.identity != participant.identity);
                self.subscribed.retain(|sid| !participant.tracks.contains_key(sid));
                ViewChange::Changed
            }
            RoomEvent::ParticipantJoined(participant)
            | RoomEvent::ParticipantActive(participant)
            | RoomEvent::MetadataChanged(participant)
            | RoomEvent::NameChanged(participant)
            | RoomEvent::AttributesChanged { participant, .. }
            | RoomEvent::PermissionsChanged(participant)
            | RoomEvent::TrackPublished { participant, .. }
            | RoomEvent::LocalTrackPublished { participant, .. }
            | RoomEvent::LocalTrackUnpublished { participant, .. }
            | RoomEvent::LocalTrackRepublished { participant, .. }
            | RoomEvent::DataTrackPublished { participant, .. }
            | RoomEvent::DataTrackUnpublished { participant, .. }
            | RoomEvent::TrackMuted { participant, .. }
            | RoomEvent::TrackUnmuted { participant, .. } => {
                self.replace(participant);
                ViewChange::Changed
            }
            RoomEvent::TrackUnpublished { participant, track } => {
                self.subscribed.remove(&track.sid);
                self.replace(participant);
                ViewChange::Changed
            }
            RoomEvent::TrackSubscribed { track, .. } => {
                // It may have ended before its subscription was announced.
                if self.track(&track.sid).is_some() {
                    self.subscribed.insert(track.sid.clone());
                }
                ViewChange::None
            }
            RoomEvent::TrackUnsubscribed { track_sid } => {
                self.subscribed.remove(track_sid);
                ViewChange::None
            }
            RoomEvent::SpeakersChanged(speakers) => {
                self.speakers.clone_from(speakers);
                ViewChange::None
            }
            RoomEvent::ConnectionQualityChanged { identity, quality } => {
                if *identity == self.local.identity || self.participants.contains_key(identity) {
                    self.qualities.insert(identity.clone(), *quality);
                }
                ViewChange::None
            }
            RoomEvent::NetworkPathChanged(path) => {
                self.network_path = Some(NetworkPath::clone(path));
                ViewChange::None
            }
            RoomEvent::RoomMetadataChanged(room) | RoomEvent::RoomUpdated(room) => {
                self.room.clone_from(room);
                ViewChange::Changed
            }
            RoomEvent::RoomReplaced(room) => {
                self.room.clone_from(room);
                ViewChange::Replaced
            }
            // Requested by the server, not a loss: the participants follow.
            RoomEvent::RoomMoved { room, local } => {
                self.room.clone_from(room);
                self.local = local.clone();
                self.speakers.clear();
                self.qualities.clear();
                ViewChange::Changed
            }
            RoomEvent::Disconnected { reason } => ViewChange::Ended(reason.clone()),
            // What passes, and messages.
            RoomEvent::LocalTrackSubscribed { .. }
            | RoomEvent::TrackSubscriptionFailed { .. }
            | RoomEvent::TrackStreamStateChanged { .. }
            | RoomEvent::TrackSubscriptionPermissionChanged { .. }
            | RoomEvent::DataReceived(_)
            | RoomEvent::DtmfReceived { .. }
            | RoomEvent::ChatMessageReceived(_)
            | RoomEvent::TranscriptionReceived(_)
            | RoomEvent::DataMissed { .. }
            | RoomEvent::E2eeStateChanged { .. }
            | RoomEvent::Reconnecting { .. }
            | RoomEvent::TokenRefreshed { .. }
            | RoomEvent::Lagged { .. } => ViewChange::None,
        }
    }

    /// The events about the present with which a new stream begins: the participants, their tracks, which of
    /// them we receive, and who speaks.
    #[must_use]
    pub fn present(&self) -> Vec<RoomEvent> {
        let mut events = Vec::new();
        for participant in self.participants.values() {
            events.push(RoomEvent::ParticipantJoined(participant.clone()));
            if participant.active {
                events.push(RoomEvent::ParticipantActive(participant.clone()));
            }
            for track in participant.tracks.values() {
                let (participant, track) = (participant.clone(), track.clone());
                let subscribed = self.is_subscribed(&track.sid).then(|| RoomEvent::TrackSubscribed {
                    participant: participant.clone(),
                    track: track.clone(),
                });
                events.push(RoomEvent::TrackPublished { participant, track });
                events.extend(subscribed);
            }
            for track in participant.data_tracks.values() {
                let track = track.clone();
                events.push(RoomEvent::DataTrackPublished { participant: participant.clone(), track });
            }
        }
        if !self.speakers.is_empty() {
            events.push(RoomEvent::SpeakersChanged(self.speakers.clone()));
        }
        events
    }

    fn replace(&mut self, participant: &Arc<Participant>) {
        if participant.identity == self.local.identity {
            self.local = participant.clone();
        } else {
            self.participants.insert(participant.identity.clone(), participant.clone());
        }
    }
}

fn by_identity(participants: Vec<Arc<Participant>>) -> BTreeMap<String, Arc<Participant>> {
    participants.into_iter().map(|participant| (participant.identity.clone(), participant)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataReceived, Reconnected};

    fn someone(identity: &str) -> Participant {
        Participant::new(format!("PA_{identity}"), identity)
    }

    fn joined(identity: &str) -> RoomEvent {
        RoomEvent::ParticipantJoined(someone(identity).into())
    }

    fn view() -> View {
        View::new(Connected::new(RoomInfo::new("RM_1", "lobby"), someone("me")))
    }

    fn others(view: &View) -> Vec<&str> {
        view.participants().keys().map(String::as_str).collect()
    }

    #[test]
    fn joins_and_leaves_of_participants_are_followed() {
        let mut view = view();
        assert_eq!(view.apply(&joined("bob")), ViewChange::Changed);
        assert_eq!(view.apply(&joined("ada")), ViewChange::Changed);
        assert_eq!(others(&view), ["ada", "bob"]);
        let left = RoomEvent::ParticipantLeft {
            participant: someone("bob").into(),
            reason: DisconnectReason::ClientInitiated,
        };
        assert_eq!(view.apply(&left), ViewChange::Changed);
        assert_eq!(others(&view), ["ada"]);
    }

    #[test]
    fn a_change_of_ours_is_applied_to_the_local_participant() {
        let mut view = view();
        let renamed = Participant { name: "Agent".into(), ..someone("me") };
        assert_eq!(view.apply(&RoomEvent::NameChanged(renamed.into())), ViewChange::Changed);
        assert_eq!((view.local().name.as_str(), others(&view).len()), ("Agent", 0));
    }

    #[test]
    fn another_room_of_the_name_is_distinguished_from_the_same() {
        let mut view = view();
        view.apply(&joined("ada"));
        let again = |room_changed| {
            let room = RoomInfo::new(if room_changed { "RM_2" } else { "RM_1" }, "lobby");
            let local = someone("me").into();
            RoomEvent::Reconnected(Box::new(Reconnected {
                room_changed,
                room,
                local,
                ..Reconnected::default()
            }))
        };
        assert_eq!(view.apply(&again(false)), ViewChange::Changed);
        assert_eq!(view.apply(&again(true)), ViewChange::Replaced);
        assert_eq!((view.room().sid.as_str(), others(&view)), ("RM_2", vec!["ada"]));
        let replaced = RoomEvent::RoomReplaced(RoomInfo::new("RM_3", "lobby"));
        assert_eq!(view.apply(&replaced), ViewChange::Replaced);
        let moved = RoomEvent::RoomMoved { room: RoomInfo::new("RM_4", "hall"), local: someone("me").into() };
        assert_eq!(view.apply(&moved), ViewChange::Changed);
        assert_eq!(view.room().name, "hall");
        assert_eq!(view.apply(&RoomEvent::RoomUpdated(RoomInfo::new("RM_4", "hall"))), ViewChange::Changed);
    }

    #[test]
    fn other_events_leave_the_view_unchanged() {
        let (mut view, before) = (view(), view());
        for event in [
            RoomEvent::DataReceived(DataReceived::new("chat", "hello", None)),
            RoomEvent::Reconnecting { reason: DisconnectReason::Unspecified },
            RoomEvent::Lagged { missed: 3 },
        ] {
            assert_eq!(view.apply(&event), ViewChange::None);
        }
        let reason = DisconnectReason::RoomDeleted;
        let ended = RoomEvent::Disconnected { reason: reason.clone() };
        assert_eq!(view.apply(&ended), ViewChange::Ended(reason));
        assert_eq!(view, before);
    }

    #[test]
    fn a_new_stream_begins_with_the_present_participants_and_their_tracks() {
        let mut view = view();
        let mut ada = Participant { active: true, ..someone("ada") };
        ada.tracks.insert("TR_1".into(), Track { sid: "TR_1".into(), ..Track::default() });
        view.apply(&RoomEvent::ParticipantJoined(ada.into()));
        view.apply(&joined("bob"));
        let present = view.present();
        let [
            RoomEvent::ParticipantJoined(first),
            RoomEvent::ParticipantActive(_),
            RoomEvent::TrackPublished { track, .. },
            RoomEvent::ParticipantJoined(last),
        ] = present.as_slice()
        else {
            panic!("{present:?}");
        };
        assert_eq!(
            (first.identity.as_str(), track.sid.as_str(), last.identity.as_str()),
            ("ada", "TR_1", "bob")
        );
    }

    fn with_track(identity: &str, track: &Track) -> Arc<Participant> {
        let mut someone = someone(identity);
        someone.tracks.insert(track.sid.clone(), track.clone());
        someone.into()
    }

    #[test]
    fn subscriptions_and_speakers_are_kept_and_repeated_to_new_streams() {
        let mut view = view();
        let track = Track { sid: "TR_1".into(), ..Track::default() };
        let ada = with_track("ada", &track);
        let subscribed = RoomEvent::TrackSubscribed { participant: ada.clone(), track: track.clone() };
        let speaks = RoomEvent::SpeakersChanged(vec![Speaker::new("ada", 0.5), Speaker::new("me", 0.1)]);
        let rated = |identity: &str, quality| RoomEvent::ConnectionQualityChanged {
            identity: identity.into(),
            quality,
        };
        // Of nobody who is present.
        view.apply(&subscribed);
        view.apply(&rated("ada", ConnectionQuality::Poor));
        assert!(!view.is_subscribed("TR_1") && view.connection_quality("ada").is_none());
        view.apply(&RoomEvent::ParticipantJoined(ada.clone()));
        for event in [&subscribed, &speaks, &rated("ada", ConnectionQuality::Good)] {
            assert_eq!(view.apply(event), ViewChange::None);
        }
        view.apply(&rated("me", ConnectionQuality::Excellent));
        assert!(view.is_subscribed("TR_1"));
        assert_eq!((view.speakers().len(), &view.speakers()[0].identity[..]), (2, "ada"));
        let qualities = ["ada", "me"].map(|who| view.connection_quality(who));
        assert_eq!(qualities, [Some(ConnectionQuality::Good), Some(ConnectionQuality::Excellent)]);
        assert_eq!(view.present()[2..], [subscribed.clone(), speaks.clone()]);

        view.apply(&RoomEvent::TrackUnsubscribed { track_sid: "TR_1".into() });
        assert!(!view.is_subscribed("TR_1"));
        view.apply(&subscribed);
        view.apply(&RoomEvent::TrackUnpublished { participant: ada.clone(), track });
        assert!(!view.is_subscribed("TR_1"));
        // With the participant all of it ends.
        view.apply(&RoomEvent::TrackPublished {
            participant: ada.clone(),
            track: ada.tracks["TR_1"].clone(),
        });
        view.apply(&subscribed);
        let reason = DisconnectReason::ClientInitiated;
        view.apply(&RoomEvent::ParticipantLeft { participant: ada, reason });
        assert!(!view.is_subscribed("TR_1") && view.connection_quality("ada").is_none());
        assert_eq!(view.present(), [RoomEvent::SpeakersChanged(vec![Speaker::new("me", 0.1)])]);
    }

    #[test]
    fn tracks_are_found_while_they_are_published() {
        let mut view = view();
        let with = |tracks: &[&str]| {
            let mut ada = someone("ada");
            ada.tracks = tracks
                .iter()
                .map(|sid| ((*sid).into(), Track { sid: (*sid).into(), ..Track::default() }))
                .collect();
            Arc::new(ada)
        };
        let track = Track { sid: "TR_1".into(), ..Track::default() };
        assert!(view.track("TR_1").is_none() && !view.publishes("ada", "TR_1"));
        view.apply(&RoomEvent::ParticipantJoined(with(&["TR_1", "TR_2"])));
        assert_eq!(view.track("TR_1"), Some((&with(&["TR_1", "TR_2"]), &track)));
        assert!(view.publishes("ada", "TR_1") && !view.publishes("bob", "TR_1"));
        view.apply(&RoomEvent::TrackUnpublished { participant: with(&["TR_2"]), track });
        assert!(
            view.track("TR_1").is_none() && !view.publishes("ada", "TR_1") && view.publishes("ada", "TR_2")
        );
    }
}
