//! Panics of the user's code: their message and location.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

use agent_proto::text::line;

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

thread_local! {
    /// The message and location of this thread's last panic.
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Installs a panic hook that records the location of each panic, as only a hook receives it. It calls the
/// hook that was installed before; a program that sets its own hook later has no locations in its log.
pub(crate) fn record_locations() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let next = take_hook();
        set_hook(Box::new(move |info| {
            if let Some(place) = info.location() {
                let last = (text_of(info.payload()), place.to_string());
                let _ = LAST.try_with(|cell| cell.try_borrow_mut().map(|mut cell| *cell = Some(last)));
            }
            next(info);
        }));
    });
}

/// Reads a caught panic; to be called on the thread that caught it.
pub(crate) fn caught(panic: &(dyn Any + Send)) -> Caught {
    let original = text_of(panic);
    // A panic that was only resumed here, such as that of an awaited task, has no location: the recorded one
    // belongs to an older panic of this thread.
    let last = LAST.try_with(|cell| cell.try_borrow_mut().ok().and_then(|mut cell| cell.take()));
    let place = last.ok().flatten().filter(|(text, _)| *text == original).map(|(_, place)| place);
    Caught { message: redact::shown(original.clone()), original, place }
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

    fn of(panics: impl FnOnce()) -> Caught {
        let panic = catch_unwind(std::panic::AssertUnwindSafe(panics)).expect_err("it panics");
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
