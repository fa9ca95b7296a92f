//! VP9 in RTP packets (RFC 9628).

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::picture::{Picture, PictureIds, Size, join};

/// What matters of a packet's descriptor.
struct Descriptor<'a> {
    /// It depends on another picture.
    inter: bool,
    /// The first packet of a frame of one spatial layer.
    begins: bool,
    spatial_layer: u8,
    /// The size of the largest layer.
    size: Option<Size>,
    content: &'a [u8],
}

/// Whether a key frame begins with this packet.
pub(super) fn starts_key_frame(packet: &[u8]) -> bool {
    read(packet).is_some_and(|it| it.begins && !it.inter && it.spatial_layer == 0)
}

/// Joins the packets of one picture, with all its spatial layers.
pub(super) fn assemble(packets: &[Bytes]) -> Option<Picture> {
    let first = read(packets.first()?)?;
    if !first.begins {
        return None;
    }
    let data = join(packets.iter().map(|packet| read(packet).map(|it| it.content)))?;
    let key_frame = !first.inter && first.spatial_layer == 0;
    let size = if key_frame { first.size.or_else(|| size(&data)) } else { None };
    Some(Picture { key_frame, size, data })
}

fn read(packet: &[u8]) -> Option<Descriptor<'_>> {
    let (&flags, mut rest) = packet.split_first()?;
    let has = |bit: u8| flags & bit != 0;
    if has(0x80) {
        let long = rest.first()? & 0x80 != 0;
        rest = rest.get(1 + usize::from(long)..)?;
    }
    let mut spatial_layer = 0;
    if has(0x20) {
        spatial_layer = (rest.first()? >> 1) & 7;
        // Without flexible mode, with TL0PICIDX.
        rest = rest.get(if has(0x10) { 1 } else { 2 }..)?;
    }
    if has(0x40) && has(0x10) {
        // At most three references.
        for n in 1..=3 {
            let (reference, after) = rest.split_first()?;
            rest = after;
            if reference & 1 == 0 {
                break;
            }
            if n == 3 {
                return None;
            }
        }
    }
    let mut size = None;
    if has(0x02) {
        (size, rest) = scalability(rest)?;
    }
    Some(Descriptor { inter: has(0x40), begins: has(0x08), spatial_layer, size, content: rest })
}

/// The size of the largest layer in a scalability structure, and what follows that.
fn scalability(rest: &[u8]) -> Option<(Option<Size>, &[u8])> {
    let (&head, mut rest) = rest.split_first()?;
    let layers = usize::from(head >> 5) + 1;
    let mut size = None;
    if head & 0x10 != 0 {
        let sizes = rest.get(..4 * layers)?;
        rest = rest.get(4 * layers..)?;
        let of_layer = |four: &[u8]| {
            let [w0, w1, h0, h1] = *four.first_chunk()?;
            Some((u32::from(u16::from_be_bytes([w0, w1])), u32::from(u16::from_be_bytes([h0, h1]))))
        };
        size = sizes.chunks_exact(4).filter_map(of_layer).max();
    }
    if head & 0x08 != 0 {
        let (&pictures, mut after) = rest.split_first()?;
        for _ in 0..pictures {
            let references = usize::from((after.first()? >> 2) & 3);
            after = after.get(1 + references..)?;
        }
        rest = after;
    }
    Some((size, rest))
}

/// Whether a frame can begin like this.
pub(super) fn is_frame(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first >> 6 == 2)
}

/// Whether this frame can be decoded without another one.
pub(super) fn is_key_frame(frame: &[u8]) -> bool {
    key_frame_header(frame).is_some()
}

/// Width and height of a key frame.
fn size(frame: &[u8]) -> Option<Size> {
    let (mut bits, profile) = key_frame_header(frame)?;
    if bits.take(24)? != 0x49_83_42 {
        return None;
    }
    if profile >= 2 {
        bits.take(1)?;
    }
    const SRGB: u32 = 7;
    if bits.take(3)? != SRGB {
        bits.take(if profile % 2 == 1 { 4 } else { 1 })?;
    } else if profile % 2 == 1 {
        bits.take(1)?;
    }
    Some((bits.take(16)? + 1, bits.take(16)? + 1))
}

/// The bits of a key frame after its flags, and its profile.
fn key_frame_header(frame: &[u8]) -> Option<(Bits<'_>, u32)> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.take(1)?;
    }
    let (shown_again, inter) = (bits.take(1)?, bits.take(1)?);
    bits.take(2)?;
    (shown_again == 0 && inter == 0).then_some((bits, profile))
}

/// Splits a frame into packets of at most `limit` bytes, in flexible mode: each picture refers to the one
/// before.
pub(super) fn split(frame: &[u8], limit: usize, ids: &mut PictureIds) -> Vec<Bytes> {
    let id = ids.next() | 0x8000;
    let inter = !is_key_frame(frame);
    let size = limit.saturating_sub(4).max(1);
    let count = frame.len().div_ceil(size);
    let packet = |(n, part): (usize, &[u8])| {
        let mut packet = BytesMut::with_capacity(4 + part.len());
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        packet.put_u8(0x90 | flag(inter, 0x40) | flag(n == 0, 0x08) | flag(n + 1 == count, 0x04));
        packet.put_u16(id);
        if inter {
            // The previous picture, and no other.
            packet.put_u8(1 << 1);
        }
        packet.put_slice(part);
        packet.freeze()
    };
    frame.chunks(size).enumerate().map(packet).collect()
}
