//! The participants of the room and their tracks, kept from the server's snapshots.
//!
//! The server sends whole participants, repeatedly. This module computes the changes from one snapshot to the
//! next. A snapshot that is older than the known state (its version is lower) changes nothing; a known
//! identity with a new sid is a participant who left and one who joined.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use agent_proto::livekit as proto;

use crate::streams::Abilities;
use crate::{ConnectionQuality, DisconnectReason, Participant, Permissions, RoomEvent, Speaker, Track};

/// Maximum number of tracks of one participant. A server permits a few dozen.
const MAX_TRACKS: usize = 500;

/// Maximum number of details of a participant's kind.
const MAX_KIND_DETAILS: usize = 16;

/// The client protocol from which on RPC uses text streams.
const RPC_STREAMS: i32 = 1;
/// The client protocol from which on a stream may be a single packet, and compressed.
const SINGLE_PACKET_STREAMS: i32 = 2;

/// Whose state it is that changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Theirs,
}

/// One known participant.
struct Entry {
    participant: Arc<Participant>,
    version: u32,
    /// Whether the server has sent the permissions: otherwise there is nothing to compare with.
    permissions_known: bool,
    abilities: Abilities,
}

/// A participant who left and was not known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownLeft {
    pub(crate) sid: String,
    /// `None`: another session of this identity is in the room.
    pub(crate) identity: Option<String>,
}

/// The known participants, sorted: the same inputs give the same events.
pub(crate) struct Roster {
    local: Option<Entry>,
    /// Keyed by identity.
    remote: BTreeMap<String, Entry>,
    /// Sid → identity, including ourselves.
    identities: BTreeMap<String, String>,
    /// The active speakers: sid → level.
    speakers: BTreeMap<String, f32>,
    /// The sids of the tracks that the server sends us.
    subscribed: BTreeMap<String, ()>,
    limit: usize,
}

