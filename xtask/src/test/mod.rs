//! `cargo xtask test`: every ring of tests that this machine's tools allow, and one summary line for each.
//!
//! Quick checks come first, then the test programs are built. Those without real tools run first; beside those with them, which mostly
//! wait, the other checks run at the lowest priority; what must not be disturbed runs at the end.

mod cargo;
mod outcome;
mod process;
mod programs;
mod report;
mod rings;
mod runner;
mod settings;
mod targets;
mod tools;

use anyhow::{Result, bail};
use outcome::Outcome;
use programs::{Part, Program};
use report::{Report, of_programs};
use rings::{Check, Ring, Run};
use runner::{Ran, Width};
use settings::Settings;
use std::time::{Duration, Instant};

/// Runs the rings that are named, or all of them; whether every one passed.
pub(crate) fn run(names: &[&str], long: bool, strict: bool) -> Result<bool> {
    let known: Vec<&str> = rings::RINGS.iter().map(|ring| ring.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no ring {unknown:?}: {}", known.join(", "));
    }
    let chosen = rings::RINGS.iter().filter(|ring| names.is_empty() || names.contains(&ring.name));
    let settings = Settings { strict, long, beside: false };
    let mut report = Report::new(strict);
    let (mut suites, mut beside) = (Vec::new(), Vec::new());
    for ring in chosen {
        match ring.run {
            Run::First(check) => checked(ring, check, settings).add_to(&mut report),
            Run::Beside(check) => beside.push((ring, check)),
            Run::Programs { real } => match (ring.missing)(strict) {
                Some(why) => report.add(ring.title, Outcome::Skipped(why), Duration::ZERO),
                None => suites.push(Suite { title: ring.title, real, took: Duration::ZERO }),
            },
        }
    }
    if !suites.is_empty() {
        run_suites(&mut suites, &mut beside, settings, &mut report)?;
    }
    // There was nothing to wait for.
    for (ring, check) in beside {
        checked(ring, check, settings).add_to(&mut report);
    }
    println!("{report}");
    Ok(report.passed())
}

/// A line for each ring, for the usage text.
pub(crate) fn list() -> String {
    rings::RINGS.iter().map(|ring| format!("    {:<10} {}\n", ring.name, ring.title)).collect()
}

/// What a ring found, and how long it took.
struct Found(&'static str, Outcome, Duration);

impl Found {
    fn add_to(self, report: &mut Report) {
        report.add(self.0, self.1, self.2);
    }
}

fn checked(ring: &Ring, check: Check, settings: Settings) -> Found {
    if !settings.beside {
        println!("\n== {} ==", ring.title);
    }
    let start = Instant::now();
    let outcome = match (ring.missing)(settings.strict) {
        Some(why) => Outcome::Skipped(why),
        None => check(settings).unwrap_or_else(|error| Outcome::failed(format!("{error:#}"))),
    };
    let found = Found(ring.title, outcome, start.elapsed());
    if settings.beside {
        println!("beside them: {}: {} ({} s)", found.0, found.1, found.2.as_secs());
    }
    found
}

fn all_checked(checks: Vec<(&Ring, Check)>, settings: Settings) -> Vec<Found> {
    checks.into_iter().map(|(ring, check)| checked(ring, check, settings)).collect()
}

/// A ring of test programs.
struct Suite {
    title: &'static str,
    /// Those with real tools.
    real: bool,
    took: Duration,
}

/// Builds and runs the test programs, and beside those with real tools the other checks, which are taken from the list then.
fn run_suites(
    suites: &mut [Suite],
    beside: &mut Vec<(&'static Ring, Check)>,
    settings: Settings,
    report: &mut Report,
) -> Result<()> {
    println!("\n== build ==");
    let start = Instant::now();
    let has = |real| suites.iter().any(|suite| suite.real == real);
    let Some(programs) = programs::build(has(false), has(true), settings)? else {
        report.add("build", Outcome::failed("see above"), start.elapsed());
        return Ok(());
    };
    report.add("build", Outcome::Ok, start.elapsed());

    println!("\n== tests ==");
    let (count, mut ended) = (programs.len(), 0);
    let mut show = |ran: &Ran| {
        ended += 1;
        println!("[{ended:>2}/{count}] {ran}");
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ran = Vec::new();
    for part in [Part::Plain, Part::Real, Part::Alone] {
        let of_part: Vec<Program> = programs.iter().filter(|p| p.part == part).cloned().collect();
        if of_part.is_empty() {
            continue;
        }
        let has = |real| of_part.iter().any(|program| program.real == real);
        let chosen = suites.iter_mut().filter(|suite| has(suite.real)).collect::<Vec<_>>();
        let checks = if part == Part::Real { std::mem::take(beside) } else { Vec::new() };
        let found = std::thread::scope(|scope| {
            let checks = scope.spawn(move || all_checked(checks, Settings { beside: true, ..settings }));
            let start = Instant::now();
            ran.extend(runner::run_programs(of_part, width(part, cores), settings, &mut show));
            chosen.into_iter().for_each(|suite| suite.took += start.elapsed());
            checks.join()
        });
        let Ok(found) = found else { bail!("a check beside the tests has panicked") };
        found.into_iter().for_each(|found| found.add_to(report));
    }
    for suite in suites {
        let outcome = of_programs(ran.iter().filter(|ran| ran.real == suite.real));
        report.add(suite.title, outcome, suite.took);
    }
    report.add_programs(ran);
    Ok(())
}

/// Tests with real tools mostly wait and leave the processor to others; but they have limits in time, and each has a server of its own.
fn width(part: Part, cores: usize) -> Width {
    match part {
        Part::Plain => Width { programs: cores, tests: cores },
        Part::Real => Width { programs: cores.min(4), tests: (2 * cores).min(8) },
        Part::Alone => Width { programs: 1, tests: cores },
    }
}
