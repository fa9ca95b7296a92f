//! Resource usage of a process, and the clock that all processes of a machine share.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

/// Nanoseconds on the machine's monotonic clock, which is the same in every process.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::CLOCK_MONOTONIC))
}

/// Processor time, user and system, of all threads of this process, in nanoseconds.
pub(crate) fn processor_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID))
}

/// Memory of this process in bytes, with shared pages counted in part.
pub(crate) fn memory_bytes() -> Result<u64> {
    const FILE: &str = "/proc/self/smaps_rollup";
    let text = std::fs::read_to_string(FILE).context(FILE)?;
    proportional_set(&text).with_context(|| format!("{FILE} has no line \"Pss: N kB\""))
}

/// Resets the peak of this process's memory to its current use.
pub(crate) fn reset_peak() -> Result<()> {
    const FILE: &str = "/proc/self/clear_refs";
    std::fs::write(FILE, "5").context(FILE)
}

/// Peak memory of this process since [`reset_peak`], in bytes.
pub(crate) fn peak_bytes() -> Result<u64> {
    const FILE: &str = "/proc/self/status";
    let text = std::fs::read_to_string(FILE).context(FILE)?;
    of_line(&text, "VmHWM:").with_context(|| format!("{FILE} has no line \"VmHWM: N kB\""))
}

/// The memory in the content of `smaps_rollup`.
pub(crate) fn proportional_set(rollup: &str) -> Option<u64> {
    of_line(rollup, "Pss:")
}

fn of_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn nanoseconds(time: nix::Result<TimeSpec>) -> u64 {
    // These clocks exist, and count from the machine's or the process's start.
    let since = time.map(Duration::from).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let text = "5581-7ffe ---p 00000000 00:00 0    [rollup]\nRss:     900 kB\nPss:     884 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(proportional_set(text), Some(884 * 1024));
        assert_eq!(proportional_set("Rss: 900 kB\n"), None);
    }

    /// Allocated and touched memory is measured, and so is computation.
    #[test]
    fn use_is_seen() {
        let (memory, processor) = (memory_bytes().unwrap(), processor_ns());
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(memory_bytes().unwrap() >= memory + (60 << 20));
        drop(block);
        assert!(processor_ns() > processor);
    }
}
