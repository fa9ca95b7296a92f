//! Everything that is logged in this process, at every level and by every library, as one text.

use std::fmt::Write as _;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Only one can be installed in a process.
static TEXT: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

/// Logs everything from now on, whichever of the two facades a library uses.
///
/// # Panics
/// If it is called twice.
pub(crate) fn log_everything() {
    TEXT.set(Mutex::default()).expect("once per process");
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(|| Writer)
        .init();
    log::set_logger(&Logger).expect("once per process");
    log::set_max_level(log::LevelFilter::Trace);
}

/// The text so far.
pub(crate) fn text() -> String {
    String::from_utf8_lossy(&locked()).into_owned()
}

/// Checks that no secret is in the text so far, whichever way its bytes may be written.
///
/// # Panics
/// If one is, with the line that shows it.
pub(crate) fn assert_none_of(secrets: &[(&str, String)]) {
    let text = text();
    for (name, secret) in secrets {
        assert!(secret.len() >= 6, "{name} is too short to be searched for");
        for (form, written) in forms(secret) {
            let line = text.lines().find(|line| line.contains(&written));
            if let Some(line) = line {
                let at = line.find(&written).unwrap_or_default();
                let from = line.floor_char_boundary(at.saturating_sub(300));
                let to = line.floor_char_boundary(at + written.len());
                panic!("{name} is in the log ({form}): …{}", &line[from..to]);
            }
        }
    }
}

/// The ways in which a library may write bytes: as a text, as hexadecimal digits, as decimal numbers, as
/// Base64.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let hex = bytes.iter().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    });
    let list = format!("{bytes:?}");
    vec![
        ("as it is", secret.to_owned()),
        ("in upper case hex", hex.to_uppercase()),
        ("in hex", hex),
        ("as numbers", list.trim_matches(['[', ']']).to_owned()),
        ("in Base64", STANDARD.encode(bytes)),
        ("in Base64", STANDARD_NO_PAD.encode(bytes)),
        ("in Base64", URL_SAFE_NO_PAD.encode(bytes)),
    ]
}

fn locked() -> MutexGuard<'static, Vec<u8>> {
    TEXT.get().expect("log_everything() was called").lock().expect("nothing fails in between")
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}: {}\n", record.level(), record.target(), record.args());
        locked().extend_from_slice(line.as_bytes());
    }

    fn flush(&self) {}
}
