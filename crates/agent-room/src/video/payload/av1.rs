//! AV1 in RTP packets (the RTP payload format of the Alliance for Open Media).
//!
//! A frame here is a temporal unit: open bitstream units (OBUs), each with its size, and no temporal
//! delimiter.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::picture::{Picture, Size};

const HAS_SIZE: u8 = 0x02;
const HAS_EXTENSION: u8 = 0x04;
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
/// More elements than these in one packet need a size each.
const MAX_ELEMENTS: usize = 3;
/// A size within a packet takes at most this many bytes.
const SIZE_LEN: usize = 2;

fn kind(obu: &[u8]) -> Option<u8> {
    obu.first().map(|head| head >> 3 & 0x0f)
}

/// Whether a key frame begins with this packet.
pub(super) fn starts_key_frame(packet: &[u8]) -> bool {
    packet.first().is_some_and(|head| head & 0x88 == 0x08)
}

/// Joins the packets of one frame.
pub(super) fn assemble(packets: &[Bytes]) -> Option<Picture> {
    let mut data = BytesMut::with_capacity(packets.iter().map(|packet| packet.len() + 4).sum());
    let mut size = None;
    let mut open: Option<BytesMut> = None;
    for packet in packets {
        let (&head, content) = packet.split_first()?;
        let elements = elements(content, usize::from(head >> 4 & 3))?;
        let last = elements.len().checked_sub(1)?;
        for (n, element) in elements.into_iter().enumerate() {
            let continues = n == 0 && head & 0x80 != 0;
            if open.is_some() != continues {
                // A part is missing.
                return None;
            }
            let mut obu = open.take().unwrap_or_default();
            obu.put_slice(element);
            if n == last && head & 0x40 != 0 {
                open = Some(obu);
            } else {
                append(&mut data, &obu, &mut size)?;
            }
        }
    }
    if open.is_some() || data.is_empty() {
        return None;
    }
    let key_frame = starts_key_frame(packets.first()?);
    Some(Picture { key_frame, size: size.filter(|_| key_frame), data: data.freeze() })
}

/// The elements of a packet: `count` of them, of which the last has no size; 0: each has one.
fn elements(mut content: &[u8], count: usize) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while !content.is_empty() {
        if count != 0 && elements.len() + 1 == count {
            elements.push(content);
            return Some(elements);
        }
        let (size, rest) = read_size(content)?;
        let (element, rest) = rest.split_at_checked(size)?;
        elements.push(element);
        content = rest;
    }
    (count == 0).then_some(elements)
}

/// Appends an OBU with its size, and reads the size of the pictures.
fn append(data: &mut BytesMut, obu: &[u8], size: &mut Option<Size>) -> Option<()> {
    let Some(kind) = kind(obu) else { return Some(()) };
    let (head, payload, _) = split_first(obu)?;
    match kind {
        TEMPORAL_DELIMITER | TILE_LIST | PADDING => return Some(()),
        SEQUENCE_HEADER => *size = size_of(payload),
        _ => {}
    }
    let (first, extension) = head.split_first()?;
    data.put_u8(first | HAS_SIZE);
    data.put_slice(extension);
    write_size(data, payload.len());
    data.put_slice(payload);
    Some(())
}

/// Header and payload of the first OBU, and what follows it. One without a size has no end.
fn split_first(obus: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = obus.first()?;
    let (head, rest) = obus.split_at_checked(if first & HAS_EXTENSION == 0 { 1 } else { 2 })?;
    if first & HAS_SIZE == 0 {
        return Some((head, rest, &[]));
    }
    let (size, rest) = read_size(rest)?;
    let (payload, rest) = rest.split_at_checked(size)?;
    Some((head, payload, rest))
}

/// The OBUs of a frame that are sent, each without its size. `None`: it is no frame.
fn obus(mut frame: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut obus = Vec::new();
    while let Some(kind) = kind(frame) {
        let (head, payload, rest) = split_first(frame)?;
        if !matches!(kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            let mut obu = [head, payload].concat();
            obu.first_mut().map(|first| *first &= !HAS_SIZE)?;
            obus.push(obu);
        }
        frame = rest;
    }
    Some(obus)
}

/// Whether these are OBUs.
pub(super) fn is_frame(frame: &[u8]) -> bool {
    let mut rest = frame;
    // The highest bit is forbidden.
    while let Some(first) = rest.first().filter(|first| **first & 0x80 == 0) {
        match split_first(rest) {
            Some((.., after)) if *first & HAS_SIZE != 0 => rest = after,
            _ => return false,
        }
    }
    rest.is_empty() && !frame.is_empty()
}

