//! Packets of data: their content is encrypted, without additional data.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use super::frame::NONCE_LEN;

/// Encrypts a serialised payload; returns the ciphertext with its tag.
pub(super) fn seal(payload: Vec<u8>, cipher: &LessSafeKey, nonce: [u8; NONCE_LEN]) -> Option<Vec<u8>> {
    let mut sealed = payload;
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).ok()?;
    Some(sealed)
}

/// Decrypts a payload. `None`: it was encrypted with another key, or changed.
pub(super) fn open(sealed: &[u8], cipher: &LessSafeKey, nonce: &[u8]) -> Option<Vec<u8>> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut opened = sealed.to_vec();
    let len = cipher.open_in_place(nonce, Aad::empty(), &mut opened).ok()?.len();
    opened.truncate(len);
    Some(opened)
}

#[cfg(test)]
mod tests {
    use super::super::key::E2eeKey;
    use super::*;

    #[test]
    fn a_payload_is_decrypted_with_its_key_only() {
        let cipher = E2eeKey::new("password").cipher().unwrap();
        let sealed = seal(b"text".to_vec(), &cipher, [3; 12]).unwrap();
        assert_eq!(sealed.len(), 4 + 16);
        assert_eq!(open(&sealed, &cipher, &[3; 12]).unwrap(), b"text");
        assert_eq!(open(&sealed, &cipher, &[4; 12]), None);
        assert_eq!(open(&sealed, &cipher, &[3; 11]), None);
        assert_eq!(open(&[], &cipher, &[3; 12]), None);
        assert_eq!(open(&sealed, &E2eeKey::new("another").cipher().unwrap(), &[3; 12]), None);
    }
}
