//! Random ids of streams and calls.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random UUID (version 4).
pub(crate) fn unique() -> String {
    // Two keys of the system's randomness for each.
    let half = || RandomState::new().build_hasher().finish();
    uuid(u128::from(half()) << 64 | u128::from(half()))
}

fn uuid(random: u128) -> String {
    let version = 4 << 76;
    let variant = 2 << 62;
    let bits = random & !(0xf << 76) & !(3 << 62) | version | variant;
    let part = |from: u32, digits: usize| {
        let mask = (1_u128 << (4 * digits)) - 1;
        format!("{:0digits$x}", bits >> from & mask)
    };
    [part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-4def-8123-456789abcdef");
    }

    #[test]
    fn ids_differ() {
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| unique()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
