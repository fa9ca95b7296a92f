//! A checksum of the outputs of all machines of a run, in order: two runs of a seed have the same one.

/// FNV-1a over words, which is fast and the same on every machine.
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    const PRIME: u64 = 0x0100_0000_01b3;

    pub(super) const fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(Self::PRIME);
        self.0 ^= self.0 >> 29;
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.number(u64::from(*byte));
        }
        self.number(bytes.len() as u64);
    }

    pub(super) const fn value(&self) -> u64 {
        self.0
    }
}
