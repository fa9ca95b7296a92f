//! Any order of commands, answers, garbage and losses.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Publish(CommandId),
    Unpublish(CommandId),
    Mute(CommandId, bool),
    Answer(u8),
    Section(CommandId, bool),
    Message(LocalTrackMessage),
    Frame(CommandId, u32),
    Lose,
    Interrupt,
    Reconnect(bool),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let id = || 0..4u64;
    let sid = || "TR_[0-3]";
    prop_oneof![
        3 => id().prop_map(Op::Publish),
        1 => id().prop_map(Op::Unpublish),
        1 => (id(), any::<bool>()).prop_map(|(id, muted)| Op::Mute(id, muted)),
        4 => (0..4u8).prop_map(Op::Answer),
        4 => (id(), prop::bool::weighted(0.9)).prop_map(|(id, sends)| Op::Section(id, sends)),
        1 => sid().prop_map(|sid| Op::Message(LocalTrackMessage::Unpublished(sid))),
        1 => sid().prop_map(|sid| Op::Message(LocalTrackMessage::Subscribed(sid))),
        1 => (sid(), any::<bool>()).prop_map(|(sid, muted)| Op::Message(LocalTrackMessage::Muted(sid, muted))),
        1 => "[a-z]{0,2}".prop_map(|cid| Op::Message(LocalTrackMessage::Refused(cid, RoomError::TimedOut))),
        6 => (id(), any::<u32>()).prop_map(|(id, timestamp)| Op::Frame(id, timestamp)),
        1 => Just(Op::Lose),
        1 => Just(Op::Interrupt),
        2 => any::<bool>().prop_map(Op::Reconnect),
        2 => (0..11u64).prop_map(Op::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every command is completed once, a track is not published after its end, and no two tracks have a
    /// client id in common.
    #[test]
    fn commands_are_completed_once(ops in prop::collection::vec(op(), 1..100)) {
        let mut world = World::new();
        let (mut next, mut completed) = (0, BTreeMap::<CommandId, u32>::new());
        // The command that has published each of the tracks of the script.
        let mut commands = BTreeMap::new();
        let mut cids = Vec::new();
        for op in ops {
            let command = |commands: &BTreeMap<u64, u64>, id| commands.get(&id).copied().unwrap_or(u64::MAX);
            match op {
                Op::Publish(id) => {
                    next += 1;
                    commands.insert(id, next);
                    completed.insert(next, 0);
                    world.publish(next, "voice");
                }
                Op::Unpublish(id) => drop(world.tracks.unpublish(command(&commands, id))),
                Op::Mute(id, muted) => drop(world.tracks.mute(command(&commands, id), muted)),
                Op::Answer(n) => {
                    let track = proto::TrackInfo { sid: format!("TR_{n}"), ..Default::default() };
                    let response = proto::TrackPublishedResponse { cid: world.cid.clone(), track: Some(track) };
                    world.tracks.message(LocalTrackMessage::Published(Box::new(response)));
                }
                Op::Section(id, sends) => world.tracks.section_answered(command(&commands, id), sends),
                Op::Message(message) => world.tracks.message(message),
                Op::Frame(id, timestamp) => {
                    let frame = OutgoingFrame::new("x", timestamp).into();
                    drop(world.tracks.place(command(&commands, id), frame, world.now));
                }
                Op::Lose => world.tracks.disconnected(),
                Op::Interrupt => {
                    world.tracks.disconnected();
                    world.tracks.interrupted();
                }
                Op::Reconnect(resumed) => world.tracks.reconnected(resumed, world.now),
                Op::Pass(seconds) => world.pass(seconds),
            }
            while let Some(output) = world.tracks.poll_output() {
                match output {
                    LocalTrackOutput::Done(id, _) => *completed.get_mut(&id).unwrap() += 1,
                    LocalTrackOutput::OpenSection(_, cid, _) => {
                        prop_assert!(!cids.contains(&cid));
                        world.cid.clone_from(&cid);
                        cids.push(cid);
                    }
                    _ => {}
                }
            }
            prop_assert!(world.tracks.poll_timeout().is_none_or(|at| at > world.now));
            prop_assert!(world.tracks.state().len() <= 3);
        }
        world.tracks.room_ended();
        while let Some(output) = world.tracks.poll_output() {
            if let LocalTrackOutput::Done(id, _) = output {
                *completed.get_mut(&id).unwrap() += 1;
            }
        }
        prop_assert!(completed.values().all(|times| *times == 1), "{completed:?}");
    }
}
