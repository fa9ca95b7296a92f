//! A recording of a worker machine, written as JSON and read again, replays to the same outputs, byte for
//! byte (I12).

use std::time::Duration;

use proptest::prelude::*;

use agent_core::{Answer, AttemptEnd, Config, DescriptorBudget, Input, LinkError, Output, Script};
use agent_proto::recording::Recording;

use crate::promises;
use crate::rig::{RecordedWorker, Rig, worker};

fn json(outputs: &[Output]) -> String {
    outputs.iter().map(|output| serde_json::to_string(output).unwrap() + "\n").collect()
}

/// The new machine has nothing but the recording.
fn replay(recording: &str) -> Vec<Output> {
    serde_json::from_str::<Recording<(Config, u64), Input>>(recording).unwrap().replay(worker)
}

fn recorded(worker: &RecordedWorker) -> String {
    serde_json::to_string(worker.recording()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_recording_gives_the_same_outputs(seed: u64, script: u64) {
        let mut worker = promises::machine(seed);
        prop_assert!(Script::random(script).run(&mut worker).is_ok());
        let replayed = replay(&recorded(&worker));
        prop_assert_eq!(json(&replayed), json(worker.outputs()));
        // Tokens, which are not written, are equal, too.
        prop_assert_eq!(replayed, worker.outputs());
    }
}

/// One of each input with content, and the format of a recording.
#[test]
fn the_course_of_a_job_is_recorded() {
    let mut rig = Rig::registered(|config| config.max_jobs = 1);
    rig.input(Input::DescriptorsFound(DescriptorBudget { limit: 1024, open: 12, per_job: 4 }));
    for load in [0.1, f32::NAN, f32::INFINITY] {
        rig.input(Input::LoadSampled(load));
    }
    rig.input(Input::LoadSampled(0.0));
    rig.offer(1);
    rig.answer(1, Answer::accept().identity("guide").attributes([("language", "en")]));
    rig.assign(1);
    rig.input(Input::HandlerStarted { job: crate::rig::id(1) });
    rig.end(1, AttemptEnd::Ok);
    rig.pass(600);
    rig.input(Input::Disconnected { reason: "cut".to_owned() });
    rig.pass(1_000);
    rig.input(Input::ConnectFailed(LinkError::Refused {
        status: 503,
        message: "busy".to_owned(),
        retry_after: Some(Duration::from_millis(1500)),
    }));
    rig.input(Input::StopRequested);
    let recording = recorded(&rig.worker);
    assert_eq!(json(&replay(&recording)), json(rig.worker.outputs()));
    let calls: String =
        rig.worker.recording().calls.iter().map(|call| serde_json::to_string(call).unwrap() + "\n").collect();
    insta::assert_snapshot!(format!("{calls}\n{}", json(rig.worker.outputs())));
}

/// A recording holds what the wire holds; outputs do not show the token.
#[test]
fn the_token_of_a_job_is_in_its_frame_and_in_no_output() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    let (recording, outputs) = (recorded(&rig.worker), json(rig.worker.outputs()));
    let token: String = "secret-token".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(recording.contains(&token));
    assert!(outputs.contains("[redacted]") && !outputs.contains("secret-token") && !outputs.contains(&token));
    // The handler of a replayed job gets the token.
    let replayed = replay(&recording);
    assert!(
        replayed.iter().any(|output| {
            matches!(output, Output::Start { token, .. } if token.expose() == "secret-token")
        })
    );
}
