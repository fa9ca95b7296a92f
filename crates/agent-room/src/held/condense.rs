//! Changes of a room's state in as few events as lead to the same state.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use crate::{Participant, RoomEvent};

/// An event with its place among all that are held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) event: RoomEvent,
}

/// Changes with the same result as others.
pub(super) struct Condensed {
    pub(super) changes: Vec<Held>,
    /// Participants who have come and gone meanwhile, of whom no event is left.
    pub(super) unreported: Vec<Arc<Participant>>,
}

/// What an event is about: a track if there is a sid, or else a participant; without an identity the room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Subject<'a> {
    identity: &'a str,
    track_sid: &'a str,
}

/// What an event does to its subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// It begins to exist.
    Begin,
    /// It ends, and with it everything since it began.
    End,
    /// A change that replaces earlier ones of the same kind.
    Of(Aspect),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Active,
    Name,
    Metadata,
    Attributes,
    Permissions,
    Muted,
    Republished,
    Subscription,
    Speakers,
    Path,
    RoomMetadata,
    RoomUpdate,
    RoomReplaced,
    RoomMoved,
    Token,
}

type Key<'a> = (Subject<'a>, Change);

/// Whether the event changes the room's state. Others are messages, or reports that repeat themselves.
pub(super) fn is_state(event: &RoomEvent) -> bool {
    classify(event).is_some()
}

/// Condenses changes, which are in order.
pub(super) fn condense(mut changes: Vec<Held>) -> Condensed {
    merge_attributes(&mut changes);
    let mut unreported = Vec::new();
    // The places of those that are kept.
    let mut last: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    for (at, held) in changes.iter().enumerate() {
        let Some((subject, change)) = classify(&held.event) else { continue };
        if change == Change::End {
            let begun = last.get(&(subject, Change::Begin)).copied();
            let goes = |(other, before): (Key<'_>, usize)| match begun {
                // With all that has happened since, but an end before that was not reported yet.
                Some(begun) => before >= begun,
                None => other.1 != Change::End,
            };
            let gone: Vec<Key<'_>> =
                about(&last, subject).filter(|entry| goes(*entry)).map(|(key, _)| key).collect();
            for key in gone {
                last.remove(&key);
                last.remove(&subscription(key.0.track_sid));
            }
            last.remove(&subscription(subject.track_sid));
            if begun.is_some() {
                if let RoomEvent::ParticipantLeft { participant, .. } = &held.event {
                    unreported.push(Arc::clone(participant));
                }
                continue;
            }
        }
        last.insert((subject, change), at);
    }
    let mut kept = vec![false; changes.len()];
    for at in last.into_values() {
        if let Some(kept) = kept.get_mut(at) {
            *kept = true;
        }
    }
    let mut kept = kept.into_iter();
    let states = last_states(&changes);
    changes.retain(|_| kept.next().unwrap_or(true));
    set_last_states(&mut changes, states);
    Condensed { changes, unreported }
}

/// The last state of each participant who is present at the end, and of ourselves.
fn last_states(changes: &[Held]) -> BTreeMap<String, Arc<Participant>> {
    let mut states = BTreeMap::new();
    for Held { event, .. } in changes {
        match event {
            RoomEvent::ParticipantLeft { participant, .. } => drop(states.remove(&participant.identity)),
            event => {
                if let Some(participant) = shown(event) {
                    states.insert(participant.identity.clone(), Arc::clone(participant));
                }
            }
        }
    }
    states
}

/// The last event about a participant shows its last state, also if that was the state after another one.
fn set_last_states(changes: &mut [Held], mut states: BTreeMap<String, Arc<Participant>>) {
    for Held { event, .. } in changes.iter_mut().rev() {
        let state = shown(event).and_then(|participant| states.remove(&participant.identity));
        if let (Some(state), Some(shown)) = (state, shown_mut(event)) {
            *shown = state;
        }
    }
}

/// The changes of attributes add up: the last one of a participant gets those before it.
fn merge_attributes(changes: &mut [Held]) {
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for at in 0..changes.len() {
        let (before, rest) = changes.split_at_mut(at);
        match rest.first_mut().map(|held| &mut held.event) {
            Some(RoomEvent::AttributesChanged { participant, changed }) => {
                let earlier = last.insert(participant.identity.clone(), at);
                if let Some(Held { event: RoomEvent::AttributesChanged { changed: earlier, .. }, .. }) =
                    earlier.and_then(|at| before.get_mut(at))
                {
                    let mut all = mem::take(earlier);
                    all.append(changed);
                    *changed = all;
                }
            }
            Some(
                RoomEvent::ParticipantJoined(participant) | RoomEvent::ParticipantLeft { participant, .. },
            ) => {
                last.remove(&participant.identity);
            }
            _ => {}
        }
    }
}

/// The events about a subject that are kept with their places, and about its tracks if it is a participant.
fn about<'a>(
    last: &BTreeMap<Key<'a>, usize>,
    subject: Subject<'a>,
) -> impl Iterator<Item = (Key<'a>, usize)> {
    let all = last.range((subject, Change::Begin)..).map(|(key, at)| (*key, *at));
    all.take_while(move |((other, _), _)| {
        let track = subject.track_sid.is_empty() || other.track_sid == subject.track_sid;
        other.identity == subject.identity && track
    })
}

/// The key of events about whether the server sends us a track: one of them does not name its publisher.
const fn subscription(track_sid: &str) -> Key<'_> {
    (Subject { identity: "", track_sid }, Change::Of(Aspect::Subscription))
}