impl Roster {
    /// An empty roster of at most `limit` other participants.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            local: None,
            remote: BTreeMap::new(),
            identities: BTreeMap::new(),
            speakers: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            limit,
        }
    }

    /// Our own participant, once joined.
    pub(crate) fn local(&self) -> Option<&Arc<Participant>> {
        self.local.as_ref().map(|entry| &entry.participant)
    }

    /// Our permissions, if the server has sent them.
    pub(crate) fn own_permissions(&self) -> Option<&Permissions> {
        let local = self.local.as_ref().filter(|entry| entry.permissions_known);
        local.map(|entry| &entry.participant.permissions)
    }

    /// Whether we have the permission; also true if the server has not sent permissions.
    pub(crate) fn may_publish_data(&self) -> bool {
        self.own_permissions().is_none_or(|permissions| permissions.can_publish_data)
    }

    /// Adds a track of ours.
    pub(crate) fn publish_local(&mut self, track: Track) -> Option<Arc<Participant>> {
        let local = self.local.as_mut()?;
        Arc::make_mut(&mut local.participant).tracks.insert(track.sid.clone(), track);
        Some(local.participant.clone())
    }

    /// Removes a track of ours.
    pub(crate) fn unpublish_local(&mut self, sid: &str) -> Option<Arc<Participant>> {
        let local = self.local.as_mut()?;
        Arc::make_mut(&mut local.participant).tracks.remove(sid);
        Some(local.participant.clone())
    }

    /// Whether we may receive tracks; also true if the server has not sent permissions.
    pub(crate) fn may_subscribe(&self) -> bool {
        self.own_permissions().is_none_or(|permissions| permissions.can_subscribe)
    }

    /// What all these participants can read, or everybody else if there are none. A participant that is not
    /// known reads only what all clients do.
    pub(crate) fn abilities(&self, destinations: &[String]) -> Abilities {
        let of = |entry: Option<&Entry>| entry.map_or_else(Abilities::default, |entry| entry.abilities);
        if destinations.is_empty() {
            self.remote.values().fold(Abilities::ALL, |all, entry| all.and(entry.abilities))
        } else {
            destinations.iter().fold(Abilities::ALL, |all, identity| all.and(of(self.remote.get(identity))))
        }
    }

    /// Whether this other participant is present.
    pub(crate) fn contains(&self, identity: &str) -> bool {
        self.remote.contains_key(identity)
    }

    /// The others, sorted by identity.
    pub(crate) fn remote(&self) -> impl Iterator<Item = &Arc<Participant>> {
        self.remote.values().map(|entry| &entry.participant)
    }

    /// Sets our own first snapshot, without events.
    pub(crate) fn set_local(&mut self, mut info: proto::ParticipantInfo) {
        info.tracks.truncate(MAX_TRACKS);
        info.data_tracks.truncate(MAX_TRACKS);
        self.identities.insert(info.sid.clone(), info.identity.clone());
        self.local = Some(Entry::new(info));
    }

    /// Our own connection is established.
    pub(crate) fn activate_local(&mut self) {
        if let Some(local) = &mut self.local {
            Arc::make_mut(&mut local.participant).active = true;
        }
    }

    /// Removes everybody, including ourselves; the others are reported as left.
    pub(crate) fn clear(&mut self, reason: &DisconnectReason, events: &mut Vec<RoomEvent>) {
        for entry in mem::take(&mut self.remote).into_values() {
            events
                .push(RoomEvent::ParticipantLeft { participant: entry.participant, reason: reason.clone() });
        }
        self.identities.clear();
        self.speakers.clear();
        self.subscribed.clear();
        self.local = None;
    }

    /// A new session of ours: participants who are not among `others` any more, or with a new sid, have left.
    /// Their snapshots follow.
    pub(crate) fn rejoin(
        &mut self,
        local: proto::ParticipantInfo,
        others: &[proto::ParticipantInfo],
        events: &mut Vec<RoomEvent>,
    ) {
        if let Some(old) = self.local.take() {
            self.identities.remove(&old.participant.sid);
        }
        self.set_local(local);
        self.subscriptions([], events);
        if !self.speakers.is_empty() {
            self.speakers.clear();
            events.push(RoomEvent::SpeakersChanged(Vec::new()));
        }
        self.retain(others, events);
    }

    /// Removes the others who are not in this list, or have another sid there. Snapshots of the rest follow.
    pub(crate) fn retain(&mut self, others: &[proto::ParticipantInfo], events: &mut Vec<RoomEvent>) {
        let there: BTreeSet<&str> = others.iter().map(|info| info.sid.as_str()).collect();
        let gone = self.remote.values().filter(|entry| !there.contains(entry.participant.sid.as_str()));
        let gone: Vec<String> = gone.map(|entry| entry.participant.identity.clone()).collect();
        for identity in gone {
            self.remove(&identity, DisconnectReason::Unspecified, events);
        }
    }

    /// Applies a snapshot of any participant. `false`: it was rejected, at least in part (no identity, too
    /// many participants or tracks).
    pub(crate) fn update(&mut self, mut info: proto::ParticipantInfo, events: &mut Vec<RoomEvent>) -> bool {
        let fits = info.tracks.len().max(info.data_tracks.len()) <= MAX_TRACKS;
        info.tracks.truncate(MAX_TRACKS);
        info.data_tracks.truncate(MAX_TRACKS);
        let before = events.len();
        let taken = self.take(info, events);
        let new = events.iter().skip(before).filter_map(|event| self.subscribed_when_published(event));
        let new: Vec<RoomEvent> = new.collect();
        events.extend(new);
        taken && fits
    }

    /// The subscription to a track that the server announced before the track itself.
    fn subscribed_when_published(&self, event: &RoomEvent) -> Option<RoomEvent> {
        let RoomEvent::TrackPublished { participant, track } = event else { return None };
        let (participant, track) = (participant.clone(), track.clone());
        self.subscribed.contains_key(&track.sid).then_some(RoomEvent::TrackSubscribed { participant, track })
    }

    fn take(&mut self, info: proto::ParticipantInfo, events: &mut Vec<RoomEvent>) -> bool {
        if info.identity.is_empty() || info.sid.is_empty() {
            return false;
        }
        if let Some(local) = &mut self.local
            && local.participant.identity == info.identity
        {
            // A duplicate of ours that is reported before our own Leave is not us.
            if local.participant.sid == info.sid
                && info.state != proto::participant_info::State::Disconnected as i32
            {
                local.update(info, events, Whose::Ours);
            }
            return true;
        }
        let known_sid = self.remote.get(&info.identity).map(|entry| entry.participant.sid.clone());
        if info.state == proto::participant_info::State::Disconnected as i32 {
            if known_sid.as_deref() == Some(&info.sid) {
                self.remove(&info.identity, DisconnectReason::from_wire(info.disconnect_reason), events);
            }
            return true;
        }
        if let Some(sid) = known_sid
            && sid != info.sid
        {
            if self.older_session(&info) {
                return true;
            }
            self.remove(&info.identity, DisconnectReason::DuplicateIdentity, events);
        }
        if let Some(entry) = self.remote.get_mut(&info.identity) {
            entry.update(info, events, Whose::Theirs);
            return true;
        }
        if self.remote.len() >= self.limit {
            return false;
        }
        self.identities.insert(info.sid.clone(), info.identity.clone());
        let identity = info.identity.clone();
        let entry = Entry::new(info);
        announce(&entry.participant, events);
        self.remote.insert(identity, entry);
        true
    }

    /// A participant who left and was not known: only data came of them, or an earlier session of theirs.
    pub(crate) fn unknown_left(&self, info: &proto::ParticipantInfo) -> Option<UnknownLeft> {
        let left = info.state == proto::participant_info::State::Disconnected as i32;
        let unknown = !info.sid.is_empty() && !self.identities.contains_key(&info.sid);
        let ours = self.local().is_some_and(|local| local.identity == info.identity);
        let present = ours || self.remote.contains_key(&info.identity);
        let identity = || (!present).then(|| info.identity.clone());
        (left && unknown).then(|| UnknownLeft { sid: info.sid.clone(), identity: identity() })
    }

    /// Whether this snapshot is of a session that began before the known one.
    fn older_session(&self, info: &proto::ParticipantInfo) -> bool {
        let joined = joined_at_ms(info);
        self.remote
            .get(&info.identity)
            .is_some_and(|entry| joined != 0 && joined < entry.participant.joined_at_ms)
    }

    fn remove(&mut self, identity: &str, reason: DisconnectReason, events: &mut Vec<RoomEvent>) {
        let Some(entry) = self.remote.remove(identity) else { return };
        self.identities.remove(&entry.participant.sid);
        self.speakers.remove(&entry.participant.sid);
        events.push(RoomEvent::ParticipantLeft { participant: entry.participant, reason });
    }

    /// Applies changes of the active speakers.
    pub(crate) fn speakers(&mut self, changes: Vec<proto::SpeakerInfo>, events: &mut Vec<RoomEvent>) {
        for change in changes {
            if change.active && self.identities.contains_key(&change.sid) && change.level.is_finite() {
                self.speakers.insert(change.sid, change.level);
            } else {
                self.speakers.remove(&change.sid);
            }
        }
        let mut speakers: Vec<Speaker> = self
            .speakers
            .iter()
            .filter_map(|(sid, level)| {
                Some(Speaker { identity: self.identities.get(sid)?.clone(), level: *level })
            })
            .collect();
        speakers.sort_by(|a, b| b.level.total_cmp(&a.level).then_with(|| a.identity.cmp(&b.identity)));
        events.push(RoomEvent::SpeakersChanged(speakers));
    }

    /// Applies the server's rating of one connection.
    pub(crate) fn quality(&self, info: &proto::ConnectionQualityInfo, events: &mut Vec<RoomEvent>) {
        if let Some(identity) = self.identities.get(&info.participant_sid)
            && let Some(quality) = ConnectionQuality::from_wire(info.quality)
        {
            events.push(RoomEvent::ConnectionQualityChanged { identity: identity.clone(), quality });
        }
    }

    /// Applies the list of all tracks that the server sends us from now on.
    pub(crate) fn subscriptions(
        &mut self,
        sids: impl IntoIterator<Item = String>,
        events: &mut Vec<RoomEvent>,
    ) {
        let now: BTreeMap<String, ()> = sids.into_iter().map(|sid| (sid, ())).collect();
        for sid in self.subscribed.keys().filter(|sid| !now.contains_key(*sid)) {
            events.push(RoomEvent::TrackUnsubscribed { track_sid: sid.clone() });
        }
        let mut new: BTreeMap<&str, Option<RoomEvent>> = now
            .keys()
            .filter(|sid| !self.subscribed.contains_key(*sid))
            .map(|sid| (sid.as_str(), None))
            .collect();
        // One pass over all tracks, however many are new.
        if !new.is_empty() {
            for Entry { participant, .. } in self.remote.values() {
                for (sid, track) in &participant.tracks {
                    if let Some(event @ None) = new.get_mut(sid.as_str()) {
                        let (participant, track) = (participant.clone(), track.clone());
                        *event = Some(RoomEvent::TrackSubscribed { participant, track });
                    }
                }
            }
        }
        events.extend(new.into_values().flatten());
        self.subscribed = now;
    }

    /// A track of another participant, and its publisher, by the sids of both.
    pub(crate) fn track(&self, participant_sid: &str, track_sid: &str) -> Option<(Arc<Participant>, Track)> {
        let Entry { participant, .. } = self.remote.get(self.identities.get(participant_sid)?)?;
        Some((Arc::clone(participant), participant.tracks.get(track_sid)?.clone()))
    }

    /// A track of ours was muted or unmuted by the server.
    pub(crate) fn mute_local(&mut self, sid: &str, muted: bool, events: &mut Vec<RoomEvent>) {
        if let Some(local) = &mut self.local
            && let Some(track) = Arc::make_mut(&mut local.participant).tracks.get_mut(sid)
            && track.muted != muted
        {
            track.muted = muted;
            let track = track.clone();
            let participant = local.participant.clone();
            events.push(mute_event(participant, track));
        }
    }
}

