//! Model test of the worker machine: any order of events, against the promises of one machine (ids as in
//! ARCHITECTURE.md).

use proptest::prelude::*;

use agent_core::{BrokenPromise, Config, Script};

use crate::rig::{RecordedWorker, worker};

/// A machine with few slots; some give up while jobs run.
pub(crate) fn machine(seed: u64) -> RecordedWorker {
    let mut config = Config::default();
    config.max_jobs = 2;
    config.max_connect_attempts = seed.is_multiple_of(4).then_some(2);
    RecordedWorker::new((config, seed), worker)
}

fn run(script: &Script, seed: u64) -> Result<(), BrokenPromise> {
    script.run(&mut machine(seed)).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_keeps_the_promises(seed: u64, script: u64) {
        let script = Script::random(script);
        if run(&script, seed).is_err() {
            let minimal = script.minimize(|script| run(script, seed).is_err());
            let broken = run(&minimal, seed).unwrap_err();
            prop_assert!(false, "{broken}\n{minimal:?}");
        }
    }
}
