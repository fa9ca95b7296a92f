//! Frames that the server makes itself: it cannot encrypt them, so only those that show nothing are
//! accepted.

use super::codec::EncryptedCodec;

/// The beginning of the server's silence; zeros follow.
const OPUS: &[u8] = &[0xf8, 0xff, 0xfe];
/// A black picture of 8 × 8.
const VP8: &[u8] = &[
    0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x08, 0x00, 0x08, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88, 0x85,
    0x84, 0x88, 0x02, 0x02, 0x00, 0x0c, 0x0d, 0x60, 0x00, 0xfe, 0xff, 0xab, 0x50, 0x80,
];
/// A picture of 2 × 2, with its parameter sets.
const H264: [&[u8]; 3] = [
    &[
        0x67, 0x42, 0xc0, 0x1f, 0x0f, 0xd9, 0x1f, 0x88, 0x88, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00,
        0x03, 0x00, 0xc8, 0x3c, 0x60, 0xc9, 0x20,
    ],
    &[0x68, 0x87, 0xcb, 0x83, 0xcb, 0x20],
    &[0x65, 0x88, 0x84, 0x0a, 0xf2, 0x62, 0x80, 0x00, 0xa7, 0xbe],
];

/// Whether this frame, without the server's trailer, shows nothing.
pub(super) fn is_blank(codec: EncryptedCodec, frame: &[u8]) -> bool {
    match codec {
        EncryptedCodec::Opus => {
            frame.strip_prefix(OPUS).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
        }
        EncryptedCodec::Vp8 => frame == VP8,
        EncryptedCodec::H264 => {
            let units = H264.iter().flat_map(|unit| [0, 0, 0, 1].iter().chain(*unit));
            frame.iter().eq(units)
        }
        EncryptedCodec::Vp9 | EncryptedCodec::Av1 | EncryptedCodec::H265 => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blank_frames_are_accepted() {
        assert!(is_blank(EncryptedCodec::Opus, &[&[0xf8, 0xff, 0xfe][..], &[0; 77]].concat()));
        assert!(!is_blank(EncryptedCodec::Opus, &[0xf8, 0xff, 0xfe, 1]));
        assert!(is_blank(EncryptedCodec::Vp8, VP8));
        assert!(!is_blank(EncryptedCodec::Vp8, &VP8[..30]));
        let code: &[u8] = &[0, 0, 0, 1];
        let [sps, pps, idr] = H264;
        assert!(is_blank(EncryptedCodec::H264, &[code, sps, code, pps, code, idr].concat()));
        assert!(!is_blank(EncryptedCodec::H264, &[code, sps, code, pps].concat()));
        assert!(!is_blank(EncryptedCodec::H265, &[]));
    }
}
