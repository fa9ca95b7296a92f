use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{DataReceived, Participant};

fn data(text: &'static str) -> RoomEvent {
    RoomEvent::DataReceived(DataReceived::new("t", text, None))
}

fn joined(identity: &str) -> RoomEvent {
    RoomEvent::ParticipantJoined(Participant::new("PA", identity).into())
}

fn held(limit: usize, events: &[RoomEvent]) -> HeldEvents {
    let mut held = HeldEvents::new(limit);
    events.iter().cloned().for_each(|event| held.push(event));
    held
}

#[test]
fn of_too_many_the_oldest_are_dropped_and_counted() {
    let events = held(2, &[data("a"), data("b"), data("c"), data("d")]).into_events();
    assert_eq!(events.collect::<Vec<_>>(), [RoomEvent::Lagged { missed: 2 }, data("c"), data("d")]);
    let missing = RoomEvent::DataMissed { sender: "ada".to_owned(), up_to: 7 };
    let events = held(1, &[missing, data("b")]).into_events();
    assert_eq!(events.collect::<Vec<_>>(), [RoomEvent::Lagged { missed: 7 }, data("b")]);
}

fn large(n: usize) -> RoomEvent {
    RoomEvent::DataReceived(DataReceived::new(n.to_string(), vec![0; 64 * 1024], None))
}

/// The number of messages among these, their size and the number of lost ones.
fn messages(events: impl Iterator<Item = RoomEvent>) -> (u64, usize, u64) {
    let (mut count, mut bytes, mut lost) = (0, 0, 0);
    for event in events {
        match event {
            RoomEvent::DataReceived(message) => (count, bytes) = (count + 1, bytes + message.payload.len()),
            RoomEvent::Lagged { missed } => lost += missed,
            _ => {}
        }
    }
    (count, bytes, lost)
}

#[test]
fn messages_are_bounded_in_bytes_over_all_attempts_of_a_rejoin() {
    let mut held = HeldEvents::new(4096);
    for attempt in 0..20 {
        held.push(joined(&attempt.to_string()));
        (0..30).for_each(|n| held.push(large(n)));
    }
    let (count, bytes, lost) = messages(held.into_events());
    assert_eq!(count + lost, 600);
    assert!(bytes <= 4 * 1024 * 1024 && count >= 60, "{count} messages with {bytes} bytes");
    let mut held = HeldEvents::new(100);
    for _ in 0..20 {
        (0..30).for_each(|_| held.push(data("x")));
    }
    assert_eq!(messages(held.into_events()), (100, 100, 500));
}

fn someone(identity: &str, attempt: usize) -> Participant {
    let mut participant = Participant::new(format!("PA_{identity}_{attempt}"), identity);
    participant.metadata = "x".repeat(1024);
    participant
}

fn left(participant: Participant) -> RoomEvent {
    let reason = crate::DisconnectReason::Unspecified;
    RoomEvent::ParticipantLeft { participant: participant.into(), reason }
}

/// A server that replaces all participants with each attempt.
#[test]
fn participants_who_came_and_went_between_two_connections_are_not_held() {
    let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let mut held = HeldEvents::new(64);
    for attempt in 1..200 {
        let gone = names.iter().map(|name| left(someone(name, attempt - 1)));
        let come = names.iter().map(|name| RoomEvent::ParticipantJoined(someone(name, attempt).into()));
        gone.chain(come).for_each(|event| held.push(event));
    }
    let events: Vec<_> = held.into_events().collect();
    assert!(events.len() <= 500, "{} events", events.len());
    // The list of participants is that of the last attempt.
    let mut view = crate::View::new(crate::Connected {
        participants: names.iter().map(|name| someone(name, 0).into()).collect(),
        ..Default::default()
    });
    events.iter().for_each(|event| drop(view.apply(event)));
    assert_eq!(view.participants().len(), 100);
    assert!(view.participants().values().all(|participant| participant.sid.ends_with("_199")));
}

#[test]
fn changes_of_a_rejoin_are_held_however_many_and_over_several_tries() {
    let events =
        [joined("ada"), joined("bob"), data("a"), data("b"), joined("eve"), joined("joe"), data("c")];
    let lagged = RoomEvent::Lagged { missed: 2 };
    let expected = [joined("ada"), joined("bob"), joined("eve"), joined("joe"), lagged, data("c")];
    assert_eq!(held(1, &events).into_events().collect::<Vec<_>>(), expected);
    assert_eq!(held(3, &events).into_events().collect::<Vec<_>>(), events);
}

/// What happens to a participant, by number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Join,
    Leave,
    Metadata(u8),
    Attribute(u8),
    Publish(u8),
    Unpublish(u8),
    Subscribe(u8),
    Unsubscribe(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Join),
        2 => Just(Step::Leave),
        2 => (0..3_u8).prop_map(Step::Metadata),
        2 => (0..3_u8).prop_map(Step::Attribute),
        3 => (0..2_u8).prop_map(Step::Publish),
        2 => (0..2_u8).prop_map(Step::Unpublish),
        1 => (0..2_u8).prop_map(Step::Subscribe),
        1 => (0..2_u8).prop_map(Step::Unsubscribe),
    ]
}

