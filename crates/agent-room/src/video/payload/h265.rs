//! H.265 in RTP packets (RFC 7798).

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::nal;
use super::picture::{Picture, Size};
use crate::rbsp;

/// Pictures that can be decoded alone.
const INTRA: std::ops::RangeInclusive<u8> = 16..=21;
const VIDEO_PARAMETERS: u8 = 32;
const PARAMETERS: u8 = 33;
const DELIMITER: u8 = 35;
const FILLER: u8 = 38;
/// Several NAL units in one packet.
const AGGREGATION: u8 = 48;
/// A part of a NAL unit.
const FRAGMENT: u8 = 49;
/// How much of a set of parameters is read: the size is at its beginning.
const MAX_PARAMETERS: usize = 256;

fn kind(unit: &[u8]) -> Option<u8> {
    unit.first().map(|head| head >> 1 & 0x3f)
}

/// Whether a key frame begins with this packet: with the parameters without which it cannot be decoded.
pub(super) fn starts_key_frame(packet: &[u8]) -> bool {
    let begins = |kind| matches!(kind, Some(VIDEO_PARAMETERS | PARAMETERS | DELIMITER));
    match kind(packet) {
        Some(AGGREGATION) => aggregated(packet).first().is_some_and(|unit| begins(kind(unit))),
        Some(FRAGMENT) => packet.get(2).is_some_and(|head| head & 0x80 != 0 && begins(Some(head & 0x3f))),
        kind => begins(kind),
    }
}

/// Joins the packets of one frame to NAL units with start codes.
pub(super) fn assemble(packets: &[Bytes]) -> Option<Picture> {
    let mut frame = BytesMut::with_capacity(packets.iter().map(|packet| packet.len() + 4).sum());
    let mut open = false;
    for packet in packets {
        let kind = kind(packet)?;
        let continues = kind == FRAGMENT && packet.get(2)? & 0x80 == 0;
        if open != continues {
            // A part is missing.
            return None;
        }
        match kind {
            AGGREGATION => {
                let units = aggregated(packet);
                if units.is_empty() {
                    return None;
                }
                units.iter().for_each(|unit| nal::append(&mut frame, &[unit]));
            }
            FRAGMENT => {
                let [first, second, header] = *packet.first_chunk()?;
                let part = packet.get(3..)?;
                match open {
                    true => frame.put_slice(part),
                    false => {
                        nal::append(&mut frame, &[&[first & 0x81 | (header & 0x3f) << 1, second], part]);
                    }
                }
                open = header & 0x40 == 0;
            }
            0..AGGREGATION => nal::append(&mut frame, &[packet]),
            _ => return None,
        }
    }
    if open || frame.is_empty() {
        return None;
    }
    let data = frame.freeze();
    let (mut key_frame, mut size) = (false, None);
    for unit in nal::units(&data) {
        match kind(unit) {
            Some(kind) if INTRA.contains(&kind) => key_frame = true,
            Some(PARAMETERS) => size = size_of(unit),
            _ => {}
        }
    }
    Some(Picture { key_frame, size, data })
}

/// The NAL units of an aggregation packet; none, if one of them is cut off.
fn aggregated(packet: &[u8]) -> Vec<&[u8]> {
    nal::aggregated(packet.get(2..).unwrap_or_default())
}

/// Whether this frame can be decoded without another one.
pub(super) fn is_key_frame(frame: &[u8]) -> bool {
    nal::units(frame).filter_map(kind).any(|kind| INTRA.contains(&kind))
}

/// Splits a frame into packets of at most `limit` bytes.
pub(super) fn split(frame: &[u8], limit: usize) -> Vec<Bytes> {
    let mut packets = Vec::new();
    let mut parameters = Vec::new();
    for unit in nal::units(frame) {
        let Some((&[first, second], payload)) = unit.split_first_chunk() else { continue };
        let kind = first >> 1 & 0x3f;
        // livekit-server begins with the packet in which it finds parameters: all of them have to be there.
        if kind >= VIDEO_PARAMETERS && kind != FILLER {
            let len: usize = parameters.iter().map(|unit: &&[u8]| unit.len() + 2).sum();
            if 2 + len + 2 + unit.len() > limit {
                packets.extend(aggregate(&mut parameters));
            }
            if unit.len() + 4 <= limit {
                parameters.push(unit);
                continue;
            }
        }
        packets.extend(aggregate(&mut parameters));
        if kind == FILLER {
            continue;
        }
        if unit.len() <= limit {
            packets.push(Bytes::copy_from_slice(unit));
            continue;
        }
        packets.extend(nal::fragments(payload, limit, 3, |packet, ends| {
            packet.put_slice(&[first & 0x81 | FRAGMENT << 1, second, kind | ends]);
        }));
    }
    packets.extend(aggregate(&mut parameters));
    packets
}

/// One packet of these units, which are taken.
fn aggregate(units: &mut Vec<&[u8]>) -> Option<Bytes> {
    let units = std::mem::take(units);
    let (first, more) = units.split_first()?;
    if more.is_empty() {
        return Some(Bytes::copy_from_slice(first));
    }
    let mut packet = BytesMut::from(&[AGGREGATION << 1, 1][..]);
    for unit in units {
        packet.put_u16(u16::try_from(unit.len()).ok()?);
        packet.put_slice(unit);
    }
    Some(packet.freeze())
}

/// Width and height of a sequence parameter set (7.3.2.2 of the standard).
fn size_of(unit: &[u8]) -> Option<Size> {
    let parameters = unit.get(2..)?;
    let payload = rbsp::unescaped(parameters.get(..MAX_PARAMETERS).unwrap_or(parameters));
    let mut bits = Bits::new(&payload);
    bits.take(4)?;
    let more_layers = bits.take(3)?;
    bits.take(1)?;
    // The profile, tier and level.
    bits.skip(96);
    let layers: Vec<(bool, bool)> =
        (0..more_layers).map(|_| Some((bits.flag()?, bits.flag()?))).collect::<Option<_>>()?;
    if more_layers > 0 {
        (more_layers..8).for_each(|_| bits.skip(2));
    }
    for (profile, level) in layers {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 });
    }
    bits.golomb()?;
    let chroma = bits.golomb()?;
    if chroma == 3 {
        bits.take(1)?;
    }
    let (width, height) = (bits.golomb()?, bits.golomb()?);
    if !bits.flag()? {
        return Some((width, height));
    }
    let (left, right, top, bottom) = (bits.golomb()?, bits.golomb()?, bits.golomb()?, bits.golomb()?);
    let across = if chroma == 1 || chroma == 2 { 2 } else { 1 };
    let down = if chroma == 1 { 2 } else { 1 };
    Some((nal::cropped(width, left, right, across)?, nal::cropped(height, top, bottom, down)?))
}
