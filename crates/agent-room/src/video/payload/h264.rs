//! H.264 in RTP packets (RFC 6184), in packetization mode 1; received in mode 0, too.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::nal;
use super::picture::{Picture, Size};
use crate::rbsp;

const TYPE: u8 = 0x1f;
/// A slice of a picture that can be decoded alone.
const IDR: u8 = 5;
const PARAMETERS: u8 = 7;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
/// Several NAL units in one packet.
const STAP_A: u8 = 24;
/// A part of a NAL unit.
const FU_A: u8 = 28;
/// How much of a set of parameters is read: the size is at its beginning.
const MAX_PARAMETERS: usize = 256;

/// Whether a key frame begins with this packet: with the parameters without which it cannot be decoded.
pub(super) fn starts_key_frame(packet: &[u8]) -> bool {
    let begins = |unit: &[u8]| unit.first().is_some_and(|head| matches!(head & TYPE, PARAMETERS | DELIMITER));
    match packet.first().map(|head| head & TYPE) {
        Some(STAP_A) => aggregated(packet).first().is_some_and(|unit| begins(unit)),
        // Of parameters, which are rarely split.
        Some(FU_A) => packet.get(1).is_some_and(|head| head & (0x80 | TYPE) == 0x80 | PARAMETERS),
        _ => begins(packet),
    }
}

/// Joins the packets of one frame to NAL units with start codes.
pub(super) fn assemble(packets: &[Bytes]) -> Option<Picture> {
    let mut frame = BytesMut::with_capacity(packets.iter().map(|packet| packet.len() + 4).sum());
    let mut open = false;
    for packet in packets {
        let head = *packet.first()?;
        let continues = head & TYPE == FU_A && packet.get(1)? & 0x80 == 0;
        if open != continues {
            // A part is missing.
            return None;
        }
        match head & TYPE {
            1..=23 => nal::append(&mut frame, &[packet]),
            STAP_A => {
                let units = aggregated(packet);
                if units.is_empty() {
                    return None;
                }
                units.iter().for_each(|unit| nal::append(&mut frame, &[unit]));
            }
            FU_A => {
                let [indicator, header] = *packet.first_chunk()?;
                let part = packet.get(2..)?;
                match open {
                    true => frame.put_slice(part),
                    false => nal::append(&mut frame, &[&[indicator & !TYPE | header & TYPE], part]),
                }
                open = header & 0x40 == 0;
            }
            _ => return None,
        }
    }
    if open || frame.is_empty() {
        return None;
    }
    let data = frame.freeze();
    let (mut key_frame, mut size) = (false, None);
    for unit in nal::units(&data) {
        match unit.first().map(|head| head & TYPE) {
            Some(IDR) => key_frame = true,
            Some(PARAMETERS) => size = size_of(unit),
            _ => {}
        }
    }
    Some(Picture { key_frame, size, data })
}

/// The NAL units of an aggregation packet; none, if one of them is cut off.
fn aggregated(packet: &[u8]) -> Vec<&[u8]> {
    nal::aggregated(packet.get(1..).unwrap_or_default())
}

/// Whether this frame can be decoded without another one.
pub(super) fn is_key_frame(frame: &[u8]) -> bool {
    nal::units(frame).any(|unit| unit.first().is_some_and(|head| head & TYPE == IDR))
}

/// Splits a frame into packets of at most `limit` bytes.
pub(super) fn split(frame: &[u8], limit: usize) -> Vec<Bytes> {
    let mut packets = Vec::new();
    for unit in nal::units(frame) {
        let Some((&head, payload)) = unit.split_first() else { continue };
        if head & TYPE == FILLER {
            continue;
        }
        if unit.len() <= limit {
            packets.push(Bytes::copy_from_slice(unit));
            continue;
        }
        packets.extend(nal::fragments(payload, limit, 2, |packet, ends| {
            packet.put_slice(&[head & !TYPE | FU_A, head & TYPE | ends]);
        }));
    }
    packets
}

/// Width and height of a sequence parameter set (7.3.2.1.1 of the standard).
fn size_of(unit: &[u8]) -> Option<Size> {
    let parameters = unit.get(1..)?;
    let payload = rbsp::unescaped(parameters.get(..MAX_PARAMETERS).unwrap_or(parameters));
    let mut bits = Bits::new(&payload);
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.golomb()?;
    let mut chroma = 1;
    if matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244) {
        chroma = bits.golomb()?;
        if chroma == 3 {
            bits.take(1)?;
        }
        bits.golomb()?;
        bits.golomb()?;
        bits.take(1)?;
        if bits.flag()? {
            // Its scaling lists are of no use without a decoder, and no encoder for calls writes them.
            return None;
        }
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.golomb()?;
            bits.golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.golomb()?;
            }
        }
        _ => {}
    }
    bits.golomb()?;
    bits.take(1)?;
    let blocks = |count: u32| count.checked_add(1)?.checked_mul(16);
    let (width, height) = (blocks(bits.golomb()?)?, blocks(bits.golomb()?)?);
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.take(1)?;
    }
    let height = if frames_only { height } else { height.checked_mul(2)? };
    bits.take(1)?;
    if !bits.flag()? {
        return Some((width, height));
    }
    let (left, right, top, bottom) = (bits.golomb()?, bits.golomb()?, bits.golomb()?, bits.golomb()?);
    let across = if chroma == 1 || chroma == 2 { 2 } else { 1 };
    let down = (if chroma == 1 { 2 } else { 1 }) * (if frames_only { 1 } else { 2 });
    Some((nal::cropped(width, left, right, across)?, nal::cropped(height, top, bottom, down)?))
}