/// The events of steps, as a roster would report them.
fn events_of(steps: &[(u8, Step)], present: &mut BTreeMap<String, Participant>) -> Vec<RoomEvent> {
    let mut events = Vec::new();
    for (number, (who, step)) in steps.iter().enumerate() {
        let identity = who.to_string();
        let track = |sid: u8| crate::Track::new(format!("TR_{who}_{sid}"), crate::TrackKind::Audio);
        let Some(participant) = present.get_mut(&identity) else {
            if let Step::Join = step {
                let participant = someone(&identity, number);
                events.push(RoomEvent::ParticipantJoined(participant.clone().into()));
                present.insert(identity, participant);
            }
            continue;
        };
        match *step {
            Step::Join => {}
            Step::Leave => {
                events.push(left(participant.clone()));
                present.remove(&identity);
            }
            Step::Metadata(n) => {
                participant.metadata = n.to_string();
                events.push(RoomEvent::MetadataChanged(participant.clone().into()));
            }
            Step::Attribute(n) => {
                participant.attributes.insert(n.to_string(), number.to_string());
                let changed = [(n.to_string(), number.to_string())].into();
                let participant = participant.clone().into();
                events.push(RoomEvent::AttributesChanged { participant, changed });
            }
            Step::Publish(n) => {
                if participant.tracks.insert(track(n).sid, track(n)).is_none() {
                    let participant = participant.clone().into();
                    events.push(RoomEvent::TrackPublished { participant, track: track(n) });
                }
            }
            Step::Unpublish(n) => {
                if let Some(track) = participant.tracks.remove(&track(n).sid) {
                    let participant = participant.clone().into();
                    events.push(RoomEvent::TrackUnpublished { participant, track });
                }
            }
            Step::Subscribe(n) => {
                if participant.tracks.contains_key(&track(n).sid) {
                    let participant = participant.clone().into();
                    events.push(RoomEvent::TrackSubscribed { participant, track: track(n) });
                }
            }
            Step::Unsubscribe(n) => {
                events.push(RoomEvent::TrackUnsubscribed { track_sid: track(n).sid });
            }
        }
    }
    events
}

/// The values of the attributes that the events report as changed, by identity and key.
fn changed_attributes(events: &[RoomEvent]) -> BTreeMap<(String, String), String> {
    let mut all = BTreeMap::new();
    for event in events {
        if let RoomEvent::AttributesChanged { participant, changed } = event {
            let of = |key: &String| (participant.identity.clone(), key.clone());
            all.extend(changed.iter().map(|(key, value)| (of(key), value.clone())));
        } else if let RoomEvent::ParticipantLeft { participant, .. } = event {
            all.retain(|(identity, _), _| *identity != participant.identity);
        }
    }
    all
}

proptest! {
    /// However often changes are condensed, they lead to the same room, and there are few.
    #[test]
    fn condensed_changes_lead_to_the_same_state(steps in vec((0..3_u8, step()), 0..300)) {
        let mut present: BTreeMap<String, Participant> =
            ["0", "1"].map(|who| (who.to_owned(), someone(who, 1000))).into();
        let known = track_of_known(&mut present);
        let connected = crate::Connected {
            participants: present.values().map(|participant| participant.clone().into()).collect(),
            ..Default::default()
        };
        let events = events_of(&steps, &mut present);
        let (mut all, mut condensed) = (crate::View::new(connected.clone()), crate::View::new(connected));
        let mut held = HeldEvents::new(8);
        for event in &events {
            all.apply(event);
            held.push(event.clone());
        }
        held.condense();
        let unreported = held.take_unreported();
        let held: Vec<_> = held.into_events().collect();
        held.iter().for_each(|event| drop(condensed.apply(event)));
        prop_assert_eq!(&all, &condensed);
        prop_assert_eq!(changed_attributes(&events), changed_attributes(&held));
        // A participant has an end, a beginning and two aspects, a track an end, a beginning, a subscription.
        prop_assert!(held.len() <= 3 * 4 + 6 * 3 + known, "{} events", held.len());
        let joined = |events: &[RoomEvent]| {
            events.iter().filter(|event| matches!(event, RoomEvent::ParticipantJoined(_))).count()
        };
        prop_assert_eq!(joined(&events), joined(&held) + unreported.len());
    }
}

/// Gives a participant a track, and returns their number.
fn track_of_known(present: &mut BTreeMap<String, Participant>) -> usize {
    let track = crate::Track::new("TR_0_0", crate::TrackKind::Audio);
    present.values_mut().take(1).for_each(|of| drop(of.tracks.insert(track.sid.clone(), track.clone())));
    1
}