/// Whether this frame can be decoded without another one.
pub(super) fn is_key_frame(frame: &[u8]) -> bool {
    obus(frame).is_some_and(|obus| obus.iter().any(|obu| kind(obu) == Some(SEQUENCE_HEADER)))
}

/// Splits a frame into packets of at most `limit` bytes.
pub(super) fn split(frame: &[u8], limit: usize) -> Vec<Bytes> {
    let Some(obus) = obus(frame) else { return Vec::new() };
    let key_frame = obus.iter().any(|obu| kind(obu) == Some(SEQUENCE_HEADER));
    let mut packets = Packets { limit, packets: Vec::new(), elements: Vec::new(), used: 0, continues: false };
    for mut rest in obus {
        while packets.room() == 0 || packets.elements.len() == MAX_ELEMENTS {
            packets.finish(false);
        }
        while rest.len() > packets.room() {
            let after = rest.split_off(packets.room());
            packets.push(std::mem::replace(&mut rest, after));
            packets.finish(true);
        }
        packets.push(rest);
    }
    packets.finish(false);
    if key_frame && let Some(first) = packets.packets.first_mut() {
        let mut marked = BytesMut::from(&first[..]);
        marked.first_mut().map(|head| *head |= 0x08).unwrap_or_default();
        *first = marked.freeze();
    }
    packets.packets
}

/// Packets that are filled with elements.
struct Packets {
    limit: usize,
    packets: Vec<Bytes>,
    elements: Vec<Vec<u8>>,
    used: usize,
    /// Whether the first element of the current packet continues that of the previous one.
    continues: bool,
}

impl Packets {
    /// How long another element may be.
    fn room(&self) -> usize {
        let room = self.limit.max(16).saturating_sub(1 + self.used);
        // If it is short, so that no part of a few bytes is sent, the next packet has room.
        if room < 8 { 0 } else { room }
    }

    fn push(&mut self, element: Vec<u8>) {
        self.used += element.len() + SIZE_LEN;
        self.elements.push(element);
    }

    /// Begins another packet. `open`: it continues the last element of this one.
    fn finish(&mut self, open: bool) {
        let elements = std::mem::take(&mut self.elements);
        let Some((last, others)) = elements.split_last() else { return };
        let mut packet = BytesMut::with_capacity(1 + self.used);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let count = u8::try_from(elements.len()).unwrap_or_default() << 4;
        packet.put_u8(flag(self.continues, 0x80) | flag(open, 0x40) | count);
        for element in others {
            write_size(&mut packet, element.len());
            packet.put_slice(element);
        }
        packet.put_slice(last);
        self.packets.push(packet.freeze());
        (self.used, self.continues) = (0, open);
    }
}

/// A size of at most 32 bits (LEB128), and what follows it.
fn read_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut size = 0_u64;
    for (n, byte) in bytes.iter().enumerate().take(8) {
        size |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(u32::try_from(size).ok()?).ok()?, bytes.get(n + 1..)?));
        }
    }
    None
}

fn write_size(data: &mut BytesMut, mut size: usize) {
    loop {
        let byte = u8::try_from(size & 0x7f).unwrap_or_default();
        size >>= 7;
        data.put_u8(if size == 0 { byte } else { byte | 0x80 });
        if size == 0 {
            return;
        }
    }
}

/// Width and height of a sequence header (5.5.1 of the specification).
fn size_of(header: &[u8]) -> Option<Size> {
    let mut bits = Bits::new(header);
    bits.take(4)?;
    if bits.flag()? {
        // A single picture.
        bits.take(5)?;
    } else {
        let mut delay = None;
        if bits.flag()? {
            bits.skip(64);
            if bits.flag()? {
                bits.golomb()?;
            }
            if bits.flag()? {
                delay = Some(usize::try_from(bits.take(5)?).ok()? + 1);
                bits.skip(42);
            }
        }
        let display_delay = bits.flag()?;
        for _ in 0..=bits.take(5)? {
            bits.skip(12);
            if bits.take(5)? > 7 {
                bits.take(1)?;
            }
            if let Some(length) = delay
                && bits.flag()?
            {
                bits.skip(2 * length + 1);
            }
            if display_delay && bits.flag()? {
                bits.take(4)?;
            }
        }
    }
    let (across, down) = (usize::try_from(bits.take(4)?).ok()? + 1, usize::try_from(bits.take(4)?).ok()? + 1);
    Some((bits.take(across)? + 1, bits.take(down)? + 1))
}
