//! Texts of others, made short enough to be shown.

/// What of a value is shown, in characters.
pub(crate) const MAX_VALUE: usize = 100;

/// At most so many characters.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}
