//! Outcomes of tests and checks.

use std::fmt;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// Parses libtest's `test result: ok. 9 passed; 0 failed; 0 ignored; …`; other lines add nothing.
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

/// The outcome of one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A check without tests of its own succeeded.
    Ok,
    /// All of its tests passed.
    Passed(Counts),
    /// The reason, and the tests that ran.
    Failed(String, Counts),
    /// What is missing on this machine.
    Skipped(String),
}

impl Outcome {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into(), Counts::default())
    }

    /// The outcome of tests that ran: `clean` if cargo succeeded, `failures` names the failed tests.
    pub(super) fn of_tests(counts: Counts, clean: bool, failures: &[String]) -> Self {
        if !failures.is_empty() || counts.failed > 0 {
            let names =
                if failures.is_empty() { String::new() } else { format!(": {}", failures.join(", ")) };
            Self::Failed(format!("{} failed{names}", counts.failed), counts)
        } else if !clean {
            Self::Failed("did not build or was aborted".to_owned(), counts)
        } else if counts.passed == 0 {
            Self::Failed("no test ran".to_owned(), counts)
        } else if counts.ignored > 0 {
            // An ignored test proves nothing; missing tools are reported by the suite.
            Self::Failed(format!("{} ignored", counts.ignored), counts)
        } else {
            Self::Passed(counts)
        }
    }
}

/// The form in the summary.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => write!(f, "ok"),
            Self::Passed(counts) => write!(f, "{} passed", counts.passed),
            Self::Failed(why, counts) if counts.passed > 0 => {
                write!(f, "FAILED, {why}; {} passed", counts.passed)
            }
            Self::Failed(why, _) => write!(f, "FAILED, {why}"),
            Self::Skipped(why) => write!(f, "skipped, {why}"),
        }
    }
}

/// The name of the failed test in a line of libtest.
pub(super) fn failure(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
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
            "a test prints: test result: ok. 100 passed; 0 failed",
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
            (some(3, 0, 0), false, vec![], "did not build or was aborted"),
            (some(3, 2, 0), false, vec!["a::b".to_owned(), "c".to_owned()], "2 failed: a::b, c"),
        ] {
            assert_eq!(Outcome::of_tests(counts, clean, &failures), Outcome::Failed(why.to_owned(), counts));
        }
    }

    #[test]
    fn failures_are_named() {
        assert_eq!(failure("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failure("test src/lib.rs - f (line 3) ... FAILED"), Some("src/lib.rs - f (line 3)"));
        assert_eq!(failure("test a::b ... ok"), None);
        assert_eq!(failure("a::b ... FAILED"), None);
    }
}
