//! The process's limit of file descriptors: raised to the maximum, and checked against `max_jobs`.
//!
//! The usual soft limit (1,024, or 256) is for programs that use `select`, and some hundred jobs reach it;
//! the hard limit is what the system really allows.

use std::sync::atomic::{AtomicUsize, Ordering};

use agent_core::DescriptorBudget;

/// A joined room has a WebSocket and a UDP socket, perhaps a TCP connection, and one of them twice while it
/// is replaced.
pub(crate) const PER_JOB: usize = 4;

/// Jobs of all workers of this process that use descriptors.
static JOBS: AtomicUsize = AtomicUsize::new(0);

/// One worker's share of the process's jobs.
#[derive(Default)]
pub(crate) struct Share(usize);

impl Share {
    /// Sets the number of this worker's jobs, and returns that of all others.
    pub(crate) fn update(&mut self, jobs: usize) -> usize {
        let before = if jobs >= self.0 {
            JOBS.fetch_add(jobs - self.0, Ordering::Relaxed)
        } else {
            JOBS.fetch_sub(self.0 - jobs, Ordering::Relaxed)
        };
        let others = before.saturating_sub(self.0);
        self.0 = jobs;
        others
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.update(0);
    }
}

/// Raises the limit of this process to the maximum, and warns if that is not enough for `max_jobs`. `None`:
/// there is no limit.
pub(crate) fn prepare(max_jobs: usize, per_job: usize) -> Option<DescriptorBudget> {
    let found = budget(per_job)?;
    if let Some(warning) = warning(max_jobs, found) {
        tracing::warn!("{}", agent_proto::text::line(warning));
    }
    Some(found)
}

/// Raises the limit of this process to the maximum, and returns what it is enough for. `None`: there is no
/// limit.
pub(crate) fn budget(per_job: usize) -> Option<DescriptorBudget> {
    let limit = usize::try_from(raise()?).unwrap_or(usize::MAX);
    Some(DescriptorBudget { limit, open: open(), per_job })
}

/// Raises the soft limit, and returns the result; `None`: there is no limit.
#[cfg(unix)]
fn raise() -> Option<nix::libc::rlim_t> {
    use nix::sys::resource::Resource::RLIMIT_NOFILE;
    use nix::sys::resource::{getrlimit, setrlimit};

    // Reading fails only if the limit does not exist.
    let (current, maximum) = getrlimit(RLIMIT_NOFILE).ok()?;
    let limit = |limit| (limit != nix::libc::RLIM_INFINITY).then_some(limit);
    if current == maximum {
        return limit(current);
    }
    match setrlimit(RLIMIT_NOFILE, maximum, maximum) {
        Ok(()) => limit(maximum),
        // macOS enforces a lower limit than the unlimited one that it reports.
        Err(error) => {
            tracing::debug!(error = %agent_proto::text::line(error), "could not raise the limit of open files");
            limit(current)
        }
    }
}

#[cfg(not(unix))]
fn raise() -> Option<u64> {
    None
}

/// Number of open descriptors; where the system does not list them, that of an ordinary program.
fn open() -> usize {
    const ORDINARY: usize = 16;
    std::fs::read_dir("/dev/fd").map_or(ORDINARY, Iterator::count)
}

/// The warning if the limit is too low for `max_jobs`.
pub(crate) fn warning(max_jobs: usize, found: DescriptorBudget) -> Option<String> {
    let fit = found.jobs();
    if fit >= max_jobs {
        return None;
    }
    let (limit, needed) = (found.limit, found.limit_for(max_jobs));
    Some(format!(
        "`max_jobs` is {max_jobs}, but the limit of open files ({limit}) is enough for {fit} jobs only, so the worker accepts at most \
         {fit}: raise the hard limit to {needed} (`ulimit -n {needed}`, or `LimitNOFILE={needed}` in a systemd unit), or lower \
         `max_jobs`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_reported_with_the_remedy() {
        let found = |limit| DescriptorBudget { limit, open: 12, per_job: PER_JOB };
        assert_eq!(
            warning(1000, found(1024)).as_deref(),
            Some(
                "`max_jobs` is 1000, but the limit of open files (1024) is enough for 236 jobs only, so the worker accepts at most \
         236: raise the hard limit to 4080 (`ulimit -n 4080`, or `LimitNOFILE=4080` in a systemd unit), or lower \
                 `max_jobs`"
            )
        );
        assert_eq!(warning(236, found(1024)), None);
        assert!(warning(237, found(1024)).is_some());
        assert!(warning(1, found(3)).unwrap().contains("enough for 0 jobs only"));
        assert!(warning(usize::MAX, found(1024)).is_some());
        assert_eq!(
            warning(usize::MAX, DescriptorBudget { per_job: 0, ..found(1024) }),
            None,
            "rooms without sockets"
        );
    }
}