/// What a change of the room's state is about, and what it changes. `None`: it is none.
#[deny(clippy::wildcard_enum_match_arm, reason = "each event is decided, none falls through")]
fn classify(event: &RoomEvent) -> Option<Key<'_>> {
    Some(match event {
        RoomEvent::ParticipantJoined(participant) => (of(participant), Change::Begin),
        RoomEvent::ParticipantLeft { participant, .. } => (of(participant), Change::End),
        RoomEvent::ParticipantActive(participant) => (of(participant), Change::Of(Aspect::Active)),
        RoomEvent::NameChanged(participant) => (of(participant), Change::Of(Aspect::Name)),
        RoomEvent::MetadataChanged(participant) => (of(participant), Change::Of(Aspect::Metadata)),
        RoomEvent::PermissionsChanged(participant) => (of(participant), Change::Of(Aspect::Permissions)),
        RoomEvent::AttributesChanged { participant, .. } => (of(participant), Change::Of(Aspect::Attributes)),
        RoomEvent::TrackPublished { participant, track }
        | RoomEvent::LocalTrackPublished { participant, track } => {
            (track_of(participant, &track.sid), Change::Begin)
        }
        RoomEvent::DataTrackPublished { participant, track } => {
            (track_of(participant, &track.sid), Change::Begin)
        }
        RoomEvent::TrackUnpublished { participant, track }
        | RoomEvent::LocalTrackUnpublished { participant, track } => {
            (track_of(participant, &track.sid), Change::End)
        }
        RoomEvent::DataTrackUnpublished { participant, track } => {
            (track_of(participant, &track.sid), Change::End)
        }
        RoomEvent::TrackMuted { participant, track } | RoomEvent::TrackUnmuted { participant, track } => {
            (track_of(participant, &track.sid), Change::Of(Aspect::Muted))
        }
        RoomEvent::LocalTrackRepublished { participant, track, .. } => {
            (track_of(participant, &track.sid), Change::Of(Aspect::Republished))
        }
        RoomEvent::TrackSubscribed { track, .. } => subscription(&track.sid),
        RoomEvent::TrackUnsubscribed { track_sid } => subscription(track_sid),
        RoomEvent::SpeakersChanged(_) => room(Aspect::Speakers),
        RoomEvent::NetworkPathChanged(_) => room(Aspect::Path),
        RoomEvent::RoomMetadataChanged(_) => room(Aspect::RoomMetadata),
        RoomEvent::RoomUpdated(_) => room(Aspect::RoomUpdate),
        RoomEvent::RoomReplaced(_) => room(Aspect::RoomReplaced),
        RoomEvent::RoomMoved { .. } => room(Aspect::RoomMoved),
        RoomEvent::TokenRefreshed { .. } => room(Aspect::Token),
        RoomEvent::LocalTrackSubscribed { .. }
        | RoomEvent::TrackSubscriptionFailed { .. }
        | RoomEvent::TrackStreamStateChanged { .. }
        | RoomEvent::TrackSubscriptionPermissionChanged { .. }
        | RoomEvent::ConnectionQualityChanged { .. }
        | RoomEvent::E2eeStateChanged { .. }
        | RoomEvent::DataReceived(_)
        | RoomEvent::DtmfReceived { .. }
        | RoomEvent::ChatMessageReceived(_)
        | RoomEvent::TranscriptionReceived(_)
        | RoomEvent::DataMissed { .. }
        | RoomEvent::Lagged { .. }
        | RoomEvent::Connected(_)
        | RoomEvent::Reconnecting { .. }
        | RoomEvent::Reconnected(_)
        | RoomEvent::Disconnected { .. } => return None,
    })
}

/// The participant whose state an event sets in a [`View`](crate::View).
macro_rules! shown {
    ($event:expr) => {
        match $event {
            RoomEvent::ParticipantJoined(participant)
            | RoomEvent::ParticipantActive(participant)
            | RoomEvent::NameChanged(participant)
            | RoomEvent::MetadataChanged(participant)
            | RoomEvent::PermissionsChanged(participant)
            | RoomEvent::AttributesChanged { participant, .. }
            | RoomEvent::TrackPublished { participant, .. }
            | RoomEvent::TrackUnpublished { participant, .. }
            | RoomEvent::TrackMuted { participant, .. }
            | RoomEvent::TrackUnmuted { participant, .. }
            | RoomEvent::DataTrackPublished { participant, .. }
            | RoomEvent::DataTrackUnpublished { participant, .. }
            | RoomEvent::LocalTrackPublished { participant, .. }
            | RoomEvent::LocalTrackUnpublished { participant, .. }
            | RoomEvent::LocalTrackRepublished { participant, .. }
            | RoomEvent::RoomMoved { local: participant, .. } => Some(participant),
            _ => None,
        }
    };
}

fn shown(event: &RoomEvent) -> Option<&Arc<Participant>> {
    shown!(event)
}

fn shown_mut(event: &mut RoomEvent) -> Option<&mut Arc<Participant>> {
    shown!(event)
}

fn of(participant: &Participant) -> Subject<'_> {
    track_of(participant, "")
}

fn track_of<'a>(participant: &'a Participant, track_sid: &'a str) -> Subject<'a> {
    Subject { identity: &participant.identity, track_sid }
}

const fn room(aspect: Aspect) -> Key<'static> {
    (Subject { identity: "", track_sid: "" }, Change::Of(aspect))
}
