//! Whole scripts of the worker machine.

use proptest::prelude::any;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::machine::{Script, Shrinker};

/// Whole scripts of the worker machine, from [`scripts`].
#[derive(Clone, Copy, Debug)]
pub struct Scripts(());

/// A script on its way to a smaller one that fails.
#[derive(Clone, Debug)]
pub struct ScriptTree(Shrinker);

/// Whole scripts of the worker machine: [`Script::random`] of a random seed. A script that fails loses steps
/// (halves, quarters, single ones), then its waits become shorter and its answers and ends plainer, until
/// neither helps.
///
/// ```
/// use agent_testkit::machine::{BrokenPromise, Config};
/// use agent_testkit::strategies::proptest::prelude::*;
/// use agent_testkit::strategies::scripts;
///
/// proptest!(ProptestConfig::with_cases(64), |(script in scripts())| {
///     script.check(Config::default())?;
/// });
/// ```
#[must_use]
pub const fn scripts() -> Scripts {
    Scripts(())
}

impl Strategy for Scripts {
    type Tree = ScriptTree;
    type Value = Script;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = any::<u64>().new_tree(runner)?.current();
        Ok(ScriptTree(Shrinker::new(Script::random(seed))))
    }
}

impl ValueTree for ScriptTree {
    type Value = Script;

    fn current(&self) -> Script {
        self.0.current().clone()
    }

    fn simplify(&mut self) -> bool {
        self.0.failed()
    }

    fn complicate(&mut self) -> bool {
        self.0.passed()
    }
}
