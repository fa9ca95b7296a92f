//! VP8 in RTP packets (RFC 7741).

use bytes::{BufMut, Bytes, BytesMut};

use super::picture::{Picture, PictureIds, Size, join};

/// The first bytes of a key frame after its frame tag.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

/// Whether a key frame begins with this packet.
pub(super) fn starts_key_frame(packet: &[u8]) -> bool {
    let starts = packet.first().is_some_and(|first| first & 0x17 == 0x10);
    starts && content(packet).and_then(|content| content.first()).is_some_and(|tag| tag & 1 == 0)
}

/// Joins the packets of one frame.
pub(super) fn assemble(packets: &[Bytes]) -> Option<Picture> {
    // The first partition begins with the frame.
    packets.first()?.first().filter(|first| **first & 0x17 == 0x10)?;
    let data = join(packets.iter().map(|packet| content(packet)))?;
    let key_frame = is_key_frame(&data);
    let size = if key_frame { Some(size(&data)?) } else { None };
    Some(Picture { key_frame, size, data })
}

/// Whether this frame can be decoded without another one.
pub(super) fn is_key_frame(frame: &[u8]) -> bool {
    frame.first().is_some_and(|tag| tag & 1 == 0)
}

/// Whether a frame can begin like this.
pub(super) fn is_frame(frame: &[u8]) -> bool {
    !is_key_frame(frame) || size(frame).is_some()
}

/// Width and height of a key frame.
fn size(frame: &[u8]) -> Option<Size> {
    let header: &[u8; 10] = frame.first_chunk()?;
    let [_, _, _, a, b, c, w0, w1, h0, h1] = *header;
    let length = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    ([a, b, c] == START_CODE).then(|| (length(w0, w1), length(h0, h1)))
}

/// What follows the descriptor of a packet; `None`: it is cut off.
fn content(packet: &[u8]) -> Option<&[u8]> {
    let (first, mut rest) = packet.split_first()?;
    if first & 0x80 != 0 {
        let (extension, after) = rest.split_first()?;
        rest = after;
        if extension & 0x80 != 0 {
            let long = rest.first()? & 0x80 != 0;
            rest = rest.get(1 + usize::from(long)..)?;
        }
        let others = usize::from(extension & 0x40 != 0) + usize::from(extension & 0x30 != 0);
        rest = rest.get(others..)?;
    }
    Some(rest)
}

/// Splits a frame into packets of at most `limit` bytes.
pub(super) fn split(frame: &[u8], limit: usize, ids: &mut PictureIds) -> Vec<Bytes> {
    let id = ids.next() | 0x8000;
    let parts = frame.chunks(limit.saturating_sub(4).max(1)).enumerate();
    let packet = |(n, part): (usize, &[u8])| {
        let mut packet = BytesMut::with_capacity(4 + part.len());
        // With an extension, which has a picture id of 15 bits.
        packet.put_u8(if n == 0 { 0x90 } else { 0x80 });
        packet.put_u8(0x80);
        packet.put_u16(id);
        packet.put_slice(part);
        packet.freeze()
    };
    parts.map(packet).collect()
}
