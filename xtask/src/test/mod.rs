//! `cargo xtask test`: every test suite that this machine's tools permit, with a summary line for each.
//!
//! Quick checks come first, then the test programs are built, with clippy as the compiler. Those without real
//! tools run first, then those with real tools, which mostly wait, then those that must not disturb others.
//! Beside them the other checks run with what they leave of the processor, in two rows, of which one begins
//! beside the build. Programs that must have the machine for themselves run at the end.

mod cargo;
mod features;
mod outcome;
mod process;
mod programs;
mod report;
mod runner;
mod settings;
mod static_build;
mod suites;
mod targets;
mod tools;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use outcome::Outcome;
use programs::{Part, Program};
use report::{Report, of_programs};
use runner::{Ran, Width};
use settings::Settings;
use suites::{Check, Run, Suite};

/// Runs the named suites, or all of them; returns whether all passed.
pub(crate) fn run(names: &[&str], long: bool, strict: bool) -> Result<bool> {
    let known: Vec<&str> = suites::SUITES.iter().map(|suite| suite.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("unknown suite {unknown:?}: choose from {}", known.join(", "));
    }
    let chosen = suites::SUITES.iter().filter(|suite| names.is_empty() || names.contains(&suite.name));
    let settings = Settings { strict, long, beside: false };
    let mut report = Report::new(strict);
    let (mut suites, mut rows) = (Vec::new(), Rows::default());
    for suite in chosen {
        match suite.run {
            Run::First(check) => checked(suite, check, settings).add_to(&mut report),
            Run::Long(_) if names.is_empty() && !long => {}
            Run::Beside(check) | Run::Long(check) => rows.beside.push((suite, check)),
            Run::Apart(check) => rows.apart.push((suite, check)),
            Run::Programs { real } => match (suite.missing)(strict) {
                Some(why) => report.add(suite.title, Outcome::Skipped(why), Duration::ZERO),
                None => suites.push(ProgramSuite { title: suite.title, real, took: Duration::ZERO }),
            },
        }
    }
    if suites.is_empty() {
        // There are no test programs to run beside.
        for (suite, check) in rows.beside.into_iter().chain(rows.apart) {
            checked(suite, check, settings).add_to(&mut report);
        }
    } else {
        run_suites(&mut suites, rows, settings, &mut report)?;
    }
    println!("{report}");
    Ok(report.passed())
}

/// A line for each suite, for the usage text.
pub(crate) fn list() -> String {
    suites::SUITES.iter().map(|suite| format!("    {:<10} {}\n", suite.name, suite.title)).collect()
}

