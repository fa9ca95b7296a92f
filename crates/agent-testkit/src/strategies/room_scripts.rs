//! What others do in the agent's room.

use proptest::prelude::*;

use super::texts::texts;
use crate::mock::{RoomScript, RoomStep};

/// The most steps of a script.
const STEPS: usize = 24;

/// What others do in the agent's room: up to 24 steps of 3 people, who come and go, send data and texts,
/// press keys, change attributes and metadata, publish, mute and speak, with waits of up to 20 s between.
/// Somebody comes first in most of them. The agent stays, and so does the room as long as people are in it:
/// add [`RoomStep::RemoveAgent`] or [`RoomStep::Delete`] where that is to be tested.
///
/// Shrinks to fewer steps, shorter waits and texts, and lower numbers.
pub fn room_scripts() -> impl Strategy<Value = RoomScript> {
    let steps = prop::collection::vec(step(), 0..STEPS);
    (any::<prop::sample::Index>(), steps).prop_map(|(first, steps)| {
        let comes = (first.index(8) > 0).then_some(RoomStep::Join(1));
        RoomScript::new(comes.into_iter().chain(steps))
    })
}

fn step() -> impl Strategy<Value = RoomStep> {
    let who = || 1..=3u8;
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let topic = || prop_oneof![3 => Just("chat".to_owned()), 1 => texts()];
    prop_oneof![
        6 => who().prop_map(RoomStep::Join),
        4 => who().prop_map(RoomStep::Leave),
        2 => who().prop_map(RoomStep::Lose),
        6 => (0..20_000u32).prop_map(RoomStep::Wait),
        6 => (who(), topic(), bytes())
            .prop_map(|(from, topic, payload)| RoomStep::Data { from, topic, payload }),
        3 => (who(), topic(), texts()).prop_map(|(from, topic, text)| RoomStep::Text { from, topic, text }),
        1 => (who(), prop::sample::select(&['0', '9', '#', '*', 'A'][..]))
            .prop_map(|(from, digit)| RoomStep::Key(from, digit)),
        2 => (who(), texts(), texts()).prop_map(|(of, key, value)| RoomStep::Attribute { of, key, value }),
        1 => (who(), texts()).prop_map(|(of, metadata)| RoomStep::Metadata(of, metadata)),
        3 => who().prop_map(RoomStep::Publish),
        1 => (who(), any::<bool>()).prop_map(|(of, muted)| RoomStep::Mute(of, muted)),
        2 => (who(), bytes()).prop_map(|(from, payload)| RoomStep::Frame(from, payload)),
        1 => who().prop_map(RoomStep::Unpublish),
        1 => who().prop_map(RoomStep::Speak),
        1 => bytes().prop_map(RoomStep::RoomData),
        1 => texts().prop_map(RoomStep::RoomMetadata),
    ]
}
