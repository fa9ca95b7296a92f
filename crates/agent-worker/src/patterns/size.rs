//! Limits of computed sizes.

use std::ops::RangeInclusive;

/// Clamps a size to the range, with a warning: a program that computes a wrong size continues, but the log
/// shows it.
pub(super) fn in_range(what: &'static str, size: usize, range: RangeInclusive<usize>) -> usize {
    let nearest = size.clamp(*range.start(), *range.end());
    if nearest != size {
        tracing::warn!(
            "{what} must be from {} to {}: {nearest} is used instead of {size}",
            range.start(),
            range.end()
        );
    }
    nearest
}
