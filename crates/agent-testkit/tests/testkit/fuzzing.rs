//! Strategies: what they draw, what a failure shrinks to, and how it prints.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_testkit::machine::{Config, Script, Step, Time, Worker};
use agent_testkit::strategies::proptest::prelude::*;
use agent_testkit::strategies::proptest::test_runner::{TestError, TestRunner};
use agent_testkit::strategies::{
    inputs, job_specs, jobs, metadata_of, near_miss_metadata_of, room_scripts, scripts, server_faults,
};
use agent_testkit::{JobSpec, RoomScript, RoomStep, ServerFault, run_job_blocking};
use agent_worker::metadata::parse_metadata;
use agent_worker::{JobContext, JobKind, JobResult, Outcome};

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_core_keeps_its_promises(script in scripts(), slots in 1usize..4) {
        let mut config = Config::default();
        config.max_jobs = slots;
        script.check(config)?;
    }

    #[test]
    fn no_input_stops_the_core(
        inputs in prop::collection::vec((inputs(), 0u64..9000), 0..60),
        seed: u64,
    ) {
        let mut config = Config::default();
        config.max_jobs = 2;
        let mut worker = Worker::new(config, seed);
        let mut now = Time::ZERO;
        for (input, millis) in inputs {
            worker.handle_input(input, now);
            prop_assert!(std::iter::from_fn(|| worker.poll_output()).take(1000).count() < 1000);
            prop_assert!(worker.poll_timeout().is_none_or(|(at, _)| at > now));
            prop_assert!(worker.used_slots() <= 2);
            now = now + Duration::from_millis(millis);
            worker.handle_timeout(now);
        }
    }

    #[test]
    fn jobs_are_within_the_limits(job in jobs()) {
        prop_assert!(job.check_limits().is_ok());
        prop_assert_eq!(job.target.is_some(), job.kind != JobKind::Room);
    }
}

