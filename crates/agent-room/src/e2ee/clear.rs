//! How much of a frame stays readable, so that servers and packetisers find what they need.

use super::codec::EncryptedCodec;

/// The number of bytes at the beginning of a frame that are not encrypted. `None`: a frame that is none of
/// its codec.
pub(super) fn clear_len(codec: EncryptedCodec, frame: &[u8]) -> Option<usize> {
    let len = match codec {
        EncryptedCodec::Opus => 1,
        // A key frame has its size in the header.
        EncryptedCodec::Vp8 => match frame.first()? & 1 {
            0 => 10,
            _ => 3,
        },
        EncryptedCodec::Vp9 | EncryptedCodec::Av1 => 0,
        EncryptedCodec::H264 => slice_end(frame, |header| matches!(header & 0x1f, 1 | 5))?,
        EncryptedCodec::H265 => slice_end(frame, |header| matches!((header >> 1) & 0x3f, 0..=9 | 16..=21))?,
    };
    (len <= frame.len()).then_some(len)
}

/// A header of H.264 or H.265 with start codes of four bytes: receivers of RTP put those before each unit,
/// and the header is authenticated.
pub(super) fn long_start_codes(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len() + 4);
    for byte in header {
        if *byte == 1 && out.ends_with(&[0, 0]) && !out.ends_with(&[0, 0, 0]) {
            out.push(0);
        }
        out.push(*byte);
    }
    out
}

/// Two bytes after the first start code whose unit is a slice.
fn slice_end(frame: &[u8], is_slice: impl Fn(u8) -> bool) -> Option<usize> {
    let starts = frame.windows(4).enumerate().filter(|(_, window)| window.starts_with(&[0, 0, 1]));
    let slice = starts.filter_map(|(at, window)| window.last().map(|header| (at, *header)));
    slice.filter(|(_, header)| is_slice(*header)).map(|(at, _)| at + 3 + 2).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_depends_on_the_codec() {
        let len = |codec, frame: &[u8]| clear_len(codec, frame);
        assert_eq!(len(EncryptedCodec::Opus, &[0x78, 1, 2]), Some(1));
        assert_eq!(len(EncryptedCodec::Vp8, &[0; 20]), Some(10));
        assert_eq!(len(EncryptedCodec::Vp8, &[1; 20]), Some(3));
        assert_eq!(len(EncryptedCodec::Vp8, &[1; 2]), None);
        assert_eq!(len(EncryptedCodec::Vp9, &[1; 20]), Some(0));
        assert_eq!(len(EncryptedCodec::Vp8, &[]), None);
    }

    #[test]
    fn parameter_sets_and_two_bytes_of_the_slice_stay_readable() {
        let frame = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 0x88, 9, 9];
        assert_eq!(clear_len(EncryptedCodec::H264, &frame), Some(19));
        let no_slice = [0, 0, 0, 1, 0x67, 1, 2];
        assert_eq!(clear_len(EncryptedCodec::H264, &no_slice), None);
        let short = [0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 0x88];
        assert_eq!(long_start_codes(&short), [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x65, 0x88]);
        // A parameter set of H.265 (32), then an IDR slice (19).
        let frame = [0, 0, 0, 1, 0x40, 1, 7, 0, 0, 0, 1, 0x26, 0x01, 9, 9];
        assert_eq!(clear_len(EncryptedCodec::H265, &frame), Some(13));
    }
}
