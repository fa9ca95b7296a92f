//! The memory of the process.

use tokio::sync::{Mutex, MutexGuard};

/// Measurements take place one after the other.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// Far above what a socket may hold, far below what is sent.
const ALLOWED: usize = 32 * 1024 * 1024;

pub(crate) struct Memory {
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Memory {
    pub(crate) async fn measure() -> Self {
        let alone = MEASURING.lock().await;
        Self { before: resident(), _alone: alone }
    }

    /// # Panics
    /// If more was added than any limit allows.
    pub(crate) fn check(&self, what: &str) {
        let grown = resident().saturating_sub(self.before);
        assert!(grown < ALLOWED, "{what}: {} MiB more than before", grown / 1024 / 1024);
    }
}

/// Bytes; zero where the system does not report them.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}
