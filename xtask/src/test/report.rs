//! What the rings found, and the summary that ends the run.

use std::fmt;
use std::time::Duration;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
}

impl Counts {
    /// Reads libtest's `test result: ok. 9 passed; 0 failed; 0 ignored; …`; adds nothing for any other line.
    pub(super) fn add_line(&mut self, line: &str) {
        let Some((_, results)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for result in results.split("; ") {
            let mut words = result.split(' ');
            if let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u32>), words.next()) {
                match what {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

/// How one ring ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A check without tests of its own.
    Ok,
    /// All of its tests passed.
    Passed(Counts),
    /// Why, and the tests that ran.
    Failed(String, Counts),
    /// What the machine lacks.
    Skipped(String),
}

impl Outcome {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into(), Counts::default())
    }

    /// The outcome of tests that ran: `clean` when cargo was content, `failures` names the tests that were not.
    pub(super) fn of_tests(counts: Counts, clean: bool, failures: &[String]) -> Self {
        if !failures.is_empty() || counts.failed > 0 {
            let names =
                if failures.is_empty() { String::new() } else { format!(": {}", failures.join(", ")) };
            Self::Failed(format!("{} failed{names}", counts.failed), counts)
        } else if !clean {
            Self::Failed("did not build or broke off".to_owned(), counts)
        } else if counts.passed == 0 {
            Self::Failed("no test ran".to_owned(), counts)
        } else if counts.ignored > 0 {
            // A test that does not run proves nothing; what a machine lacks is said by the ring.
            Self::Failed(format!("{} ignored", counts.ignored), counts)
        } else {
            Self::Passed(counts)
        }
    }
}

/// The outcomes of a run.
pub(super) struct Report {
    strict: bool,
    rings: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// `strict`: skipping is failing.
    pub(super) fn new(strict: bool) -> Self {
        Self { strict, rings: Vec::new() }
    }

    pub(super) fn add(&mut self, title: &'static str, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Skipped(why) if self.strict => Outcome::failed(why),
            outcome => outcome,
        };
        self.rings.push((title, outcome, took));
    }

    /// Whether no ring failed, and at least one ran.
    pub(super) fn passed(&self) -> bool {
        let (passed, failed) = self.totals();
        passed > 0 && failed == 0
    }

    /// Tests and checks, a check counting as one.
    fn totals(&self) -> (u32, u32) {
        self.rings.iter().fold((0, 0), |(passed, failed), (_, outcome, _)| match outcome {
            Outcome::Ok => (passed + 1, failed),
            Outcome::Passed(counts) => (passed + counts.passed, failed),
            Outcome::Failed(_, counts) => (passed + counts.passed, failed + counts.failed.max(1)),
            Outcome::Skipped(_) => (passed, failed),
        })
    }
}

/// One line for each ring, then the totals alone on a line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, outcome, took) in &self.rings {
            let seconds = took.as_secs();
            match outcome {
                Outcome::Ok => writeln!(f, "{title}: ok ({seconds} s)")?,
                Outcome::Passed(counts) => writeln!(f, "{title}: {} passed ({seconds} s)", counts.passed)?,
                Outcome::Failed(why, counts) if counts.passed > 0 => {
                    writeln!(f, "{title}: FAILED, {why}; {} passed ({seconds} s)", counts.passed)?;
                }
                Outcome::Failed(why, _) => writeln!(f, "{title}: FAILED, {why} ({seconds} s)")?,
                Outcome::Skipped(why) => writeln!(f, "{title}: skipped, {why}")?,
            }
        }
        let (passed, failed) = self.totals();
        write!(f, "\n{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.add_line(line));
        counts
    }

    #[test]
    fn results_add_up() {
        let lines = [
            "running 9 tests",
            "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.77s",
            "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.73s",
            "a test says: test result: ok. 100 passed; 0 failed",
        ];
        assert_eq!(counts(&lines), Counts { passed: 14, failed: 2, ignored: 1 });
    }

    #[test]
    fn only_tests_that_ran_and_passed_pass() {
        let some = |passed, failed, ignored| Counts { passed, failed, ignored };
        assert_eq!(Outcome::of_tests(some(3, 0, 0), true, &[]), Outcome::Passed(some(3, 0, 0)));
        for (counts, clean, failures, why) in [
            (some(0, 0, 0), true, vec![], "no test ran"),
            (some(3, 0, 1), true, vec![], "1 ignored"),
            (some(3, 0, 0), false, vec![], "did not build or broke off"),
            (some(3, 2, 0), false, vec!["a::b".to_owned(), "c".to_owned()], "2 failed: a::b, c"),
        ] {
            assert_eq!(Outcome::of_tests(counts, clean, &failures), Outcome::Failed(why.to_owned(), counts));
        }
    }

    fn report(strict: bool) -> Report {
        let mut report = Report::new(strict);
        report.add("fmt", Outcome::Ok, Duration::from_millis(1_200));
        report.add(
            "unit",
            Outcome::Passed(Counts { passed: 41, ..Counts::default() }),
            Duration::from_secs(12),
        );
        report.add("real server", Outcome::Skipped("no Go toolchain".to_owned()), Duration::ZERO);
        report
    }

    #[test]
    fn a_machine_that_lacks_tools_passes() {
        let report = report(false);
        assert!(report.passed());
        assert_eq!(
            report.to_string(),
            "fmt: ok (1 s)\nunit: 41 passed (12 s)\nreal server: skipped, no Go toolchain\n\n42 passed, 0 failed"
        );
    }

    #[test]
    fn ci_must_not_lack_any() {
        let report = report(true);
        assert!(!report.passed());
        assert!(
            report.to_string().ends_with("real server: FAILED, no Go toolchain (0 s)\n\n42 passed, 1 failed"),
            "{report}"
        );
    }

    #[test]
    fn one_failure_fails_the_run() {
        let mut report = report(false);
        report.add(
            "docs",
            Outcome::Failed("2 failed: a, b".to_owned(), Counts { passed: 3, failed: 2, ignored: 0 }),
            Duration::ZERO,
        );
        assert!(!report.passed());
        assert!(
            report
                .to_string()
                .ends_with("docs: FAILED, 2 failed: a, b; 3 passed (0 s)\n\n45 passed, 2 failed"),
            "{report}"
        );
    }

    #[test]
    fn nothing_run_is_nothing_passed() {
        assert!(!Report::new(false).passed());
    }
}