impl Entry {
    fn new(info: proto::ParticipantInfo) -> Self {
        Self {
            version: info.version,
            permissions_known: info.permission.is_some(),
            abilities: abilities(&info),
            participant: Arc::new(participant(info)),
        }
    }

    fn update(&mut self, info: proto::ParticipantInfo, events: &mut Vec<RoomEvent>, whose: Whose) {
        if info.version < self.version {
            return;
        }
        self.version = info.version;
        self.abilities = abilities(&info);
        let permissions_told = info.permission.is_some();
        let mut new = participant(info);
        // Once active, always active: an update that was under way does not revert it.
        new.active |= self.participant.active;
        if !permissions_told {
            new.permissions.clone_from(&self.participant.permissions);
        }
        if whose == Whose::Ours {
            new.tracks = own_tracks(&self.participant.tracks, new.tracks);
        }
        let old = mem::replace(&mut self.participant, Arc::new(new));
        let new = &self.participant;

        if new.active && !old.active {
            events.push(RoomEvent::ParticipantActive(new.clone()));
        }
        if new.name != old.name {
            events.push(RoomEvent::NameChanged(new.clone()));
        }
        if new.metadata != old.metadata {
            events.push(RoomEvent::MetadataChanged(new.clone()));
        }
        let changed = changed_attributes(&old.attributes, &new.attributes);
        if !changed.is_empty() {
            events.push(RoomEvent::AttributesChanged { participant: new.clone(), changed });
        }
        if permissions_told {
            if self.permissions_known && new.permissions != old.permissions {
                events.push(RoomEvent::PermissionsChanged(new.clone()));
            }
            self.permissions_known = true;
        }
        for (sid, track) in &old.tracks {
            if !new.tracks.contains_key(sid) {
                let track = track.clone();
                events.push(RoomEvent::TrackUnpublished { participant: new.clone(), track });
            }
        }
        for (sid, track) in &new.tracks {
            let (participant, track) = (new.clone(), track.clone());
            match old.tracks.get(sid) {
                None => events.push(RoomEvent::TrackPublished { participant, track }),
                Some(before) if before.muted != track.muted => events.push(mute_event(participant, track)),
                Some(_) => {}
            }
        }
        for (sid, track) in &old.data_tracks {
            if !new.data_tracks.contains_key(sid) {
                let track = track.clone();
                events.push(RoomEvent::DataTrackUnpublished { participant: new.clone(), track });
            }
        }
        for (sid, track) in &new.data_tracks {
            if !old.data_tracks.contains_key(sid) {
                let track = track.clone();
                events.push(RoomEvent::DataTrackPublished { participant: new.clone(), track });
            }
        }
    }
}

