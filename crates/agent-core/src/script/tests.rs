//! Model test of the worker machine with any input in any state, also what no driver and no server does: each
//! state has to meet each input, and the promises are kept.

mod counted;
mod inputs;

use fastrand::Rng;
use proptest::prelude::*;

use agent_proto::coverage::{Coverage, smallest};

use super::driver::{Driver, id};
use super::{BrokenPromise, Script, Step};
use crate::worker::coverage::{InputKind, State, TimerKind};
use counted::{Counted, JOBS};

/// Random scripts, from which the way to each state is learnt.
const SCRIPTS: u64 = 600;

/// What happens next.
#[derive(Clone, Debug)]
enum Op {
    /// What a driver and a server do.
    Step(Step),
    /// An input of this kind, about this job if it is about one, whatever the state is.
    Input(InputKind, u8),
}

type Seen = Coverage<State, InputKind, Op>;

/// A script of this seed, with inputs in between that may come at any time.
fn random(seed: u64) -> Vec<Op> {
    let mut rng = Rng::with_seed(seed);
    let share = rng.u8(0..4);
    let steps = Script::random(rng.u64(..)).steps.into_iter().map(Op::Step);
    steps
        .flat_map(|step| {
            let any = (rng.u8(0..8) < share).then(|| any_input(&mut rng));
            // A connection that is lost, and opened again, up to some point.
            let lost = [InputKind::Disconnected, InputKind::Timeout, InputKind::Connected];
            let lost = lost.into_iter().map(|kind| Op::Input(kind, 0));
            let lost: Vec<Op> = lost.take(if rng.u8(0..16) < share { rng.usize(1..4) } else { 0 }).collect();
            any.into_iter().chain(lost).chain([step])
        })
        .collect()
}

fn any_input(rng: &mut Rng) -> Op {
    let kind = rng.choice(InputKind::ALL).copied().unwrap_or(InputKind::Activity);
    Op::Input(kind, rng.u8(..JOBS))
}

/// Runs a script on a machine with few slots, and records the states and inputs that it reached.
fn run(script: &[Op], seen: &mut Seen, timers: &mut Vec<TimerKind>) -> Result<(), BrokenPromise> {
    let mut machine = Counted::new();
    let ran = carry_out(script, &mut machine, seen);
    machine.hits.iter().for_each(|(state, kind)| seen.hit(*state, *kind));
    timers.append(&mut machine.timers);
    ran
}

fn carry_out(script: &[Op], machine: &mut Counted, seen: &mut Seen) -> Result<(), BrokenPromise> {
    let mut driver = Driver::new(machine);
    driver.start()?;
    for (at, op) in script.iter().enumerate() {
        (0..JOBS).for_each(|job| seen.reached(State::of(driver.worker(), &id(job)), &script[..at]));
        driver.begin(at, op);
        match op {
            Op::Step(step) => driver.step(step)?,
            Op::Input(InputKind::Timeout, _) => driver.timeout()?,
            Op::Input(InputKind::EarlyTimeout, _) => driver.early_timeout()?,
            Op::Input(kind, job) => {
                if let Some(input) = inputs::input(*kind, &id(*job), driver.worker()) {
                    driver.input(input)?;
                }
            }
        }
    }
    (0..JOBS).for_each(|job| seen.reached(State::of(driver.worker(), &id(job)), script));
    driver.finish().map(drop)
}

fn fresh() -> Seen {
    Coverage::new(State::all(), InputKind::ALL.iter().copied())
}

/// The smallest script that breaks a promise, if this one does.
fn broken(script: &[Op]) -> Option<String> {
    let run = |script: &[Op]| run(script, &mut fresh(), &mut Vec::new());
    run(script).err()?;
    let script = smallest(script.to_vec(), |script| run(script).is_err());
    let broken = run(&script).err()?;
    Some(format!("{broken}\n{script:#?}"))
}

/// Prints the size of the product, which RELIABILITY.md states.
#[test]
fn every_input_in_every_state() {
    let (mut seen, mut timers) = (fresh(), Vec::new());
    for seed in 0..SCRIPTS {
        let script = random(seed);
        let ran = run(&script, &mut seen, &mut timers);
        assert!(ran.is_ok(), "{}", broken(&script).unwrap_or_default());
    }
    let mut rng = Rng::with_seed(0);
    let filled = seen.fill(
        |path, kind, number| {
            // About one job after the other, as the state is that of one of them; then what comes of it.
            let job = u8::try_from(number).unwrap_or_default() % JOBS;
            let after = random(rng.u64(..)).into_iter().take(rng.usize(..5));
            path.iter().cloned().chain([Op::Input(kind, job)]).chain(after).collect()
        },
        |script, seen| run(script, seen, &mut timers).map_err(|_| broken(script).unwrap_or_default()),
    );
    assert_eq!(filled, Ok(()));
    println!("worker: {seen}");
    assert!(seen.gaps().is_none(), "{}", seen.gaps().unwrap_or_default());
    let unfired: Vec<_> = TimerKind::ALL.iter().filter(|kind| !timers.contains(kind)).collect();
    assert!(unfired.is_empty(), "timers that did not fire: {unfired:?}");
    let figures = include_str!("../../../../RELIABILITY.md");
    assert!(
        figures.contains(&format!("| worker | {seen} |")),
        "RELIABILITY.md has another figure than {seen}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_inputs_keep_the_promises(seed: u64) {
        let broken = broken(&random(seed));
        prop_assert!(broken.is_none(), "{}", broken.unwrap_or_default());
    }
}
