//! Panics of the user's code: their message and location.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_proto::text::line;

use crate::job::contain::is_contained;
use crate::worker::redact;

/// A caught panic; displayed with its location, on one line.
pub(crate) struct Caught {
    /// Its redacted message.
    pub(crate) message: String,
    /// Its message.
    pub(crate) original: String,
    /// `file:line:column`, if known.
    place: Option<String>,
}

/// The texts of panics after which the process is aborted, as the standard library has them.
const ABORTS: [&str; 2] = ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// Whether the hook of the standard library is not called for panics of jobs.
static SILENT: AtomicBool = AtomicBool::new(false);

/// A panic of this thread, as the hook has seen it.
struct Seen {
    text: String,
    place: String,
    /// Whether it was in code whose panics are caught.
    contained: bool,
}

thread_local! {
    /// This thread's last panic.
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// Installs a panic hook that records the location of each panic, as only a hook receives it.
///
/// It calls the hook that the program has installed before. The one of the standard library writes the text
/// as it is, unredacted and on several lines, so it is not called for [contained](super::contain) panics,
/// which are logged. Of these the hook writes only a backtrace, if `RUST_BACKTRACE` asks for one: no code of
/// the user, such as a redaction, may run in a hook, where a panic aborts the process. A program that sets
/// its own hook later has no locations in its log.
pub(crate) fn record_locations() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let next = take_hook();
        // From here on until ours is set there is the hook of the standard library.
        let is_default = is_same(&*next, &*take_hook());
        SILENT.store(is_default, Ordering::Relaxed);
        set_hook(Box::new(move |info| {
            let text = text_of(info.payload());
            let ends_process = ABORTS.contains(&&*text);
            let contained = !ends_process && is_contained();
            let is_silent = is_default && contained;
            if !is_silent {
                next(info);
            }
            let Some(place) = info.location() else { return };
            if is_silent {
                let backtrace = Backtrace::capture();
                if backtrace.status() == BacktraceStatus::Captured {
                    let _ = writeln!(std::io::stderr(), "a job panicked at {place}:\n{backtrace}");
                }
            }
            let seen = Seen { text, place: place.to_string(), contained };
            let last = LAST.try_with(|last| last.try_borrow_mut().ok()?.replace(seen));
            if is_default
                && ends_process
                && let Ok(Some(Seen { place, contained: true, .. })) = last
            {
                // No code runs any more that could log its text.
                let _ = writeln!(std::io::stderr(), "this follows a panic of a job at {place}");
            }
        }));
    });
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// Whether both are the same function without data. The standard library does not tell whether a hook is its
/// own; if this compares two of its own as different, its hook is called for all panics.
#[allow(ambiguous_wide_pointer_comparisons, reason = "a false negative only has a panic written twice")]
fn is_same(one: &Hook, other: &Hook) -> bool {
    size_of_val(one) == 0 && std::ptr::eq(one, other)
}

/// Reads a caught panic; to be called on the thread that caught it.
pub(crate) fn caught(panic: &(dyn Any + Send)) -> Caught {
    let original = text_of(panic);
    // A panic that was only resumed here, such as that of an awaited task, has no location: the recorded one
    // belongs to an older panic of this thread.
    let last = LAST.try_with(|cell| cell.try_borrow_mut().ok().and_then(|mut cell| cell.take()));
    let place = last.ok().flatten().filter(|seen| seen.text == original).map(|seen| seen.place);
    let caught = Caught { message: redact::shown(original.clone()), original, place };
    if SILENT.load(Ordering::Relaxed) && !tracing::dispatcher::has_been_set() {
        // A program without any log would hide it.
        let _ = writeln!(std::io::stderr(), "a job panicked: {caught}");
    }
    caught
}

/// Logs a caught panic of this part of the agent.
pub(crate) fn log_caught(what: &str, panic: &(dyn Any + Send)) {
    // Not in the macro, which evaluates nothing without a log.
    let caught = caught(panic);
    tracing::error!("{what} panicked: {caught}");
}

fn text_of(panic: &dyn Any) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(&self.message).fmt(f)?;
        match &self.place {
            Some(place) => write!(f, ", at {place}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, resume_unwind};

    use super::*;
    use crate::job::contain::contain_sync;

    fn of(panics: impl FnOnce()) -> Caught {
        let panic = contain_sync(panics).expect_err("it panics");
        caught(panic.as_ref())
    }

    #[test]
    fn a_panic_has_its_location_and_a_resumed_one_has_none() {
        record_locations();
        let shown = of(|| panic!("planted\n{}", 1)).to_string();
        assert!(shown.starts_with(r"planted\n1, at ") && shown.contains("panics.rs:"), "{shown}");
        let handled = catch_unwind(|| panic!("handled by its caller"));
        assert!(handled.is_err());
        assert_eq!(of(|| resume_unwind(Box::new("resumed"))).to_string(), "resumed");
        assert_eq!(of(|| resume_unwind(Box::new(1))).to_string(), "a panic without a text");
    }
}
