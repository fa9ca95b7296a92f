//! The operating system's signals: SIGTERM and SIGINT on Unix, Ctrl-C on Windows.

use std::future;
use std::io;

#[cfg(unix)]
pub(super) struct OsSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl OsSignals {
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        let signal = tokio::select! {
            signal = self.terminate.recv() => signal,
            signal = self.interrupt.recv() => signal,
        };
        never_without(signal).await;
    }
}

#[cfg(windows)]
pub(super) struct OsSignals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl OsSignals {
    pub(super) fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    pub(super) async fn next(&mut self) {
        let signal = self.0.recv().await;
        never_without(signal).await;
    }
}

#[cfg(not(any(unix, windows)))]
pub(super) struct OsSignals;

#[cfg(not(any(unix, windows)))]
impl OsSignals {
    pub(super) fn listen() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) async fn next(&mut self) {
        never_without(None).await;
    }
}

/// After `None` no signal arrives any more.
async fn never_without(signal: Option<()>) {
    if signal.is_none() {
        future::pending::<()>().await;
    }
}
