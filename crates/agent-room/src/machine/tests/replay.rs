//! A recording of a room machine, written as JSON, read back and replayed, produces the same outputs byte for
//! byte (I12). Its media connection is scripted, as WebRTC draws its own keys.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use agent_proto::recording::{Recorder, Recording};

use super::script::{Op, World, op};
use super::scripted::{MediaMessage, Scripted};
use crate::machine::Machine;
use crate::{Config, Input, Output, Publish, RoomCommand};

fn machine(config: Config) -> Machine<Scripted> {
    Machine::new(config, ())
}

fn json(outputs: &[Output]) -> String {
    outputs.iter().map(|output| serde_json::to_string(output).unwrap() + "\n").collect()
}

fn recorded(room: &Recorder<Config, Machine<Scripted>>) -> String {
    serde_json::to_string(room.recording()).unwrap()
}

/// Replays a recording with a new machine, which has nothing else.
fn replay(recording: &str) -> Vec<Output> {
    serde_json::from_str::<Recording<Config, Input>>(recording).unwrap().replay(machine)
}

fn run(seed: u64, ops: Vec<Op>) -> World {
    let mut config = Config::new("wss://host/base", "sesame");
    config.seed = seed;
    config.limits.held_events = 3;
    config.limits.requests = 2;
    let mut world = World::new(Recorder::new(config, machine));
    for op in ops {
        world.apply(op);
    }
    world.finish();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_recording_gives_the_same_outputs(seed: u64, ops in prop::collection::vec(op(), 1..120)) {
        let world = run(seed, ops);
        let replayed = replay(&recorded(&world.room));
        prop_assert_eq!(json(&replayed), json(world.room.outputs()));
        // What is not written, tokens, is also the same.
        prop_assert_eq!(replayed, world.room.outputs());
    }
}

const EVERYTHING: &str = "
    UdpBound UdpNotBound RouteFound TcpConnected TcpClosed RelayOpened RelayReceived RelayClosed SignalOpened SignalRefused SignalFailed SignalReceived
    SignalClosed PacketReceived JoinRetried Commanded Called SendFrame

    ConnectSignal SendSignal CloseSignal BindUdp FindRoute MediaPath ConnectTcp OpenRelay SendRelay CloseRelay RelayFailed SendPacket UnknownMethod Opened Content Ended Requested
    Frame LocalTrack
    JoinFailed CommandDone CallDone Closed

    Connected ParticipantJoined ParticipantActive ParticipantLeft MetadataChanged NameChanged AttributesChanged
    PermissionsChanged TrackPublished TrackUnpublished TrackMuted TrackUnmuted TrackSubscribed TrackUnsubscribed
    LocalTrackPublished LocalTrackUnpublished LocalTrackRepublished LocalTrackSubscribed
    DataReceived SpeakersChanged ConnectionQualityChanged RoomMetadataChanged Reconnecting Reconnected DataMissed
    RoomReplaced RoomUpdated TokenRefreshed RoomMoved Lagged Disconnected
";

/// The random scripts reach every phase: one of them has all that a recording can contain.
#[test]
fn random_scripts_have_every_input_and_output() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for seed in 0..800 {
        let ops = prop::collection::vec(op(), 1..120).new_tree(&mut runner).unwrap().current();
        let world = run(seed, ops);
        let inputs = world.room.recording().calls.iter().filter_map(|(_, input)| input.as_ref());
        seen.extend(inputs.map(|input| name(&format!("{input:?}"))));
        seen.extend(world.room.outputs().iter().map(|output| match output {
            Output::Event(event) => name(&format!("{event:?}")),
            Output::Stream(event) => name(&format!("{event:?}")),
            output => name(&format!("{output:?}")),
        }));
    }
    let missing: Vec<_> = EVERYTHING.split_whitespace().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn name(shown: &str) -> String {
    shown.chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// A recording from the socket to the end.
#[test]
fn the_course_of_a_room_is_recorded() {
    let mut config = Config::new("wss://host/base", "sesame");
    (config.seed, config.sdk_version) = (1, "1.0.0".to_owned());
    let mut world = World::new(Recorder::new(config, machine));
    world.connect();
    world.apply(Op::Input(Input::Commanded {
        id: 1,
        command: RoomCommand::Publish(Publish::new("topic", "payload")),
    }));
    world.packet(MediaMessage::Acknowledged, b"");
    world.apply(Op::Input(Input::SignalClosed { reason: "cut".to_owned() }));
    world.apply(Op::Input(Input::SignalRefused {
        status: 503,
        body: "busy".to_owned(),
        retry_after: Some(Duration::from_millis(1500)),
    }));
    world.apply(Op::Pass(2_000));
    world.apply(Op::Input(Input::Commanded { id: 2, command: RoomCommand::Leave }));
    let recording = recorded(&world.room);
    assert_eq!(json(&replay(&recording)), json(world.room.outputs()));
    let calls = world.room.recording().calls.iter().map(|call| serde_json::to_string(call).unwrap() + "\n");
    let script = format!("{}\n{}", calls.collect::<String>(), json(world.room.outputs()));
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(script); });
}

/// A recording contains the token with which the room was joined; the machine's outputs do not show it.
#[test]
fn the_token_is_in_the_configuration_and_in_no_output() {
    let mut world = World::new(Recorder::new(Config::new("wss://host", "sesame"), machine));
    world.connect();
    let (recording, outputs) = (recorded(&world.room), json(world.room.outputs()));
    assert!(recording.contains("sesame"));
    assert!(outputs.contains("[redacted]") && !outputs.contains("sesame"));
    let lets_in =
        |output: &Output| matches!(output, Output::ConnectSignal { token, .. } if token.expose() == "sesame");
    assert!(replay(&recording).iter().any(lets_in));
}
