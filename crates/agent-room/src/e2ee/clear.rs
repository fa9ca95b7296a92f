//! The header of a frame that is not encrypted, so that servers and packetisers find what they need.

use super::codec::EncryptedCodec;
use crate::video::nal_units;

/// The number of bytes at the beginning of a frame that are not encrypted. `None`: it is not a frame of this
/// codec.
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

/// The clear header of a frame that is sent.
///
/// For H.264 and H.265 it contains parameter sets and the beginning of the slice, and no other units: they
/// would reveal what the frame shows, and older receivers do not read headers of more than 255 bytes. Start
/// codes have four bytes: receivers of RTP put those before each unit, and the header is authenticated.
pub(super) fn sent_header(codec: EncryptedCodec, header: &[u8]) -> Vec<u8> {
    let is_sent: fn(u8) -> bool = match codec {
        EncryptedCodec::H264 => |head| !matches!(head & 0x1f, 6 | 9..=12),
        EncryptedCodec::H265 => |head| (head >> 1) & 0x3f < 35,
        _ => return header.to_vec(),
    };
    let mut out = Vec::with_capacity(header.len() + 4);
    for unit in nal_units(header).filter(|unit| unit.first().is_some_and(|head| is_sent(*head))) {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(unit);
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
        let long = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x65, 0x88];
        assert_eq!(sent_header(EncryptedCodec::H264, &short), long);
        // A delimiter and additional information.
        let more =
            [&[0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 6, 5, 4][..], &[0, 0, 1, 0x65, 0x88]];
        assert_eq!(sent_header(EncryptedCodec::H264, &more.concat()), long);
        // A parameter set of H.265 (32), then an IDR slice (19).
        let frame = [0, 0, 0, 1, 0x40, 1, 7, 0, 0, 0, 1, 0x26, 0x01, 9, 9];
        assert_eq!(clear_len(EncryptedCodec::H265, &frame), Some(13));
        // A delimiter (35) before them.
        let more = [&[0, 0, 0, 1, 0x46, 1, 0x50][..], &frame[..13]].concat();
        assert_eq!(sent_header(EncryptedCodec::H265, &more), frame[..13]);
    }
}