/// The smallest input for which the test fails.
fn minimal<S: Strategy>(strategy: S, fails: impl Fn(&S::Value) -> bool) -> S::Value {
    let mut runner = TestRunner::deterministic();
    let result = runner.run(&strategy, |value| {
        prop_assert!(!fails(&value));
        Ok(())
    });
    match result {
        Err(TestError::Fail(_, value)) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failing_script_becomes_a_few_steps() {
    let fails = |script: &Script| {
        let cut = script.steps().iter().position(|step| *step == Step::Cut);
        let waited = |step: &Step| matches!(step, Step::Wait(millis) if *millis >= 1234);
        cut.is_some_and(|at| script.steps()[at..].iter().any(waited))
    };
    let script = minimal(scripts(), fails);
    assert_eq!(script, Script::new([Step::Cut, Step::Wait(1234)]));
}

#[test]
fn room_events_and_faults_become_few_and_short() {
    let leaves = |script: &RoomScript| script.steps().contains(&RoomStep::Leave(2));
    assert_eq!(minimal(room_scripts(), leaves), RoomScript::new([RoomStep::Leave(2)]));
    let cut =
        |faults: &Vec<(Duration, ServerFault)>| faults.iter().any(|(_, fault)| *fault == ServerFault::Cut);
    assert_eq!(minimal(server_faults(), cut), [(Duration::ZERO, ServerFault::Cut)]);
}

/// A type with everything that schemas can express.
#[expect(dead_code, reason = "its fields are read by serde alone")]
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Trip {
    #[schemars(length(min = 3, max = 5))]
    code: String,
    #[schemars(regex(pattern = "^[A-Z]{2}[0-9]+$"))]
    train: Option<String>,
    #[serde(default)]
    seats: Vec<Seat>,
    #[schemars(range(min = 0.5, max = 2.0))]
    factor: f64,
    stops: BTreeMap<String, i64>,
    unique: BTreeSet<u8>,
    pair: (bool, u16),
    class: Class,
    luggage: Luggage,
    /// The type within itself.
    back: Option<Box<Trip>>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Seat {
    #[expect(dead_code, reason = "read by serde alone")]
    row: u8,
    #[schemars(range(min = 10, max = 12))]
    number: i32,
}

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Class {
    #[default]
    First,
    /// With a doc comment.
    Second,
}

#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind")]
enum Luggage {
    #[default]
    None,
    Bags {
        #[expect(dead_code, reason = "read by serde alone")]
        count: u32,
    },
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn metadata_of_a_schema_is_taken(metadata in metadata_of::<Trip>()) {
        let trip = parse_metadata::<Trip>(&metadata)?.unwrap();
        prop_assert!((3..=5).contains(&trip.code.chars().count()), "{}", trip.code);
        prop_assert!((0.5..=2.0).contains(&trip.factor));
        prop_assert!(trip.seats.iter().all(|seat| (10..=12).contains(&seat.number)));
        let is_train = |train: &String| train.len() > 2 && train.chars().take(2).all(|c| c.is_ascii_uppercase());
        prop_assert!(trip.train.iter().all(is_train), "{:?}", trip.train);
    }

    #[test]
    fn metadata_with_a_mistake_is_refused(metadata in near_miss_metadata_of::<Trip>()) {
        prop_assert!(parse_metadata::<Trip>(&metadata).is_err());
    }
}

/// Sends chat messages back.
async fn echo(ctx: JobContext) -> JobResult {
    let mut chat = ctx.room().data("chat");
    loop {
        tokio::select! {
            biased;
            _ = ctx.cancelled() => return Ok(()),
            message = chat.next() => match message {
                Some(Ok(message)) => ctx.room().publish_data("echo", message.payload).await?,
                _ => return Ok(()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_handler_survives_people_and_faults(events in room_scripts(), faults in server_faults(), seed: u64) {
        let job = JobSpec::room("lobby").seed(seed).script(|room| events.play(room)).faults(faults);
        let run = run_job_blocking(echo, job);
        prop_assert_eq!(run.outcome, Outcome::Success, "{}", run.timeline);
    }

    #[test]
    fn a_handler_gets_any_job(spec in job_specs()) {
        let run = run_job_blocking(|_: JobContext| async { Ok(()) }, spec);
        prop_assert_eq!(run.outcome, Outcome::Success, "{}", run.timeline);
    }
}

/// What they print is the code that makes them.
#[test]
fn room_scripts_and_faults_print_as_code() {
    let script = RoomScript::new([
        RoomStep::Join(1),
        RoomStep::Leave(1),
        RoomStep::Lose(1),
        RoomStep::Data { from: 1, topic: "chat".into(), payload: vec![0, 255] },
        RoomStep::Text { from: 1, topic: "".into(), text: "\u{202e}\"a\0\n".into() },
        RoomStep::Key(1, '#'),
        RoomStep::Attribute { of: 1, key: "k".into(), value: "".into() },
        RoomStep::Metadata(1, "{}".into()),
        RoomStep::Publish(1),
        RoomStep::Mute(1, true),
        RoomStep::Frame(1, vec![]),
        RoomStep::Unpublish(1),
        RoomStep::Speak(1),
        RoomStep::RoomData(vec![1]),
        RoomStep::RoomMetadata("m".into()),
        RoomStep::Wait(500),
        RoomStep::RemoveAgent,
        RoomStep::Delete,
    ]);
    let faults = [
        ServerFault::Cut,
        ServerFault::Close(1001),
        ServerFault::HalfOpen,
        ServerFault::Bytes(vec![1]),
        ServerFault::Freeze(1),
        ServerFault::Mute(2),
        ServerFault::Double(3),
        ServerFault::Refuse(4),
        ServerFault::Delay { by: 5, millis: 6 },
        ServerFault::RefuseJoins { status: 503, millis: 7 },
    ];
    // The text above, as the compiler reads it.
    let source = include_str!("fuzzing.rs").replace("\n    ", "\n");
    assert!(source.contains(&format!("let script = {script:?};\n")), "{script:?}");
    for fault in &faults {
        assert!(source.contains(&format!("    {fault:?},\n")), "{fault:?}");
    }
}
