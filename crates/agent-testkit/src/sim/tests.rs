//! The simulator is tested itself: it is quiet without a bug, and finds each planted one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::planted::Bug;
use super::{Check, Fault, Options, run_seed, run_seeds};

/// How many seeds a bug may take.
const LIMIT: u64 = 1_000;
/// How many seeds are run at least, to see what else a bug breaks.
const LEAST: u64 = 12;

/// What one bug breaks.
struct Found {
    /// The number of seeds until its check failed.
    seeds: Option<u64>,
    /// In how many seeds each check failed.
    broken: BTreeMap<Check, u64>,
    /// The first failure of another check.
    other: Option<String>,
}

fn look_for(bug: Bug, check: Check) -> Found {
    let mut found = Found { seeds: None, broken: BTreeMap::new(), other: None };
    for seed in 0..LIMIT {
        let options = Options { bug: Some(bug), run_twice: check == Check::Repeatable, ..Options::default() };
        let failures = run_seed(seed, options).failures;
        if let Some(other) = failures.iter().find(|failure| failure.check != check) {
            found.other.get_or_insert_with(|| format!("seed {seed}: {other}"));
        }
        let broken: BTreeSet<Check> = failures.iter().map(|failure| failure.check).collect();
        if broken.contains(&check) {
            found.seeds.get_or_insert(seed + 1);
        }
        broken.into_iter().for_each(|check| *found.broken.entry(check).or_default() += 1);
        if found.seeds.is_some() && seed + 1 >= LEAST {
            break;
        }
    }
    found
}

/// Each bug is found within 1,000 seeds, and not at once; each check has a bug that only it finds.
#[test]
fn each_planted_bug_is_found_and_each_check_is_needed() {
    // Panics are expected, and shown in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((bug, check)) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = look_for(*bug, *check);
                    results.lock().unwrap().insert(format!("{bug:?}"), found);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let mut results = results.into_inner().unwrap();
    let (mut table, mut needed, mut seeds) = (String::new(), BTreeSet::new(), Vec::new());
    for (bug, check) in Bug::ALL {
        let Found { seeds: took, broken, other } = results.remove(&format!("{bug:?}")).unwrap();
        let shown = took.map_or_else(|| "-".to_owned(), |took| took.to_string());
        table += &format!(
            "{:<20} {:<22} {shown:>5} {broken:?} {}\n",
            format!("{bug:?}"),
            check.to_string(),
            other.unwrap_or_default()
        );
        if broken.keys().eq([&check]) {
            needed.insert(check);
        }
        seeds.push(took);
    }
    println!("{table}");
    assert!(seeds.iter().all(Option::is_some), "a bug was not found within {LIMIT} seeds:\n{table}");
    seeds.sort_unstable();
    assert!(seeds[seeds.len() / 2] > Some(1), "the median bug is found at once:\n{table}");
    let without: Vec<_> = Check::ALL.iter().filter(|check| !needed.contains(check)).collect();
    assert!(without.is_empty(), "no bug is found by these alone: {without:?}\n{table}");
}

#[test]
fn some_seeds_have_no_failure_and_are_not_empty() {
    let report = run_seeds(0, 48, None, Options::default());
    assert_eq!(report.failed, 0, "{report}");
    assert!(report.fewest_jobs >= 50 && report.median_events >= 500, "{report}");
}

/// One per fault that only many seeds found, in the machines and in the simulator (`RELIABILITY.md`).
#[test]
fn seeds_that_once_failed_do_not_fail() {
    for seed in [46_600, 50_761, 204_903] {
        let failures = run_seed(seed, Options::default()).failures;
        assert!(failures.is_empty(), "seed {seed}: {failures:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_whether_it_is_checked_or_recorded() {
    let plain = run_seed(3, Options::default());
    let recorded = run_seed(3, Options::default().recorded());
    let unchecked = run_seed(3, Options::default().unchecked());
    assert_eq!((plain.digest, plain.events), (recorded.digest, recorded.events));
    assert_eq!((plain.digest, plain.events), (unchecked.digest, unchecked.events));
    assert!(plain.timeline.is_empty() && recorded.timeline.len() > 500);
    assert_ne!(run_seed(4, Options::default()).digest, plain.digest);
}

#[test]
fn checks_and_faults_are_listed_in_their_order() {
    for (at, check) in Check::ALL.into_iter().enumerate() {
        assert_eq!(check as usize, at, "{check}");
    }
    for (at, fault) in Fault::ALL.into_iter().enumerate() {
        assert_eq!(fault as usize, at, "{fault}");
    }
}
