//! What is logged on one thread, and so by everything on a current-thread runtime, as a program's standard
//! output would have it.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) struct CapturedLog {
    bytes: Bytes,
    _here: DefaultGuard,
}

impl CapturedLog {
    /// Everything that this thread logs, of this level and above, until it is dropped. The subscriber's own
    /// escaping is off.
    pub(crate) fn start(level: Level) -> Self {
        let bytes = Bytes::default();
        let writer = bytes.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_ansi_sanitization(false)
            .with_writer(move || writer.clone())
            .finish();
        Self { bytes, _here: subscribe(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        self.reader()()
    }

    /// Returns the text so far, also on other threads.
    pub(crate) fn reader(&self) -> impl Fn() -> String + Clone + Send + Sync + use<> {
        let bytes = self.bytes.clone();
        move || String::from_utf8(bytes.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that contain this text.
    pub(crate) fn lines_with(&self, what: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(what)).map(ToOwned::to_owned).collect()
    }

    /// Every line begins with a time, and none has a byte or a character that controls a terminal or its
    /// reader's eye.
    pub(crate) fn assert_clean(&self) {
        let text = self.text();
        for line in text.split_terminator('\n') {
            let (time, rest) = line.split_once("Z ").unwrap_or_else(|| panic!("no time: {line:?}"));
            let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(form, "0000-00-00T00:00:00.000000", "{line:?}");
            assert!(rest.trim_start().starts_with(|c: char| c.is_ascii_uppercase()), "no level: {line:?}");
            let bad = |c: &char| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            };
            assert_eq!(line.chars().find(bad), None, "{line:?}");
            assert!(line.len() < 20_000, "{} bytes: {line:.500}", line.len());
        }
    }
}

/// Passes what this thread logs to a subscriber while the guard lives.
pub(crate) fn subscribe(subscriber: impl Into<tracing::Dispatch>) -> DefaultGuard {
    // With a single subscriber, `tracing` caches whether a line is enabled by the thread that reaches it
    // first: a thread without a subscriber must not decide that for all.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(LevelFilter::OFF));
    tracing::dispatcher::set_default(&subscriber.into())
}