/// Our own tracks: which ones there are and whether they are muted is known from the answers to our requests,
/// as a snapshot of the server may be older. It knows more about them.
fn own_tracks(
    known: &BTreeMap<String, Track>,
    mut listed: BTreeMap<String, Track>,
) -> BTreeMap<String, Track> {
    let one = |(sid, track): (&String, &Track)| {
        let newer = listed.remove(sid).map(|newer| Track { muted: track.muted, ..newer });
        (sid.clone(), newer.unwrap_or_else(|| track.clone()))
    };
    known.iter().map(one).collect()
}

fn mute_event(participant: Arc<Participant>, track: Track) -> RoomEvent {
    if track.muted {
        RoomEvent::TrackMuted { participant, track }
    } else {
        RoomEvent::TrackUnmuted { participant, track }
    }
}

/// The events of a participant who is already present.
fn announce(participant: &Arc<Participant>, events: &mut Vec<RoomEvent>) {
    events.push(RoomEvent::ParticipantJoined(participant.clone()));
    if participant.active {
        events.push(RoomEvent::ParticipantActive(participant.clone()));
    }
    for track in participant.tracks.values() {
        events.push(RoomEvent::TrackPublished { participant: participant.clone(), track: track.clone() });
    }
    for track in participant.data_tracks.values() {
        let track = track.clone();
        events.push(RoomEvent::DataTrackPublished { participant: participant.clone(), track });
    }
}

