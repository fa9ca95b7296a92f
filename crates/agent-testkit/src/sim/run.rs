//! One run of one seed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use agent_proto::Time;

use super::check::{Check, Failure};
use super::fault::Fault;
use super::options::Options;
use super::world::World;

/// One run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimRun {
    /// Its seed.
    pub seed: u64,
    /// The number of events that were delivered to machines.
    pub events: u64,
    /// The number of jobs that the server has offered.
    pub jobs: u64,
    /// The broken promises.
    pub failures: Vec<Failure>,
    /// What happened, if it was recorded: a line each.
    pub timeline: Vec<String>,
    /// A number over all that the workers have done: the same for each run of a seed.
    pub digest: u64,
    pub(super) checked: [u64; Check::ALL.len()],
    pub(super) happened: [u64; Fault::ALL.len()],
}

impl SimRun {
    /// How often a rule was checked.
    #[must_use]
    pub fn checked(&self, check: Check) -> u64 {
        self.checked.get(check as usize).copied().unwrap_or_default()
    }

    /// How often a kind of fault has happened.
    #[must_use]
    pub fn happened(&self, fault: Fault) -> u64 {
        self.happened.get(fault as usize).copied().unwrap_or_default()
    }
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, options: Options) -> SimRun {
    let mut run = run_once(seed, options);
    if options.run_twice {
        let second = run_once(seed, Options { record: false, ..options });
        if let Some(count) = run.checked.get_mut(Check::Repeatable as usize) {
            *count += 1;
        }
        if second.digest != run.digest || second.events != run.events {
            let text = format!("{} events became {}", run.events, second.events);
            run.failures.push(Failure { check: Check::Repeatable, at: Time::ZERO, text });
        }
    }
    run
}

fn run_once(seed: u64, options: Options) -> SimRun {
    let mut world = World::new(seed, options);
    let panicked = catch_unwind(AssertUnwindSafe(|| world.run())).err();
    world.checks.that(Check::NoPanic, panicked.is_none(), || {
        let text = panicked.as_ref().map(|panic| panic_text(panic.as_ref()));
        format!("a panic: {}", text.unwrap_or_default())
    });
    let (checked, failures) = world.checks.into_results();
    SimRun {
        seed,
        events: world.delivered,
        jobs: world.server.records.offered,
        failures,
        timeline: world.timeline.into_lines(),
        digest: world.digest.value(),
        checked,
        happened: world.swarm.counts(),
    }
}

/// The text of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()
}
