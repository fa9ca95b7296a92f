//! Label values from outside: bounded in number and length.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Maximum number of different values; further ones become `other`.
pub(super) const MAX_LABELS: usize = 64;
/// Maximum length of a value in bytes; a longer one becomes `other`.
pub(super) const MAX_LABEL_LEN: usize = 64;

/// The value for what is not kept.
pub(crate) const OTHER: &str = "other";

/// The values seen so far.
#[derive(Default)]
pub(crate) struct BoundedLabels {
    seen: BTreeSet<Cow<'static, str>>,
}

impl BoundedLabels {
    pub(crate) const fn new() -> Self {
        Self { seen: BTreeSet::new() }
    }

    /// Returns the value itself, or `other` if there are too many or it is too long.
    pub(crate) fn bounded(&mut self, value: Cow<'static, str>) -> Cow<'static, str> {
        if self.seen.contains(&value) {
            value
        } else if self.seen.len() < MAX_LABELS && value.len() <= MAX_LABEL_LEN {
            self.seen.insert(value.clone());
            value
        } else {
            Cow::Borrowed(OTHER)
        }
    }
}

/// Bounds the names that a program gives to pools, stages and handlers, which belong to no worker. The
/// process has one set for all of them.
pub(crate) fn process_label(name: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
    static LABELS: Mutex<BoundedLabels> = Mutex::new(BoundedLabels::new());
    LABELS.lock().unwrap_or_else(PoisonError::into_inner).bounded(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded() {
        let mut labels = BoundedLabels::new();
        let mut value = |text: &str| labels.bounded(Cow::Owned(text.to_owned())).into_owned();
        for n in 0..MAX_LABELS {
            assert_eq!(value(&format!("reason_{n}")), format!("reason_{n}"));
        }
        assert_eq!(value("one_too_many"), "other");
        assert_eq!(value("reason_3"), "reason_3", "a known value is kept");
        assert_eq!(BoundedLabels::new().bounded("x".repeat(MAX_LABEL_LEN + 1).into()), "other");
    }
}
