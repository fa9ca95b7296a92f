//! A recording of a server machine, written as JSON, read back and replayed, produces the same outputs byte
//! for byte.

use proptest::prelude::*;

use agent_proto::recording::{Recorder, Recording};
use agent_room::{DisconnectReason, Publish, Speaker};

use super::any_input::{Op, World, rules, script};
use super::rig::Rig;
use crate::machine::{Input, Output, Rules, SendData, Server};

fn json(outputs: &[Output]) -> String {
    outputs.iter().map(|output| serde_json::to_string(output).unwrap() + "\n").collect()
}

/// Replays a recording with a new machine, which has nothing else.
fn replay(recording: &str) -> Vec<Output> {
    serde_json::from_str::<Recording<Rules, Input>>(recording).unwrap().replay(Server::new)
}

fn recorded(server: &Recorder<Rules, Server>) -> String {
    serde_json::to_string(server.recording()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_recording_gives_the_same_outputs(rules in rules(), script in script()) {
        let mut world = World::new(rules);
        for op in script.iter().chain([&Op::Pass(600_000)]) {
            prop_assert_eq!(world.step(op), Ok(()));
        }
        let replayed = replay(&recorded(&world.server));
        prop_assert_eq!(json(&replayed), json(world.server.outputs()));
        prop_assert_eq!(replayed, world.server.outputs());
    }
}

/// A snapshot of a recording.
#[test]
fn the_course_of_a_job_is_recorded() {
    let mut rig = Rig::new();
    let (dispatch, agent) = rig.running("a", "lobby");
    let message = Publish::new("topic", "payload");
    rig.call("the server sends data", SendData { room: "lobby".to_owned(), message }).unwrap();
    let speakers = vec![Speaker::new("ada", 0.5)];
    rig.input("ada speaks", Input::SpeakersChanged { room: "lobby".to_owned(), speakers });
    rig.delete_dispatch("lobby", &dispatch);
    rig.member_left("the agent leaves", agent, DisconnectReason::ClientInitiated);
    rig.pass(1_000_000);
    let recording = recorded(&rig.server);
    assert_eq!(json(&replay(&recording)), json(rig.server.outputs()));
    let calls = rig.server.recording().calls.iter().map(|call| serde_json::to_string(call).unwrap() + "\n");
    insta::assert_snapshot!(format!("{}\n{}", calls.collect::<String>(), json(rig.server.outputs())));
}
