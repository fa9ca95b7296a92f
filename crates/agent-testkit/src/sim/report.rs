//! Many seeds, on all cores, and the sum of what they showed.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::check::{Check, Failure};
use super::fault::Fault;
use super::options::Options;
use super::run::{SimRun, run_seed};

/// One in this many seeds is run twice.
const REPEATED_SEEDS: u64 = 16;
/// The most failed seeds that are kept.
const MAX_FAILED: usize = 20;

/// The sum of many runs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SimReport {
    /// The number of seeds.
    pub seeds: u64,
    /// The number of events that were delivered to machines.
    pub events: u64,
    /// The number of jobs.
    pub jobs: u64,
    /// The fewest jobs of a seed.
    pub fewest_jobs: u64,
    /// The median of the events of a seed.
    pub median_events: u64,
    /// How long it took.
    pub time: Duration,
    /// The number of threads.
    pub threads: usize,
    /// The number of seeds that failed.
    pub failed: u64,
    /// The first of them, with what failed.
    pub failures: Vec<(u64, Failure)>,
    /// For each check: in how many seeds it was made, and how often in all.
    pub checks: Vec<(Check, u64, u64)>,
    /// For each kind of fault: in how many seeds it happened, and how often in all.
    pub faults: Vec<(Fault, u64, u64)>,
}

/// Runs the seeds from `from` on, `seeds` of them or as many as there is time for, on all cores.
///
/// ```
/// use agent_testkit::sim::{Options, run_seeds};
///
/// let report = run_seeds(0, 4, None, Options::default());
/// assert_eq!((report.seeds, report.failed), (4, 0), "{report}");
/// ```
#[must_use]
pub fn run_seeds(from: u64, seeds: u64, time: Option<Duration>, options: Options) -> SimReport {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut sum = Sum::default();
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds {
                break;
            }
            let seed = from.wrapping_add(number);
            let options = if seed.is_multiple_of(REPEATED_SEEDS) { options.run_again() } else { options };
            sum.add(run_seed(seed, options));
            if time.is_some_and(|time| began.elapsed() >= time) {
                stop.store(true, Ordering::Relaxed);
            }
        }
        sum
    };
    let sums: Vec<Sum> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    });
    let sum = sums.into_iter().fold(Sum::default(), Sum::and);
    sum.report(began.elapsed(), threads)
}

#[derive(Default)]
struct Sum {
    jobs: u64,
    fewest_jobs: Option<u64>,
    events: Vec<u64>,
    failed: u64,
    failures: Vec<(u64, Failure)>,
    checks: Vec<(u64, u64)>,
    faults: Vec<(u64, u64)>,
}

impl Sum {
    fn add(&mut self, run: SimRun) {
        self.jobs += run.jobs;
        self.fewest_jobs = Some(self.fewest_jobs.map_or(run.jobs, |fewest| fewest.min(run.jobs)));
        self.events.push(run.events);
        self.failed += u64::from(!run.failures.is_empty());
        add(&mut self.checks, &run.checked);
        add(&mut self.faults, &run.happened);
        if let Some(failure) = run.failures.into_iter().next()
            && self.failures.len() < MAX_FAILED
        {
            self.failures.push((run.seed, failure));
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.jobs += other.jobs;
        self.fewest_jobs = self.fewest_jobs.into_iter().chain(other.fewest_jobs).min();
        self.events.extend(other.events);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        sum(&mut self.checks, &other.checks);
        sum(&mut self.faults, &other.faults);
        self
    }

    fn report(mut self, time: Duration, threads: usize) -> SimReport {
        self.events.sort_unstable();
        self.failures.sort_by_key(|(seed, _)| *seed);
        self.failures.truncate(MAX_FAILED);
        let counts = |counts: &[(u64, u64)], at: usize| counts.get(at).copied().unwrap_or_default();
        SimReport {
            seeds: self.events.len() as u64,
            events: self.events.iter().sum(),
            jobs: self.jobs,
            fewest_jobs: self.fewest_jobs.unwrap_or_default(),
            median_events: self.events.get(self.events.len() / 2).copied().unwrap_or_default(),
            time,
            threads,
            failed: self.failed,
            failures: self.failures,
            checks: Check::ALL
                .into_iter()
                .map(|check| (check, counts(&self.checks, check as usize)))
                .map(|(check, (seeds, all))| (check, seeds, all))
                .collect(),
            faults: Fault::ALL
                .into_iter()
                .map(|fault| (fault, counts(&self.faults, fault as usize)))
                .map(|(fault, (seeds, all))| (fault, seeds, all))
                .collect(),
        }
    }
}

/// Adds the counts of one run.
fn add(sums: &mut Vec<(u64, u64)>, counts: &[u64]) {
    sums.resize(counts.len(), (0, 0));
    for ((seeds, all), count) in sums.iter_mut().zip(counts) {
        *seeds += u64::from(*count > 0);
        *all += count;
    }
}

fn sum(sums: &mut Vec<(u64, u64)>, others: &[(u64, u64)]) {
    sums.resize(sums.len().max(others.len()), (0, 0));
    for ((seeds, all), (other_seeds, other_all)) in sums.iter_mut().zip(others) {
        *seeds += other_seeds;
        *all += other_all;
    }
}

impl SimReport {
    /// Events per second and core.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn events_per_second(&self) -> f64 {
        let seconds = self.time.as_secs_f64() * self.threads.max(1) as f64;
        self.events as f64 / seconds.max(f64::MIN_POSITIVE)
    }

    /// The kinds of faults, and the checks, that occurred in less than one of a hundred seeds.
    #[must_use]
    pub fn rare(&self) -> Vec<String> {
        let rare = |seeds: u64| seeds * 100 < self.seeds;
        let checks =
            self.checks.iter().filter(|(_, seeds, _)| rare(*seeds)).map(|(check, ..)| check.to_string());
        let faults =
            self.faults.iter().filter(|(_, seeds, _)| rare(*seeds)).map(|(fault, ..)| fault.to_string());
        checks.chain(faults).collect()
    }
}

/// A table of the checks and faults; the last line is the sum.
impl fmt::Display for SimReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:>8} {:>14}", "check", "seeds", "times")?;
        for (check, seeds, all) in &self.checks {
            writeln!(f, "{:<28} {seeds:>8} {all:>14}", check.to_string())?;
        }
        writeln!(f, "{:<28} {:>8} {:>14}", "fault", "seeds", "times")?;
        for (fault, seeds, all) in &self.faults {
            writeln!(f, "{:<28} {seeds:>8} {all:>14}", fault.to_string())?;
        }
        for (seed, failure) in &self.failures {
            writeln!(f, "seed {seed}: {failure}\n  replay: cargo xtask replay {seed}")?;
        }
        write!(
            f,
            "{} seeds, {} jobs (at least {} each), {} events (median {} each), {:.0} events per second and core, \
             {} seeds failed",
            self.seeds,
            self.jobs,
            self.fewest_jobs,
            self.events,
            self.median_events,
            self.events_per_second(),
            self.failed
        )
    }
}
