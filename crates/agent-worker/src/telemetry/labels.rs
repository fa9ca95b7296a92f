//! BoundedLabels from outside as label values: a bounded number of them, of a bounded length.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Different words that are kept; those after it are `other`.
pub(super) const MAX_LABELS: usize = 64;
/// The longest word, in bytes; a longer one is `other`.
pub(super) const MAX_LABEL_LEN: usize = 64;

pub(crate) const OTHER: &str = "other";

/// The words that were seen so far.
#[derive(Default)]
pub(crate) struct BoundedLabels {
    seen: BTreeSet<Cow<'static, str>>,
}

impl BoundedLabels {
    pub(crate) const fn new() -> Self {
        Self { seen: BTreeSet::new() }
    }

    /// A word, unless there are too many of them, or it is too long to be one.
    pub(crate) fn bounded(&mut self, word: Cow<'static, str>) -> Cow<'static, str> {
        if self.seen.contains(&word) {
            word
        } else if self.seen.len() < MAX_LABELS && word.len() <= MAX_LABEL_LEN {
            self.seen.insert(word.clone());
            word
        } else {
            Cow::Borrowed(OTHER)
        }
    }
}

/// The names that a program gives to what is not of one worker: pools, stages, handlers. One bounded set for
/// all of them.
pub(crate) fn process_label(word: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
    static WORDS: Mutex<BoundedLabels> = Mutex::new(BoundedLabels::new());
    WORDS.lock().unwrap_or_else(PoisonError::into_inner).bounded(word.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded() {
        let mut words = BoundedLabels::new();
        let mut word = |text: &str| words.bounded(Cow::Owned(text.to_owned())).into_owned();
        for n in 0..MAX_LABELS {
            assert_eq!(word(&format!("reason_{n}")), format!("reason_{n}"));
        }
        assert_eq!(word("one_too_many"), "other");
        assert_eq!(word("reason_3"), "reason_3", "a known one is still itself");
        assert_eq!(BoundedLabels::new().bounded("x".repeat(MAX_LABEL_LEN + 1).into()), "other");
    }
}
