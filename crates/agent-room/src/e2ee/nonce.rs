//! Nonces: with one key none may be used twice, by whomever.

use super::frame::NONCE_LEN;

/// Nonces that begin anywhere, by the random numbers of the system: many participants encrypt with one key.
#[derive(Debug)]
pub(super) struct Nonces {
    begin: [u8; NONCE_LEN - 4],
    next: u32,
}

impl Nonces {
    /// A new beginning. `None`: the system has no random numbers.
    pub(super) fn random() -> Option<Self> {
        let mut begin = [0; NONCE_LEN - 4];
        aws_lc_rs::rand::fill(&mut begin).ok()?;
        Some(Self { begin, next: 0 })
    }

    /// Another one. `None`: the system has no random numbers.
    pub(super) fn next(&mut self) -> Option<[u8; NONCE_LEN]> {
        let [a, b, c, d, e, f, g, h] = self.begin;
        let [i, j, k, l] = self.next.to_be_bytes();
        match self.next.checked_add(1) {
            Some(next) => self.next = next,
            None => *self = Self::random()?,
        }
        Some([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice() {
        let mut all = BTreeSet::new();
        let (mut first, mut second) = (Nonces::random().unwrap(), Nonces::random().unwrap());
        // One that is nearly used up.
        first.next = u32::MAX - 10;
        for _ in 0..100 {
            assert!(all.insert(first.next().unwrap()));
            assert!(all.insert(second.next().unwrap()));
        }
    }
}
