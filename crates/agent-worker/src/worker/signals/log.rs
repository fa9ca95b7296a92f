//! Log lines that must not delay the end of the process, and ending it.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{Dispatch, Span};

/// Time limit of the last log line before the end of the process, as the log's reader may have stopped
/// reading.
pub(super) const LOG_TIME: Duration = Duration::from_millis(500);

/// Ends the process, after a last log line with the reason.
pub(crate) fn exit(code: u8, why: String) -> ! {
    Log::here().exit(code, why)
}

/// The subscriber and span of the program's log.
#[derive(Clone)]
pub(super) struct Log {
    dispatch: Dispatch,
    span: Span,
}

impl Log {
    /// The log of the caller.
    pub(super) fn here() -> Self {
        Self { dispatch: tracing::dispatcher::get_default(Clone::clone), span: Span::current() }
    }

    pub(super) fn info(&self, line: &'static str) -> Receiver<()> {
        self.write(move || tracing::info!("{line}"))
    }

    pub(super) fn exit(&self, code: u8, why: String) -> ! {
        let written = self.write(move || {
            tracing::error!(code, "{why}");
            if !tracing::dispatcher::has_been_set() {
                // As the error that `main` would have returned.
                let _ = writeln!(io::stderr(), "Error: {why}");
            }
        });
        let _ = written.recv_timeout(LOG_TIME);
        std::process::exit(code.into())
    }

    /// Writes on its own thread, since writing may block, and signals when it is done.
    fn write(&self, line: impl FnOnce() + Send + 'static) -> Receiver<()> {
        let Self { dispatch, span } = self.clone();
        let (done, written) = sync_channel(1);
        let write = move || {
            tracing::dispatcher::with_default(&dispatch, || span.in_scope(line));
            let _ = done.send(());
        };
        // Without a thread nothing is logged.
        drop(thread::Builder::new().name("signals-log".to_owned()).spawn(write));
        written
    }
}
