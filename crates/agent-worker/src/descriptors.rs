//! File descriptors: as many as the system allows, and a word when that is too few for the jobs that a worker may take.
//!
//! The usual soft limit (1,024, or 256) is for programs that use `select`, and some hundred jobs reach it; the hard limit is what
//! the system really allows.

/// A joined room has a WebSocket and a UDP socket, perhaps a TCP connection, and one of them twice while it is replaced.
pub(crate) const PER_JOB: usize = 4;
/// What a program has open besides its rooms: the worker's own connection, the runtime, standard streams, files of its own.
#[cfg(unix)]
const ASIDE: usize = 64;

/// Raises the limit of this process as far as it goes, and warns when that is not enough.
#[cfg(unix)]
pub(crate) fn prepare(max_jobs: usize, per_job: usize) {
    let Some(limit) = raise() else { return };
    if let Some(warning) = warning(max_jobs, per_job, limit) {
        tracing::warn!("{}", agent_proto::text::line(warning));
    }
}

#[cfg(not(unix))]
pub(crate) fn prepare(_: usize, _: usize) {}

/// The limit after it was raised; `None`: there is none.
#[cfg(unix)]
fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // macOS has a lower limit of its own behind an unlimited one.
        Err(error) => {
            tracing::debug!(error = %agent_proto::text::line(error), "the limit of open files could not be raised");
            current
        }
    }
}

/// What to say if so many jobs do not fit into so many open files.
#[cfg(unix)]
fn warning(max_jobs: usize, per_job: usize, limit: u64) -> Option<String> {
    let needed = max_jobs.saturating_mul(per_job).saturating_add(ASIDE);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if per_job == 0 || needed <= limit {
        return None;
    }
    let fit = limit.saturating_sub(ASIDE) / per_job;
    Some(format!(
        "`max_jobs` is {max_jobs}, but this process may have only {limit} files open, enough for some {fit} jobs: raise the hard limit \
         to {needed} (`ulimit -n {needed}`, or `LimitNOFILE={needed}` in a systemd unit), or lower `max_jobs`"
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_told_with_what_to_do() {
        assert_eq!(
            warning(1000, PER_JOB, 1024).as_deref(),
            Some(
                "`max_jobs` is 1000, but this process may have only 1024 files open, enough for some 240 jobs: raise the hard limit \
                 to 4064 (`ulimit -n 4064`, or `LimitNOFILE=4064` in a systemd unit), or lower `max_jobs`"
            )
        );
        assert_eq!(warning(240, PER_JOB, 1024), None);
        assert!(warning(241, PER_JOB, 1024).is_some());
        assert!(warning(1, PER_JOB, 3).unwrap().contains("enough for some 0 jobs"));
        assert!(warning(usize::MAX, PER_JOB, 1024).is_some());
        assert_eq!(warning(usize::MAX, 0, 1024), None, "rooms without sockets");
        assert_eq!(warning(usize::MAX, PER_JOB, u64::MAX), None, "no limit at all");
    }
}
