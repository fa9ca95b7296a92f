//! The outcomes of the suites, and the summary at the end of the run.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use super::outcome::{Counts, Outcome};
use super::runner::Ran;

/// The outcome of all programs of a suite.
pub(super) fn of_programs<'a>(programs: impl Iterator<Item = &'a Ran>) -> Outcome {
    let (mut all, mut failures, mut whys) = (Counts::default(), Vec::new(), Vec::new());
    for ran in programs {
        match &ran.outcome {
            Outcome::Passed(counts) => all.add(*counts),
            Outcome::Failed(why, counts) => {
                all.add(*counts);
                failures.push(counts.failed.max(1));
                whys.push(format!("{}: {why}", ran.name));
            }
            Outcome::Ok | Outcome::Skipped(_) => {}
        }
    }
    if !whys.is_empty() {
        // A program that was aborted counts as one failure.
        all.failed = failures.iter().sum();
        Outcome::Failed(whys.join("; "), all)
    } else if all.passed == 0 {
        Outcome::failed("no test ran")
    } else {
        Outcome::Passed(all)
    }
}

/// The outcomes of a run.
pub(super) struct Report {
    strict: bool,
    suites: Vec<(&'static str, Outcome, Duration)>,
    programs: Vec<Ran>,
}

/// Number of slowest programs that are listed.
const SLOWEST: usize = 10;

impl Report {
    /// `strict`: a skipped suite is a failure.
    pub(super) fn new(strict: bool) -> Self {
        Self { strict, suites: Vec::new(), programs: Vec::new() }
    }

    /// Adds the outcome of a suite.
    pub(super) fn add(&mut self, title: &'static str, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Skipped(why) if self.strict => Outcome::failed(why),
            outcome => outcome,
        };
        self.suites.push((title, outcome, took));
    }

    /// Adds test programs for the lists about single programs: their tests are counted by their suite.
    pub(super) fn add_programs(&mut self, programs: Vec<Ran>) {
        self.programs.extend(programs);
    }

    /// Whether no suite failed, and at least one ran.
    pub(super) fn passed(&self) -> bool {
        let (passed, failed) = self.totals();
        passed > 0 && failed == 0
    }

    /// Tests and checks, where a check counts as one.
    fn totals(&self) -> (u32, u32) {
        self.suites.iter().fold((0, 0), |(passed, failed), (_, outcome, _)| match outcome {
            Outcome::Ok => (passed + 1, failed),
            Outcome::Passed(counts) => (passed + counts.passed, failed),
            Outcome::Failed(_, counts) => (passed + counts.passed, failed + counts.failed.max(1)),
            Outcome::Skipped(_) => (passed, failed),
        })
    }

    fn slowest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut programs: Vec<&Ran> = self.programs.iter().collect();
        programs.sort_by_key(|ran| Reverse(ran.took));
        programs.truncate(SLOWEST);
        if !programs.is_empty() {
            writeln!(f, "\nthe slowest test programs, each with the test that ended last:")?;
        }
        for ran in programs {
            let last = ran.last.as_deref().unwrap_or("no test");
            writeln!(f, "{:>7.1} s  {}: {last}", ran.took.as_secs_f64(), ran.name)?;
        }
        Ok(())
    }

    /// The suites and tests that did not run, and how to enable them.
    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suites = self.suites.iter().filter_map(|(title, outcome, _)| match outcome {
            Outcome::Skipped(why) => Some(format!("{title}: {why}")),
            _ => None,
        });
        let tests = |of: fn(&Ran) -> &Vec<String>| {
            self.programs
                .iter()
                .flat_map(move |ran| of(ran).iter().map(|what| format!("{}: {what}", ran.name)))
        };
        list(f, "skipped, and what would enable it:", suites.chain(tests(|ran| &ran.skipped)))?;
        list(f, "shortened; `cargo xtask test --long` runs all of it:", tests(|ran| &ran.shortened))
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        writeln!(f, "\n{title}")?;
    }
    lines.try_for_each(|line| writeln!(f, "  {line}"))
}

/// One line for each suite, the lists about programs, then the totals alone on a line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.slowest(f)?;
        self.left_out(f)?;
        writeln!(f)?;
        for (title, outcome, took) in &self.suites {
            match outcome {
                Outcome::Skipped(_) => writeln!(f, "{title}: {outcome}")?,
                _ => writeln!(f, "{title}: {outcome} ({} s)", took.as_secs())?,
            }
        }
        let (passed, failed) = self.totals();
        write!(f, "\n{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "\nskipped, and what would enable it:\n  real server: no Go toolchain\n
fmt: ok (1 s)\nunit: 41 passed (12 s)\nreal server: skipped, no Go toolchain\n\n42 passed, 0 failed"
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

    fn ran(name: &str, seconds: u64, outcome: Outcome) -> Ran {
        let last = Some(format!("last_of_{name}"));
        Ran::new(name, outcome, Duration::from_secs(seconds), last)
    }

    #[test]
    fn the_slowest_programs_and_their_shortened_tests_are_named() {
        let mut report = report(true);
        let passed = || Outcome::Passed(Counts { passed: 1, ..Counts::default() });
        let mut programs: Vec<Ran> = (1..=11).map(|n| ran(&format!("p{n}"), n, passed())).collect();
        programs[3].skipped.push("t, as there is no x (get x)".to_owned());
        programs[4].shortened.push("2 of 50 cuts".to_owned());
        report.add_programs(programs);
        let text = report.to_string();
        assert!(
            text.contains("test that ended last:\n   11.0 s  p11: last_of_p11\n   10.0 s  p10"),
            "{text}"
        );
        assert!(text.contains("p2:") && !text.contains("p1:"), "ten of them: {text}");
        assert!(text.contains("enable it:\n  p4: t, as there is no x (get x)\n"), "{text}");
        assert!(text.contains("runs all of it:\n  p5: 2 of 50 cuts\n"), "{text}");
    }

    #[test]
    fn a_suite_is_what_its_programs_are() {
        let some = |passed, failed| Counts { passed, failed, ignored: 0 };
        let good = ran("good", 1, Outcome::Passed(some(3, 0)));
        let empty = ran("empty", 1, Outcome::Passed(some(0, 0)));
        let bad = ran("bad", 1, Outcome::Failed("1 failed: a::b".to_owned(), some(2, 1)));
        let broken = ran("broken", 1, Outcome::Failed("aborted".to_owned(), some(0, 0)));
        assert_eq!(of_programs([&good, &empty].into_iter()), Outcome::Passed(some(3, 0)));
        assert_eq!(of_programs([&empty].into_iter()), Outcome::failed("no test ran"));
        let why = "bad: 1 failed: a::b; broken: aborted".to_owned();
        assert_eq!(of_programs([&good, &bad, &broken].into_iter()), Outcome::Failed(why, some(5, 2)));
    }

    #[test]
    fn nothing_run_is_nothing_passed() {
        assert!(!Report::new(false).passed());
    }
}
