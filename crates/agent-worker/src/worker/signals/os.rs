//! The operating system's signals: SIGTERM, SIGINT, SIGTSTP and SIGCONT on Unix, Ctrl-C on Windows.

use std::future;
use std::io;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "there are fewer signals elsewhere"))]
pub(super) enum OsSignal {
    Stop,
    Quiet,
    Undrain,
}

#[cfg(unix)]
pub(super) struct OsSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// SIGTSTP and SIGCONT. In a terminal they are Ctrl-Z and what follows it, and suspend the program.
    quiet: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

#[cfg(unix)]
impl OsSignals {
    pub(super) fn listen() -> io::Result<Self> {
        use std::io::IsTerminal;

        use nix::sys::signal::Signal;
        use tokio::signal::unix::{SignalKind, signal};

        let other = |of: Signal| signal(SignalKind::from_raw(of as i32));
        let quiet = match io::stdin().is_terminal() {
            true => None,
            false => Some((other(Signal::SIGTSTP)?, other(Signal::SIGCONT)?)),
        };
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, quiet })
    }

    pub(super) async fn next(&mut self) -> OsSignal {
        let Self { terminate, interrupt, quiet } = self;
        let quiet = async {
            let Some((quiet, undrain)) = quiet else { return future::pending().await };
            tokio::select! {
                signal = quiet.recv() => signal.map(|()| OsSignal::Quiet),
                signal = undrain.recv() => signal.map(|()| OsSignal::Undrain),
            }
        };
        let signal = tokio::select! {
            signal = terminate.recv() => signal.map(|()| OsSignal::Stop),
            signal = interrupt.recv() => signal.map(|()| OsSignal::Stop),
            signal = quiet => signal,
        };
        never_without(signal).await
    }
}

#[cfg(windows)]
pub(super) struct OsSignals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl OsSignals {
    pub(super) fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    pub(super) async fn next(&mut self) -> OsSignal {
        let signal = self.0.recv().await;
        never_without(signal.map(|()| OsSignal::Stop)).await
    }
}

#[cfg(not(any(unix, windows)))]
pub(super) struct OsSignals;

#[cfg(not(any(unix, windows)))]
impl OsSignals {
    pub(super) fn listen() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) async fn next(&mut self) -> OsSignal {
        never_without(None).await
    }
}

/// After `None` no signal arrives any more.
async fn never_without(signal: Option<OsSignal>) -> OsSignal {
    match signal {
        Some(signal) => signal,
        None => future::pending().await,
    }
}