/// A suite that is one check.
type Checked = (&'static Suite, Check);

/// The checks beside the test programs, one after another in each row.
#[derive(Default)]
struct Rows {
    beside: Vec<Checked>,
    apart: Vec<Checked>,
}

impl Rows {
    /// Runs all checks: those of the row `apart` beside the build and the tests, the others beside the tests.
    fn run_beside<B, T>(
        self,
        settings: Settings,
        build: impl FnOnce() -> B,
        tests: impl FnOnce(B) -> T,
    ) -> Result<(T, Vec<Found>)> {
        let settings = Settings { beside: true, ..settings };
        let (ran, rows) = std::thread::scope(|scope| {
            let apart = scope.spawn(move || all_checked(self.apart, settings));
            let built = build();
            let beside = scope.spawn(move || all_checked(self.beside, settings));
            (tests(built), [beside, apart].map(std::thread::ScopedJoinHandle::join))
        });
        let mut found = Vec::new();
        for row in rows {
            let Ok(row) = row else { bail!("a check beside the tests has panicked") };
            found.extend(row);
        }
        Ok((ran, found))
    }
}

/// The result of a suite, and its duration.
struct Found(&'static str, Outcome, Duration);

impl Found {
    fn add_to(self, report: &mut Report) {
        report.add(self.0, self.1, self.2);
    }
}

fn checked(suite: &Suite, check: Check, settings: Settings) -> Found {
    if !settings.beside {
        println!("\n== {} ==", suite.title);
    }
    let start = Instant::now();
    let outcome = match (suite.missing)(settings.strict) {
        Some(why) => Outcome::Skipped(why),
        None => check(settings).unwrap_or_else(|error| Outcome::failed(format!("{error:#}"))),
    };
    let found = Found(suite.title, outcome, start.elapsed());
    if settings.beside {
        println!("beside them: {}: {} ({} s)", found.0, found.1, found.2.as_secs());
    }
    found
}

fn all_checked(checks: Vec<Checked>, settings: Settings) -> Vec<Found> {
    checks.into_iter().map(|(suite, check)| checked(suite, check, settings)).collect()
}

/// A suite of test programs.
struct ProgramSuite {
    title: &'static str,
    /// Whether they use real tools.
    real: bool,
    took: Duration,
}

/// The test programs of some suites.
struct Tests<'a> {
    suites: &'a mut [ProgramSuite],
    settings: Settings,
    build: Found,
    /// Empty if the build has failed.
    programs: Vec<Program>,
    ran: Vec<Ran>,
}

impl<'a> Tests<'a> {
    fn build(suites: &'a mut [ProgramSuite], settings: Settings) -> Result<Self> {
        println!("\n== build ==");
        let start = Instant::now();
        let has = |real| suites.iter().any(|suite| suite.real == real);
        let (outcome, programs) = match programs::build(has(false), has(true), settings)? {
            Some(programs) => {
                println!("\n== tests ==");
                (Outcome::Ok, programs)
            }
            None => (Outcome::failed("see above"), Vec::new()),
        };
        let build = Found("build", outcome, start.elapsed());
        Ok(Self { suites, settings, build, programs, ran: Vec::new() })
    }

    fn run(&mut self, part: Part) {
        let of_part: Vec<Program> = self.programs.iter().filter(|p| p.part == part).cloned().collect();
        let has = |real| of_part.iter().any(|program| program.real == real);
        let chosen: Vec<_> = self.suites.iter_mut().filter(|suite| has(suite.real)).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (start, count, mut ended) = (Instant::now(), self.programs.len(), self.ran.len());
        let show = |ran: &Ran| {
            ended += 1;
            println!("[{ended:>2}/{count}] {ran}");
        };
        self.ran.extend(runner::run_programs(of_part, width(part, cores), self.settings, show));
        chosen.into_iter().for_each(|suite| suite.took += start.elapsed());
    }

    fn add_to(self, report: &mut Report) {
        if self.build.1 == Outcome::Ok {
            for suite in self.suites {
                let outcome = of_programs(self.ran.iter().filter(|ran| ran.real == suite.real));
                report.add(suite.title, outcome, suite.took);
            }
        }
        report.add_programs(self.ran);
        self.build.add_to(report);
    }
}

/// Builds and runs the test programs, and beside them the other checks, even if the build fails.
fn run_suites(
    suites: &mut [ProgramSuite],
    rows: Rows,
    settings: Settings,
    report: &mut Report,
) -> Result<()> {
    let (tests, found) = rows.run_beside(
        settings,
        || Tests::build(suites, settings),
        |tests| {
            tests.map(|mut tests| {
                [Part::Plain, Part::Real, Part::Single].into_iter().for_each(|part| tests.run(part));
                tests
            })
        },
    )?;
    let mut tests = tests?;
    tests.run(Part::Alone);
    found.into_iter().for_each(|found| found.add_to(report));
    tests.add_to(report);
    Ok(())
}

/// Tests with real tools mostly wait and leave the processor to others; but they have timeouts, and each has
/// a server of its own.
fn width(part: Part, cores: usize) -> Width {
    match part {
        Part::Plain => Width { programs: cores, tests: cores },
        Part::Real => Width { programs: cores.min(4), tests: (2 * cores).min(8) },
        Part::Single | Part::Alone => Width { programs: 1, tests: cores },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// The two rows and the tests, each of which waits for the others.
    static ALL_RUN: Barrier = Barrier::new(3);

    static WAITS: Suite = Suite { name: "w", title: "waits", missing: |_| None, run: Run::Beside(waits) };
    static FAILS: Suite = Suite { name: "f", title: "fails", missing: |_| None, run: Run::Beside(fails) };

    fn waits(settings: Settings) -> Result<Outcome> {
        assert!(settings.beside);
        ALL_RUN.wait();
        Ok(Outcome::Ok)
    }

    fn fails(_: Settings) -> Result<Outcome> {
        bail!("no")
    }

    #[test]
    fn the_rows_run_beside_each_other_and_beside_the_tests() {
        let rows = Rows { beside: vec![(&WAITS, waits), (&FAILS, fails)], apart: vec![(&WAITS, waits)] };
        let settings = Settings { strict: false, long: false, beside: false };
        let (two, found) = rows.run_beside(settings, || 1, |built| (ALL_RUN.wait(), built + 1).1).unwrap();
        assert_eq!(two, 2);
        let found: Vec<_> = found.into_iter().map(|found| (found.0, found.1)).collect();
        assert_eq!(found, [("waits", Outcome::Ok), ("fails", Outcome::failed("no")), ("waits", Outcome::Ok)]);
    }

    /// A build that waits for a check would not end if the check waited for the build.
    #[test]
    fn one_row_begins_beside_the_build() {
        static BOTH: Barrier = Barrier::new(2);
        let check: Check = |_| {
            BOTH.wait();
            Ok(Outcome::Ok)
        };
        let rows = Rows { beside: Vec::new(), apart: vec![(&WAITS, check)] };
        let settings = Settings { strict: false, long: false, beside: false };
        let ((), found) = rows.run_beside(settings, || _ = BOTH.wait(), |()| ()).unwrap();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_check_that_panics_is_an_error() {
        let panics: Check = |_| panic!("as a test wants it");
        let rows = Rows { beside: Vec::new(), apart: vec![(&FAILS, panics)] };
        let settings = Settings { strict: false, long: false, beside: false };
        assert!(rows.run_beside(settings, || (), |()| ()).is_err());
    }
}
