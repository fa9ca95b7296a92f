//! Sizes that programs compute.

use std::ops::RangeInclusive;

/// The nearest size within the range: a program that computes its sizes does not end over one, but is not
/// left in the dark either.
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
