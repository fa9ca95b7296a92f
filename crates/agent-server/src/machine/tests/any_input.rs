//! Model test of the machine with any input in any state, also what no worker, driver or member does: each
//! state has to meet each input, and the promises are kept.

mod inputs;
mod jobs;
mod kinds;
mod rooms;
mod world;

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as TestConfig, RngAlgorithm, TestRng, TestRunner};

use agent_proto::coverage::{Coverage, smallest};

use crate::machine::Rules;
use jobs::Checked;
use kinds::{InputKind, State};
pub(super) use world::{Op, World};

/// Random scripts, from which the way to each state is learnt.
const SCRIPTS: usize = 300;

type Seen = Coverage<State, InputKind, Op>;

/// A course that a worker, an agent and people lead to, up to some point.
fn course() -> impl Strategy<Value = Vec<Op>> {
    use InputKind as K;
    let courses = [
        vec![
            K::WorkerConnected,
            K::Register,
            K::CreateDispatch,
            K::Timeout,
            K::Accept,
            K::Timeout,
            K::Running,
        ],
        vec![K::CreateDispatch, K::Timeout, K::Accept, K::Join, K::Timeout, K::Timeout, K::Success],
        vec![K::CreateDispatch, K::Timeout, K::Accept, K::DeleteDispatch, K::Timeout, K::Timeout],
        vec![K::CreateDispatch, K::DeleteDispatch, K::Timeout, K::Accept, K::Timeout],
        vec![K::Join, K::Join, K::CommandPublishTrack, K::CommandChangeSubscription, K::CommandMuteTrack],
        vec![K::Join, K::CommandOpenStream, K::CommandWriteStream, K::CommandCloseStream],
        vec![K::Join, K::CommandPublishDataTrack, K::CommandSubscribeDataTrack, K::CommandPushDataFrame],
        vec![K::Join, K::CommandRegisterMethod, K::Called, K::CommandRespond],
    ];
    (prop::sample::select(courses.to_vec()), 0..8usize, any::<[u64; 8]>()).prop_map(
        |(kinds, len, numbers)| {
            let ops = kinds.into_iter().zip(numbers).map(|(kind, number)| Op::Input(kind, number));
            ops.take(len).collect()
        },
    )
}

fn any_op() -> impl Strategy<Value = Op> {
    let input = (prop::sample::select(InputKind::ALL), any::<u64>());
    prop_oneof![6 => input.prop_map(|(kind, number)| Op::Input(kind, number)), 1 => (1..9000u32).prop_map(Op::Pass)]
}

pub(super) fn script() -> impl Strategy<Value = Vec<Op>> {
    let part = prop_oneof![4 => course(), 3 => prop::collection::vec(any_op(), 0..6)];
    prop::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    let millis = |from: u64, to: u64| (from..to).prop_map(Duration::from_millis);
    let time = prop_oneof![Just(Duration::ZERO), millis(1, 3000)];
    let patience = prop_oneof![Just(Duration::ZERO), millis(1, 400_000), Just(Duration::MAX)];
    (any::<u64>(), time.clone(), time, patience.clone(), patience.clone(), patience, 0usize..100).prop_map(
        |(seed, bookkeeping, dispatch_delay, cold_cache, empty_timeout, departure_timeout, history)| Rules {
            cold_cache,
            seed,
            history,
            bookkeeping,
            dispatch_delay,
            empty_timeout,
            departure_timeout,
            ..Rules::default()
        },
    )
}

/// With delays, so that there is a state between the steps.
fn slow_rules() -> Rules {
    Rules {
        bookkeeping: Duration::from_millis(400),
        cold_cache: Duration::from_millis(1_500),
        dispatch_delay: Duration::from_millis(300),
        ..Rules::default()
    }
}

/// Runs a script, and records the states and inputs that it reached.
fn run(rules: &Rules, script: &[Op], seen: &mut Seen) -> Checked {
    let mut world = World::new(rules.clone());
    for (at, op) in script.iter().enumerate() {
        world.states().into_iter().for_each(|state| seen.reached(state, &script[..at]));
        let ran = world.step(op);
        world.hits.drain(..).for_each(|(state, kind)| seen.hit(state, kind));
        ran.map_err(|what| format!("step {}, {op:?}: {what}", at + 1))?;
    }
    world.states().into_iter().for_each(|state| seen.reached(state, script));
    world.finish().map_err(|what| format!("after the script: {what}"))
}

fn fresh() -> Seen {
    Coverage::new(State::all(), InputKind::ALL.iter().copied())
}

/// The smallest script that breaks a promise, if this one does.
fn broken(rules: &Rules, script: &[Op]) -> Option<String> {
    let run = |script: &[Op]| run(rules, script, &mut fresh());
    run(script).err()?;
    let script = smallest(script.to_vec(), |script| run(script).is_err());
    Some(format!("{}\n{script:#?}", run(&script).err()?))
}

/// Prints the size of the product, which RELIABILITY.md states.
#[test]
fn every_input_in_every_state() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut random = TestRunner::new_with_rng(TestConfig::default(), rng);
    let (rules, mut seen) = (slow_rules(), fresh());
    for _ in 0..SCRIPTS {
        let script = script().new_tree(&mut random).unwrap().current();
        let ran = run(&rules, &script, &mut seen);
        assert!(ran.is_ok(), "{}", broken(&rules, &script).unwrap_or_default());
    }
    let more = (any::<u64>(), script());
    let filled = seen.fill(
        |path, kind, _| {
            let (number, after) = more.new_tree(&mut random).unwrap().current();
            path.iter().cloned().chain([Op::Input(kind, number)]).chain(after.into_iter().take(6)).collect()
        },
        |script, seen| run(&rules, script, seen).map_err(|_| broken(&rules, script).unwrap_or_default()),
    );
    assert!(filled.is_ok(), "{}", filled.unwrap_err());
    println!("server: {seen}");
    assert!(seen.gaps().is_none(), "{}", seen.gaps().unwrap_or_default());
    let figures = include_str!("../../../../../RELIABILITY.md");
    assert!(
        figures.contains(&format!("| server | {seen} |")),
        "RELIABILITY.md has another figure than {seen}"
    );
}

proptest! {
    #![proptest_config(TestConfig { cases: 200, failure_persistence: None, ..TestConfig::default() })]

    #[test]
    fn any_inputs_keep_the_promises(rules in rules(), script in script()) {
        let broken = broken(&rules, &script);
        prop_assert!(broken.is_none(), "{}", broken.unwrap_or_default());
    }

    #[test]
    fn the_same_seed_and_inputs_are_the_same_outputs(rules in rules(), script in script()) {
        let play = || {
            let mut world = World::new(rules.clone());
            let ran: Checked = script.iter().try_for_each(|op| world.step(op));
            (ran, world.server.outputs().to_vec())
        };
        prop_assert_eq!(play(), play());
    }
}
