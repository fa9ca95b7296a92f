//! Nonces: with one key, no two frames of any participants may have the same.

use super::frame::NONCE_LEN;

/// The length of the counter at the end of a nonce.
const COUNTER_LEN: usize = 4;
/// Each byte of a counter has one of these values: 1 to 255.
const DIGITS: u32 = 255;
/// How many nonces have the same random prefix.
const COUNT: u32 = DIGITS.pow(COUNTER_LEN as u32);

/// Nonces with a random prefix of the system's random numbers, as many participants encrypt with one key.
///
/// No byte of them is 0, so that nothing is escaped in a nonce: receivers read it from the end of a frame
/// before they remove the escapes of H.264.
#[derive(Debug)]
pub(super) struct Nonces {
    begin: [u8; NONCE_LEN - COUNTER_LEN],
    next: u32,
}

impl Nonces {
    /// A new beginning. `None`: the system has no random numbers.
    pub(super) fn random() -> Option<Self> {
        let mut begin = [0; NONCE_LEN - COUNTER_LEN];
        while begin.contains(&0) {
            aws_lc_rs::rand::fill(&mut begin).ok()?;
        }
        Some(Self { begin, next: 0 })
    }

    /// Another one. `None`: the system has no random numbers.
    pub(super) fn next(&mut self) -> Option<[u8; NONCE_LEN]> {
        if self.next >= COUNT {
            *self = Self::random()?;
        }
        let [a, b, c, d, e, f, g, h] = self.begin;
        let digit = |place: u32| (self.next / DIGITS.pow(place) % DIGITS) as u8 + 1;
        let nonce = [a, b, c, d, e, f, g, h, digit(3), digit(2), digit(1), digit(0)];
        self.next += 1;
        Some(nonce)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_or_has_a_zero() {
        let mut all = BTreeSet::new();
        let (mut first, mut second) = (Nonces::random().unwrap(), Nonces::random().unwrap());
        // One that is nearly used up.
        first.next = COUNT - 10;
        for _ in 0..1_000 {
            for nonces in [&mut first, &mut second] {
                let nonce = nonces.next().unwrap();
                assert!(!nonce.contains(&0), "{nonce:?}");
                assert!(all.insert(nonce));
            }
        }
    }
}
