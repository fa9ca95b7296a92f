//! Registration, and the choice of the next worker.

use std::collections::BTreeMap;

use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message;

use super::rig::{Rig, greeter};
use crate::machine::{CreateDispatch, Input, Output, PublishTrack};

#[test]
fn a_worker_registers_pings_and_disconnects() {
    let mut rig = Rig::new();
    rig.connect("a");
    rig.sends("a", Message::Ping(wire::WorkerPing { timestamp: 7 }));
    rig.register("a", greeter());
    rig.pass(60_000);
    rig.sends("a", Message::MigrateJob(wire::MigrateJobRequest::default()));
    rig.cut("a");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_worker_that_violates_the_protocol_is_refused() {
    let mut rig = Rig::new();
    rig.connect("silent");
    rig.pass(10_000);

    rig.connect("early");
    rig.sends("early", Message::UpdateWorker(wire::UpdateWorkerStatus::default()));

    rig.connect("twice");
    rig.register("twice", greeter());
    rig.register("twice", greeter());

    rig.connect("strange");
    rig.register("strange", wire::RegisterWorkerRequest { r#type: 77, ..greeter() });

    rig.connect("spaced");
    rig.register("spaced", wire::RegisterWorkerRequest { deployment: "a b".to_owned(), ..greeter() });

    // The real server crashes.
    rig.worker("roomless");
    rig.sends("roomless", Message::SimulateJob(wire::SimulateJobRequest::default()));

    rig.connect("noisy");
    let noisy = rig.id("noisy");
    let problem = "invalid wire type".to_owned();
    rig.input("noisy sends noise", Input::WorkerGarbage { worker: noisy, problem });

    rig.connect("empty");
    let empty = rig.id("empty");
    rig.input(
        "empty sends an empty message",
        Input::WorkerMessage { worker: empty, message: Box::default() },
    );
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_full_or_busy_worker_is_not_asked() {
    let mut rig = Rig::new();
    rig.dispatch("greeter", "empty");
    rig.worker("a");
    rig.load("a", 0.0, wire::WorkerStatus::WsFull);
    rig.dispatch("greeter", "full");
    // The load counts, and not the reported status.
    rig.load("a", 0.7, wire::WorkerStatus::WsAvailable);
    rig.dispatch("greeter", "at-the-limit");
    rig.load("a", 0.69, wire::WorkerStatus::WsAvailable);
    rig.dispatch("greeter", "below");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn only_workers_of_the_same_name_kind_and_deployment_are_asked() {
    let mut rig = Rig::new();
    for (name, request) in [
        ("other", wire::RegisterWorkerRequest { agent_name: "other".to_owned(), ..greeter() }),
        ("canary", wire::RegisterWorkerRequest { deployment: "canary".to_owned(), ..greeter() }),
        ("people", wire::RegisterWorkerRequest { r#type: wire::JobType::JtParticipant.into(), ..greeter() }),
        ("talkers", wire::RegisterWorkerRequest { r#type: wire::JobType::JtPublisher.into(), ..greeter() }),
        ("unnamed", wire::RegisterWorkerRequest::default()),
    ] {
        rig.connect(name);
        rig.register(name, request);
    }
    rig.forget();
    rig.dispatch("greeter", "lobby");
    rig.person_joins("lobby", "ada");
    rig.remark("ada publishes a track, and another one");
    for name in ["microphone", "screen"] {
        let publish = PublishTrack {
            room: "lobby".to_owned(),
            identity: "ada".to_owned(),
            name: name.to_owned(),
            kind: agent_room::TrackKind::Audio,
            source: agent_room::TrackSource::Microphone,
        };
        rig.silent_call(publish).unwrap();
    }
    let request = wire::CreateAgentDispatchRequest {
        agent_name: "greeter".to_owned(),
        room: "lobby".to_owned(),
        deployment: "canary".to_owned(),
        ..Default::default()
    };
    rig.call("the canary is dispatched", CreateDispatch { request, ..CreateDispatch::default() }).unwrap();
    insta::assert_snapshot!(rig.log());
}

/// A worker that was closed is ignored and gets nothing: its jobs are forgotten as after a cut.
#[test]
fn a_worker_that_is_refused_is_gone() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    rig.forget();
    rig.register("a", greeter());
    rig.dispatch("greeter", "stairs");
    rig.sends("a", Message::Ping(wire::WorkerPing { timestamp: 7 }));
    rig.cut("a");
    insta::assert_snapshot!(rig.log());
}

/// A thousand jobs over workers of different load: each is asked in proportion to its free capacity.
#[test]
fn the_less_loaded_the_likelier() {
    let mut rig = Rig::new();
    for (name, load) in [("idle", 0.0), ("half", 0.5), ("busy", 0.8), ("full", 0.0)] {
        rig.worker(name);
        let status =
            if name == "full" { wire::WorkerStatus::WsFull } else { wire::WorkerStatus::WsAvailable };
        rig.load(name, load, status);
    }
    let mut asked = BTreeMap::<u64, usize>::new();
    for n in 0..1000 {
        let request = wire::CreateAgentDispatchRequest {
            agent_name: "greeter".to_owned(),
            room: format!("room-{n}"),
            ..Default::default()
        };
        let request = CreateDispatch { request, ..CreateDispatch::default() }.into();
        rig.server.handle_input(Input::Requested { id: n, request }, agent_proto::Time::ZERO);
        while let Some(output) = rig.server.poll_output() {
            if let Output::Send { worker, .. } = output {
                *asked.entry(worker).or_default() += 1;
            }
        }
    }
    // 1.0, 0.5 and 0.2 of 1.7, with a tolerance of 5 %.
    let expected = [588.0, 294.0, 118.0];
    let counts: Vec<usize> = asked.values().copied().collect();
    assert_eq!(counts.len(), expected.len(), "the full one was asked: {asked:?}");
    for (count, expected) in counts.iter().zip(expected) {
        assert!((*count as f64 - expected).abs() < 50.0, "{counts:?}");
    }
}