/// Changed keys with their new values; a deleted key has an empty value.
fn changed_attributes(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let set = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
    let set = set.map(|(key, value)| (key.clone(), value.clone()));
    let deleted = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), String::new()));
    set.chain(deleted).collect()
}

/// What a participant's client has announced that it can read.
fn abilities(info: &proto::ParticipantInfo) -> Abilities {
    let deflate = proto::client_info::Capability::CapCompressionDeflateRaw as i32;
    Abilities {
        rpc_streams: info.client_protocol >= RPC_STREAMS,
        inline: info.client_protocol >= SINGLE_PACKET_STREAMS,
        deflate: info.client_protocol >= SINGLE_PACKET_STREAMS && info.capabilities.contains(&deflate),
    }
}

fn joined_at_ms(info: &proto::ParticipantInfo) -> i64 {
    match info.joined_at_ms {
        0 => info.joined_at.saturating_mul(1000),
        ms => ms,
    }
}

fn participant(info: proto::ParticipantInfo) -> Participant {
    Participant {
        joined_at_ms: joined_at_ms(&info),
        kind: info.kind.into(),
        kind_details: info.kind_details.into_iter().take(MAX_KIND_DETAILS).map(Into::into).collect(),
        active: info.state == proto::participant_info::State::Active as i32,
        permissions: info.permission.as_ref().map(Into::into).unwrap_or_default(),
        tracks: info.tracks.into_iter().map(|track| (track.sid.clone(), track.into())).collect(),
        data_tracks: info.data_tracks.into_iter().map(|track| (track.sid.clone(), track.into())).collect(),
        sid: info.sid,
        identity: info.identity,
        name: info.name,
        metadata: info.metadata,
        attributes: info.attributes,
    }
}
