//! Lines of the log that must not hold up the end of the process, and that end.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{Dispatch, Span};

/// How long a last line of the log may hold up the end of the process: whoever reads the log may have stopped
/// doing so.
const LOG_TIME: Duration = Duration::from_millis(500);

/// Ends the process, after a last line in the log that says why.
pub(crate) fn exit(code: u8, why: String) -> ! {
    Log::here().exit(code, why)
}

/// Where the program logs.
#[derive(Clone)]
pub(super) struct Log {
    dispatch: Dispatch,
    span: Span,
}

impl Log {
    /// That of the caller.
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
                // A `main` that returned would have said it there.
                let _ = writeln!(io::stderr(), "Error: {why}");
            }
        });
        let _ = written.recv_timeout(LOG_TIME);
        std::process::exit(code.into())
    }

    /// Writes on a thread of its own, since that may block, and says when it is done.
    fn write(&self, line: impl FnOnce() + Send + 'static) -> Receiver<()> {
        let Self { dispatch, span } = self.clone();
        let (done, written) = sync_channel(1);
        let write = move || {
            tracing::dispatcher::with_default(&dispatch, || span.in_scope(line));
            let _ = done.send(());
        };
        // Without a thread there is no line.
        drop(thread::Builder::new().name("signals-log".to_owned()).spawn(write));
        written
    }
}
