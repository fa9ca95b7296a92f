//! What other processes use, from `/proc`.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::usage::proportional_set;

/// Processor time is counted in hundredths of a second (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Whose use is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Process(u32),
    /// All processes of a group that run now, with the children that they have waited for.
    Group(u32),
}

impl Of {
    /// Memory in bytes, with shared pages counted in part, and the number of processes.
    pub(crate) fn memory(self) -> Result<(u64, usize)> {
        let pids = match self {
            Self::Process(pid) => vec![pid],
            Self::Group(group) => members(group)?.into_iter().map(|(pid, _)| pid).collect(),
        };
        let file = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
        let each: Vec<u64> = pids.iter().filter_map(|pid| proportional_set(&file(pid)?)).collect();
        ensure!(!each.is_empty(), "{self:?} is gone");
        Ok((each.iter().sum(), each.len()))
    }

    /// Processor time so far, user and system, in seconds.
    pub(crate) fn processor_seconds(self) -> Result<f64> {
        let ticks: u64 = match self {
            Self::Process(pid) => stat(pid).with_context(|| format!("process {pid} is gone"))?.ticks,
            Self::Group(group) => members(group)?.iter().map(|(_, stat)| stat.all_ticks).sum(),
        };
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&file).context(file.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    number.with_context(|| format!("{file} has no line \"VmRSS: N kB\""))
}

/// Processes that wait for a core, averaged over the last minute.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    ticks: u64,
    /// With those of its children that have ended.
    all_ticks: u64,
}

/// The processes of a group.
fn members(group: u32) -> Result<Vec<(u32, Stat)>> {
    let all = numbers(Path::new("/proc"))?.into_iter().filter_map(|pid| Some((pid, stat(pid)?)));
    Ok(all.filter(|(_, stat)| stat.group == group).collect())
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(text: &str) -> Option<Stat> {
    // The name is in parentheses, and may contain anything.
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)?;
    let group = u32::try_from(number(2)?).ok()?;
    Some(Stat { group, ticks, all_ticks: ticks + number(13)? + number(14)? })
}

fn numbers(folder: &Path) -> Result<Vec<u32>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc() {
        let line = "7 (a) b) S 1 5 7 0 -1 4194560 100 0 0 0 30 12 4 1 20 0 9 0 100 1 1\n";
        assert_eq!(parse(line), Some(Stat { group: 5, ticks: 42, all_ticks: 47 }));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        assert!(resident_kib(pid).unwrap() > 100.0);
        assert!(Of::Process(pid).processor_seconds().unwrap() >= 0.0);
        assert!(Of::Process(pid).memory().unwrap().0 > 100 << 10);
        assert!(Of::Process(u32::MAX).memory().is_err());
        assert!(Of::Process(u32::MAX).processor_seconds().is_err());
    }
}
