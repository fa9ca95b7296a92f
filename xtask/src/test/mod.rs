//! `cargo xtask test`: every ring of tests that this machine's tools allow, and one summary line for each.

mod cargo;
mod report;
mod rings;
mod tools;

use anyhow::{Result, bail};
use report::{Outcome, Report};
use std::time::Instant;

/// Runs the rings that are named, or all of them; whether every one passed.
///
/// `strict` is for CI: a ring that cannot run is a failure, Cargo.lock must be up to date and no ring may hang.
pub(crate) fn run(names: &[&str], strict: bool) -> Result<bool> {
    let known: Vec<&str> = rings::RINGS.iter().map(|ring| ring.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no ring {unknown:?}: {}", known.join(", "));
    }
    let mut report = Report::new(strict);
    for ring in rings::RINGS.iter().filter(|ring| names.is_empty() || names.contains(&ring.name)) {
        println!("\n== {} ==", ring.title);
        let start = Instant::now();
        let outcome = match (ring.missing)(strict) {
            Some(why) => Outcome::Skipped(why),
            None => (ring.run)(strict).unwrap_or_else(|error| Outcome::failed(format!("{error:#}"))),
        };
        report.add(ring.title, outcome, start.elapsed());
    }
    println!("\n{report}");
    Ok(report.passed())
}

/// A line for each ring, for the usage text.
pub(crate) fn list() -> String {
    rings::RINGS.iter().map(|ring| format!("    {:<10} {}\n", ring.name, ring.title)).collect()
}
