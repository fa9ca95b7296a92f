//! The format of encrypted frames of tracks, and how they are distinguished from frames that are not
//! encrypted.
//!
//! ```text
//! clear header │ ciphertext │ tag (16) │ nonce (12) │ 12 │ key index
//! ```
//! The clear header is authenticated. In H.264 and H.265 all that follows it is escaped, so that it contains
//! no start code.

use std::borrow::Cow;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use super::clear::{clear_len, sent_header};
use super::codec::EncryptedCodec;
use crate::rbsp;

pub(super) const TAG_LEN: usize = 16;
pub(super) const NONCE_LEN: usize = 12;
/// The length of the nonce, and the index of the key.
const END_LEN: usize = 2;

/// An encrypted frame, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    pub(super) key_index: u8,
    header: &'a [u8],
    nonce: [u8; NONCE_LEN],
    /// Ciphertext and tag.
    body: Cow<'a, [u8]>,
}

/// Encrypts a frame. `None`: it is not a frame of this codec.
pub(super) fn seal(
    codec: EncryptedCodec,
    frame: &[u8],
    cipher: &LessSafeKey,
    key_index: u8,
    nonce: [u8; NONCE_LEN],
) -> Option<Vec<u8>> {
    let (header, body) = frame.split_at_checked(clear_len(codec, frame)?)?;
    let mut out = sent_header(codec, header);
    let mut sealed = Vec::with_capacity(body.len() + TAG_LEN + NONCE_LEN + END_LEN);
    sealed.extend_from_slice(body);
    let aad = Aad::from(&out);
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&[NONCE_LEN as u8, key_index]);
    if codec.is_escaped() {
        rbsp::escape_into(&mut out, &sealed);
    } else {
        out.append(&mut sealed);
    }
    Some(out)
}

impl<'a> Sealed<'a> {
    /// Takes a frame apart. `None`: it is not encrypted.
    pub(super) fn read(codec: EncryptedCodec, frame: &'a [u8]) -> Option<Self> {
        let [.., nonce_len, key_index] = *frame else { return None };
        let (header, sealed) = frame.split_at_checked(clear_len(codec, frame)?)?;
        let sealed = match codec.is_escaped() {
            true => Cow::Owned(rbsp::unescaped(sealed)),
            false => Cow::Borrowed(sealed),
        };
        let nonce_at = sealed.len().checked_sub(END_LEN + NONCE_LEN)?;
        if usize::from(nonce_len) != NONCE_LEN || nonce_at < TAG_LEN {
            return None;
        }
        let nonce = sealed.get(nonce_at..nonce_at + NONCE_LEN)?.try_into().ok()?;
        let body = match sealed {
            Cow::Borrowed(sealed) => Cow::Borrowed(sealed.get(..nonce_at)?),
            Cow::Owned(mut sealed) => {
                sealed.truncate(nonce_at);
                Cow::Owned(sealed)
            }
        };
        Some(Self { key_index, header, nonce, body })
    }

    /// The frame, if it was encrypted with this key.
    pub(super) fn open(&self, cipher: &LessSafeKey) -> Option<Vec<u8>> {
        let (ciphertext, tag) = self.body.split_at_checked(self.body.len().checked_sub(TAG_LEN)?)?;
        let mut frame = vec![0; self.header.len() + ciphertext.len()];
        let (header, body) = frame.split_at_mut(self.header.len());
        header.copy_from_slice(self.header);
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        cipher.open_separate_gather(nonce, Aad::from(self.header), ciphertext, tag, body).ok()?;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::key::{E2eeKey, KeyDerivation};
    use super::*;

    fn cipher() -> LessSafeKey {
        E2eeKey::new("password").cipher().unwrap()
    }

    /// Computed with the cryptography of Node.js.
    #[test]
    fn a_frame_is_that_of_the_other_sdks() {
        let nonce = [0, 0, 0, 1, 0, 0, 3, 0xc0, 0, 0, 3, 0xc0];
        let sealed = seal(EncryptedCodec::Opus, b"\x78\xaa\xbb\xcc\xdd", &cipher(), 0, nonce).unwrap();
        let expected = "78d20d2406ecfa5e94fed58ca5022d84b1ac4ead2300000001000003c0000003c00c00";
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        let read = Sealed::read(EncryptedCodec::Opus, &sealed).unwrap();
        assert_eq!((read.key_index, read.nonce), (0, nonce));
        assert_eq!(read.open(&cipher()).unwrap(), b"\x78\xaa\xbb\xcc\xdd");
        assert_eq!(read.open(&E2eeKey::new("another").cipher().unwrap()), None);
    }

    #[test]
    fn a_changed_header_is_noticed() {
        let mut sealed = seal(EncryptedCodec::Opus, b"\x78\xaa\xbb", &cipher(), 0, [7; 12]).unwrap();
        *sealed.first_mut().unwrap() ^= 1;
        assert_eq!(Sealed::read(EncryptedCodec::Opus, &sealed).unwrap().open(&cipher()), None);
    }

    fn codecs() -> impl Strategy<Value = EncryptedCodec> {
        prop::sample::select(EncryptedCodec::ALL.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn encrypted_frames_are_decrypted(
            codec in codecs(),
            body in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..400),
            nonce in any::<[u8; 12]>(),
            index in 0..16_u8,
        ) {
            let start: &[u8] = match codec {
                EncryptedCodec::H264 => &[0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x65, 0x88],
                EncryptedCodec::H265 => &[0, 0, 0, 1, 0x26, 0x01],
                EncryptedCodec::Vp8 => &[0x78; 10],
                _ => &[0x78],
            };
            let frame = [start, &body].concat();
            let cipher = E2eeKey::derive("secret", KeyDerivation::Hkdf, "").cipher().unwrap();
            let sealed = seal(codec, &frame, &cipher, index, nonce).unwrap();
            let read = Sealed::read(codec, &sealed).unwrap();
            prop_assert_eq!(read.key_index, index);
            prop_assert_eq!(read.open(&cipher), Some(frame));
        }

        #[test]
        fn any_bytes_can_be_read(codec in codecs(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let cipher = E2eeKey::derive("secret", KeyDerivation::Hkdf, "").cipher().unwrap();
            if let Some(sealed) = Sealed::read(codec, &bytes) {
                prop_assert_eq!(sealed.open(&cipher), None);
            }
        }
    }
}
