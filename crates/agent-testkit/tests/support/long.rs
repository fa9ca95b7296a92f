//! Repetitions of a test: a few, or as many as `cargo xtask test --long` requires.

use std::io::Write;

/// Set to `1` for the full number.
const VARIABLE: &str = "AGENT_TEST_LONG";

/// The full number, or the short one, which is reported on a line of its own.
///
/// # Panics
/// If the short number is not smaller.
pub(crate) fn times<T: PartialOrd + std::fmt::Display>(what: &str, short: T, full: T) -> T {
    assert!(short < full, "{short} of {full} {what}");
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "1") {
        return full;
    }
    // Past the test harness, which would show it for failed tests only.
    let line = format!("shortened: {short} of {full} {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    short
}
