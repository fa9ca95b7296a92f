//! Model test of the machine with any input in any state, also what no server and no driver does: each state
//! has to meet each input, and the promises are kept.

mod kinds;
mod messages;
mod model;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as TestConfig, RngAlgorithm, TestRng, TestRunner};

use agent_proto::coverage::{Coverage, smallest};

use kinds::{InputKind, State};
use model::Checked;
use world::{Op, World};

/// Random scripts, from which the way to each state is learnt.
const SCRIPTS: usize = 300;

type Seen = Coverage<State, InputKind, Op>;

/// A course that a server and a driver lead to, up to some point.
fn course() -> impl Strategy<Value = Vec<Op>> {
    use InputKind as K;
    let join = vec![K::Bound, K::Opened, K::Join, K::MediaReady];
    let resume = vec![K::SignalClosed, K::Opened, K::Reconnect, K::MediaRestarted];
    let rejoin = vec![K::LeaveAndRejoin, K::Bound, K::Opened, K::Join, K::MediaReady];
    let some = |kinds: Vec<K>| (0..=kinds.len()).prop_map(move |len| kinds[..len].to_vec());
    let whole = |kinds: Vec<K>| Just(kinds);
    let kinds = prop_oneof![
        2 => whole(join.clone()),
        1 => some(join),
        2 => whole(resume.clone()),
        1 => some(resume),
        2 => whole(rejoin.clone()),
        1 => some(rejoin),
    ];
    kinds.prop_flat_map(|kinds| {
        let inputs =
            kinds.into_iter().map(|kind| any::<u32>().prop_map(move |number| Op::Input(kind, number)));
        inputs.collect::<Vec<_>>()
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    let input = (prop::sample::select(InputKind::ALL), any::<u32>());
    prop_oneof![6 => input.prop_map(|(kind, number)| Op::Input(kind, number)), 1 => (1..9000u32).prop_map(Op::Wait)]
}

fn script() -> impl Strategy<Value = Vec<Op>> {
    let part = prop_oneof![3 => course(), 2 => prop::collection::vec(any_op(), 0..8)];
    let first = prop::bool::weighted(0.8).prop_map(|joins| {
        use InputKind as K;
        let join = [K::Bound, K::Opened, K::Join, K::MediaReady].map(|kind| Op::Input(kind, 5));
        if joins { join.to_vec() } else { Vec::new() }
    });
    (first, prop::collection::vec(part, 0..8))
        .prop_map(|(first, parts)| first.into_iter().chain(parts.into_iter().flatten()).collect())
}

/// Runs a script, and records the states and inputs that it reached.
fn run(script: &[Op], seen: &mut Seen) -> Checked {
    let mut world = World::new();
    for (at, op) in script.iter().enumerate() {
        seen.reached(State::of(&world.signal), &script[..at]);
        let ran = world.step(op);
        world.hits.drain(..).for_each(|(state, kind)| seen.hit(state, kind));
        ran.map_err(|what| format!("step {}, {op:?}: {what}", at + 1))?;
    }
    seen.reached(State::of(&world.signal), script);
    world.finish().map_err(|what| format!("after the script: {what}"))
}

fn fresh() -> Seen {
    Coverage::new(State::all(), InputKind::ALL.iter().copied())
}

/// The smallest script that breaks a promise, if this one does.
fn broken(script: &[Op]) -> Option<String> {
    let run = |script: &[Op]| run(script, &mut fresh());
    run(script).err()?;
    let script = smallest(script.to_vec(), |script| run(script).is_err());
    Some(format!("{}\n{script:#?}", run(&script).err()?))
}

/// Prints the size of the product, which RELIABILITY.md states.
#[test]
fn every_input_in_every_state() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut random = TestRunner::new_with_rng(TestConfig::default(), rng);
    let mut scripts = || script().new_tree(&mut random).unwrap().current();
    let mut seen = fresh();
    for _ in 0..SCRIPTS {
        let script = scripts();
        let ran = run(&script, &mut seen);
        assert!(ran.is_ok(), "{}", broken(&script).unwrap_or_default());
    }
    let filled = seen.fill(
        |path, kind, number| {
            let after = scripts().into_iter().skip(4).take(8);
            path.iter().cloned().chain([Op::Input(kind, number)]).chain(after).collect()
        },
        |script, seen| run(script, seen).map_err(|_| broken(script).unwrap_or_default()),
    );
    assert!(filled.is_ok(), "{}", filled.unwrap_err());
    println!("signal: {seen}");
    assert!(seen.gaps().is_none(), "{}", seen.gaps().unwrap_or_default());
    let figures = include_str!("../../../../../RELIABILITY.md");
    assert!(
        figures.contains(&format!("| signal | {seen} |")),
        "RELIABILITY.md has another figure than {seen}"
    );
}

proptest! {
    #![proptest_config(TestConfig { cases: 300, failure_persistence: None, ..TestConfig::default() })]

    #[test]
    fn any_inputs_keep_the_promises(script in script()) {
        let broken = broken(&script);
        prop_assert!(broken.is_none(), "{}", broken.unwrap_or_default());
    }
}

/// The calls that change the machine have no enum that the compiler could compare: each is made here.
#[test]
fn every_call_is_an_input() {
    let files = [
        include_str!("../mod.rs"),
        include_str!("../ending.rs"),
        include_str!("../recovery.rs"),
        include_str!("../own_tracks.rs"),
        include_str!("../subscriptions.rs"),
        include_str!("../timers.rs"),
    ];
    let calls = files.iter().flat_map(|file| file.split("    pub(crate) fn ").skip(1)).filter_map(|text| {
        let (name, parameters) = text.split_once('(')?;
        parameters.trim_start().starts_with("&mut self").then_some(name)
    });
    let made = include_str!("any_input/world.rs");
    let counters = ["poll_output", "violation", "violations_of"];
    let missing: Vec<_> =
        calls.filter(|name| !counters.contains(name) && !made.contains(&format!("signal.{name}("))).collect();
    assert!(missing.is_empty(), "not made by the model test: {missing:?}");
}
