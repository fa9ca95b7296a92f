//! Processor time and memory in use, as Linux reports them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use agent_core::{LoadMeter, ProcessorUse, Time};

use crate::load::cgroup::{Groups, field};

/// The unit of `/proc/stat` and of the times of a process, in milliseconds, on every architecture.
const TICK_MILLIS: u64 = 10;

/// The processor time that this process may use, and how much of it is in use.
pub(super) struct Processors {
    root: PathBuf,
    groups: Groups,
    of_process: bool,
    used: ProcessorUse,
    /// Whose counter was read last.
    counted: Option<Counted>,
}

/// What a counter is of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Counted {
    Group(PathBuf),
    Process,
    Machine,
}

/// A counter of processor time, and how many processors it is of.
struct Reading {
    counted: Counted,
    used: Duration,
    processors: f32,
}

impl Processors {
    /// Below this root directory.
    pub(super) fn find(root: &Path, of_process: bool) -> io::Result<Self> {
        machine(root)?;
        let (root, groups) = (root.to_owned(), Groups::of(root, "cpu"));
        Ok(Self { root, groups, of_process, used: ProcessorUse::default(), counted: None })
    }

    /// The share in use since the last call.
    pub(super) fn share(&mut self, now: Time) -> Option<f32> {
        // A limit may be changed while the program runs.
        let Reading { counted, used, processors } = self.read()?;
        if self.counted.as_ref() != Some(&counted) {
            self.used = ProcessorUse::default();
            self.counted = Some(counted);
        }
        self.used.share(used, processors, now)
    }

    fn read(&self) -> Option<Reading> {
        let (all, busy) = machine(&self.root).ok()?;
        let quota = self.groups.processors().filter(|(quota, _)| *quota < all);
        if self.of_process {
            let processors = quota.map_or(all, |(quota, _)| quota);
            return Some(Reading { counted: Counted::Process, used: process(&self.root)?, processors });
        }
        let Some((quota, dir)) = quota else {
            return Some(Reading { counted: Counted::Machine, used: busy, processors: all });
        };
        Some(match self.groups.processor_time(dir) {
            Some(used) => Reading { counted: Counted::Group(dir.to_owned()), used, processors: quota },
            // Version 1 may count it elsewhere. A container seldom has another program.
            None => Reading { counted: Counted::Process, used: process(&self.root)?, processors: quota },
        })
    }
}

/// The memory that this process may use, and how much of it is in use.
pub(super) struct Memory {
    root: PathBuf,
    groups: Groups,
}

impl Memory {
    /// Below this root directory.
    pub(super) fn find(root: &Path) -> io::Result<Self> {
        let found = Self { root: root.to_owned(), groups: Groups::of(root, "memory") };
        fs::read_to_string(root.join("proc/meminfo"))?;
        Ok(found)
    }

    /// The largest share of a limit in use.
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more precision")]
    pub(super) fn share(&self) -> Option<f32> {
        let share = |used: u64, limit: u64| used as f32 / limit as f32;
        let machine = fs::read_to_string(self.root.join("proc/meminfo")).ok().and_then(|text| {
            let (total, free) = (field(&text, "MemTotal:")?, field(&text, "MemAvailable:")?);
            (total > 0).then(|| share(total.saturating_sub(free), total))
        });
        let groups = self.groups.memory().map(|memory| share(memory.used, memory.limit));
        groups.chain(machine).reduce(f32::max)
    }
}

/// A function that measures at each call.
pub(super) fn sampled(
    meter: LoadMeter,
    measure: impl FnMut(Time) -> Option<f32> + Send + 'static,
) -> impl Fn() -> f32 + Send + Sync + 'static {
    let started = Instant::now();
    let state = Mutex::new((meter, measure));
    move || {
        let now = Time::ZERO + started.elapsed();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (meter, measure) = &mut *state;
        let share = measure(now);
        meter.measured(share, now)
    }
}

/// The number of processors, and the time for which they were busy.
#[allow(clippy::cast_precision_loss, reason = "a number of processors is small")]
fn machine(root: &Path) -> io::Result<(f32, Duration)> {
    let text = fs::read_to_string(root.join("proc/stat"))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("cpu"));
    let (of_all, of_each): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with(' '));
    // user, nice, system, idle, iowait, irq, softirq, steal; those of guests are in the first two.
    let ticks: Vec<u64> = of_all
        .iter()
        .flat_map(|line| line.split_whitespace())
        .take(8)
        .map_while(|n| n.parse().ok())
        .collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let busy = ticks.iter().sum::<u64>() - idle;
    if of_each.is_empty() || ticks.len() < 4 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "/proc/stat does not list processors"));
    }
    Ok((of_each.len() as f32, in_ticks(busy)))
}

/// The processor time of this process.
fn process(root: &Path) -> Option<Duration> {
    let text = fs::read_to_string(root.join("proc/self/stat")).ok()?;
    // The name of the program, in parentheses, may contain anything.
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(in_ticks(user.saturating_add(system)))
}

const fn in_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(TICK_MILLIS))
}
