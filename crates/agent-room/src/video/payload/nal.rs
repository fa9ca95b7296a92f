//! NAL units, of which frames of H.264 and H.265 consist: in a frame each follows a start code (Annex B).

use bytes::{BufMut, Bytes, BytesMut};

/// Before each NAL unit.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Appends a NAL unit of these parts to a frame.
pub(super) fn append(frame: &mut BytesMut, parts: &[&[u8]]) {
    frame.put_slice(&START_CODE);
    parts.iter().for_each(|part| frame.put_slice(part));
}

/// Whether a frame can begin like this: with a start code.
pub(super) fn is_frame(frame: &[u8]) -> bool {
    frame.starts_with(&[0, 0, 1]) || frame.starts_with(&START_CODE)
}

/// The NAL units of a frame, none of them empty. Bytes before the first start code are no NAL unit.
pub(crate) fn units(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = find(frame).map(|(_, after)| after);
    std::iter::from_fn(move || {
        let from = rest.take()?;
        let Some((before, after)) = find(from) else {
            // An encrypted frame may end with zero, the index of its key.
            return Some(from);
        };
        rest = Some(after);
        // Zeros before a start code belong to no NAL unit.
        Some(trimmed(before))
    })
    .filter(|unit| !unit.is_empty())
}

/// Splits at the first start code, which has three bytes, or four.
fn find(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(3).position(|three| three == [0, 0, 1])?;
    Some((bytes.get(..at)?, bytes.get(at + 3..)?))
}

fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    unit.get(..end).unwrap_or_default()
}

/// The NAL units of an aggregation packet, each after its length; none, if one of them is cut off.
pub(super) fn aggregated(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let Some((unit, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            return Vec::new();
        };
        units.push(unit);
        rest = after;
    }
    if rest.is_empty() { units } else { Vec::new() }
}

/// Splits the payload of a NAL unit into packets of at most `limit` bytes. `header` writes the `header_len`
/// bytes before each part, with the bits that mark the first and the last one.
pub(super) fn fragments(
    payload: &[u8],
    limit: usize,
    header_len: usize,
    header: impl Fn(&mut BytesMut, u8),
) -> Vec<Bytes> {
    let size = limit.saturating_sub(header_len).max(1);
    let count = payload.len().div_ceil(size);
    let packet = |(n, part): (usize, &[u8])| {
        let mut packet = BytesMut::with_capacity(header_len + part.len());
        let (first, last) = (if n == 0 { 0x80 } else { 0 }, if n + 1 == count { 0x40 } else { 0 });
        header(&mut packet, first | last);
        packet.put_slice(part);
        packet.freeze()
    };
    payload.chunks(size).enumerate().map(packet).collect()
}

/// A length without what is cut off at its ends, in this unit.
pub(super) fn cropped(length: u32, one: u32, other: u32, unit: u32) -> Option<u32> {
    length.checked_sub(one.checked_add(other)?.checked_mul(unit)?)
}
