//! Variables of the environment.

use std::env;

/// The value of a variable. What is no text in it becomes `\u{fffd}`, so that it is reported as a wrong value
/// and not taken for one that is not set.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}
