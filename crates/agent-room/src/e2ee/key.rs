//! Keys, derived from what the participants of a room share.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::aead::{AES_128_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::{hkdf, pbkdf2};

/// The salt that LiveKit's SDKs use by default.
const DEFAULT_SALT: &[u8] = b"LKFrameEncryptionKey";
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);
/// Lengths in bytes: a key, and the material from which a ratchet derives the next one.
const KEY_LEN: usize = 16;
const MATERIAL_LEN: usize = 32;
/// The `info` parameter of HKDF in the JavaScript SDK.
const HKDF_INFO: [u8; 128] = [0; 128];

/// How a key is derived from a shared secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum KeyDerivation {
    /// PBKDF2-HMAC-SHA256 with 100,000 iterations: all SDKs use it for passphrases, and the native ones also
    /// for bytes. It takes some 50 ms of processor time.
    #[default]
    Pbkdf2,
    /// HKDF-SHA256, for random secrets: the JavaScript SDK uses it for an `ArrayBuffer`, and the native SDKs
    /// if their options select it.
    Hkdf,
}

/// A key of end-to-end encryption (AES-128-GCM), derived from a secret that the participants share by other
/// means. `Debug` does not show it.
///
/// ```
/// use agent_room::{E2eeKey, KeyDerivation};
///
/// // What `setKey("a passphrase")` is in the browser, and `set_shared_key(b"a passphrase", 0)` in Python.
/// let key = E2eeKey::new("a passphrase");
/// // Of 16 or more random bytes.
/// let random = E2eeKey::derive([7; 32], KeyDerivation::Hkdf, "LKFrameEncryptionKey");
/// assert_ne!(key, random);
/// ```
#[derive(Clone)]
pub struct E2eeKey {
    derivation: KeyDerivation,
    salt: Vec<u8>,
    /// What the next key is derived from.
    material: Vec<u8>,
    key: [u8; KEY_LEN],
}

impl E2eeKey {
    /// A key of a passphrase, as the other SDKs derive it by default. It takes some 50 ms of processor time.
    #[must_use]
    pub fn new(passphrase: impl AsRef<[u8]>) -> Self {
        Self::derive(passphrase, KeyDerivation::Pbkdf2, DEFAULT_SALT)
    }

    /// A key of a secret, with this derivation and salt (`ratchet_salt` of the other SDKs).
    #[must_use]
    pub fn derive(secret: impl AsRef<[u8]>, derivation: KeyDerivation, salt: impl AsRef<[u8]>) -> Self {
        let (material, salt) = (secret.as_ref().to_vec(), salt.as_ref().to_vec());
        let key = derived(derivation, &salt, &material);
        Self { derivation, salt, material, key }
    }

    /// The next key of the ratchet: it can be computed from this key, but this key not from it.
    #[must_use]
    pub fn ratcheted(&self) -> Self {
        let material: [u8; MATERIAL_LEN] = derived(self.derivation, &self.salt, &self.material);
        let key = derived(self.derivation, &self.salt, &material);
        Self { derivation: self.derivation, salt: self.salt.clone(), material: material.to_vec(), key }
    }

    /// The cipher with this key.
    pub(super) fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_128_GCM, &self.key).ok().map(LessSafeKey::new)
    }
}

impl PartialEq for E2eeKey {
    fn eq(&self, other: &Self) -> bool {
        // In constant time, as for any secret.
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.key, &other.key).is_ok()
            && self.derivation == other.derivation
            && self.salt == other.salt
    }
}

impl Eq for E2eeKey {}

impl fmt::Debug for E2eeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("E2eeKey").field("derivation", &self.derivation).finish_non_exhaustive()
    }
}

/// For recordings of a room, which hold keys in the clear, as they hold the token.
#[cfg(feature = "serde")]
mod recorded {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{E2eeKey, KeyDerivation};

    impl Serialize for E2eeKey {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (self.derivation, &self.salt, &self.material).serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for E2eeKey {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let (derivation, salt, material) =
                <(KeyDerivation, Vec<u8>, Vec<u8>)>::deserialize(deserializer)?;
            Ok(Self::derive(material, derivation, salt))
        }
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derived<const N: usize>(derivation: KeyDerivation, salt: &[u8], secret: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    match derivation {
        KeyDerivation::Pbkdf2 => {
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, secret, &mut out);
        }
        KeyDerivation::Hkdf => {
            let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
            let info = [&HKDF_INFO[..]];
            // It can fail only for lengths of over 8 KiB.
            let filled = extracted.expand(&info, Length(N)).and_then(|okm| okm.fill(&mut out));
            debug_assert!(filled.is_ok(), "HKDF of {N} bytes");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with the cryptography of Node.js.
    #[test]
    fn keys_are_those_of_the_other_sdks() {
        let key = E2eeKey::new("password");
        assert_eq!(key.key, hex("421890b1557504a8ea1a90c253b419e4"));
        let next = key.ratcheted();
        assert_eq!(
            next.material,
            hex::<32>("421890b1557504a8ea1a90c253b419e4e1a3a43283f7115909d6fce6926e5e5f")
        );
        assert_eq!(next.key, hex("9f3af7c94abca41d79f8c61e8dcff292"));
        let secret: [u8; 16] = hex("00112233445566778899aabbccddeeff");
        let key = E2eeKey::derive(secret, KeyDerivation::Hkdf, DEFAULT_SALT);
        assert_eq!(key.key, hex("ae3dba9b9c818276d652a110b821685d"));
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", E2eeKey::new("sesame"));
        assert_eq!(shown, "E2eeKey { derivation: Pbkdf2, .. }");
    }

    #[test]
    fn the_salt_counts() {
        let of = |salt: &str| E2eeKey::derive("secret", KeyDerivation::Hkdf, salt);
        assert_ne!(of("a"), of("b"));
        assert_eq!(of("a"), of("a"));
    }

    pub(crate) fn hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| {
            let digits = text.get(at * 2..at * 2 + 2).unwrap_or_default();
            u8::from_str_radix(digits, 16).unwrap_or_default()
        })
    }
}
