//! Readers of what was written, which share no code with the writers.

use std::io::Cursor;
use std::time::Duration;

use ogg::PacketReader;

/// A frame of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) track: usize,
    pub(crate) time: Duration,
    pub(crate) is_key: bool,
    pub(crate) payload: Vec<u8>,
}

/// Elements of EBML: id and content, as far as they are complete. One of unknown length lasts to the end.
pub(crate) fn elements(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut found = Vec::new();
    while let Some((id, rest)) = id(bytes) {
        let Some((len, rest)) = len(rest) else { break };
        let len = len.unwrap_or(rest.len());
        let Some((content, after)) = rest.split_at_checked(len) else { break };
        found.push((id, content));
        bytes = after;
    }
    found
}

fn id(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let len = bytes.first()?.leading_zeros() as usize + 1;
    let (id, rest) = bytes.split_at_checked(len)?;
    Some((id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)), rest))
}

fn len(bytes: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let width = bytes.first()?.leading_zeros() as usize + 1;
    let (all, rest) = bytes.split_at_checked(width)?;
    let value = all.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)) & !(1 << (7 * width));
    let is_unknown = value == (1 << (7 * width)) - 1;
    Some(((!is_unknown).then_some(value as usize), rest))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The content of the first element with this id.
pub(crate) fn child(content: &[u8], id: u32) -> Option<&[u8]> {
    elements(content).into_iter().find(|(found, _)| *found == id).map(|(_, content)| content)
}

/// The segment of a file.
pub(crate) fn segment(file: &[u8]) -> &[u8] {
    child(file, 0x1853_8067).expect("a segment")
}

pub(crate) fn webm(file: &[u8]) -> Vec<Read> {
    let mut frames = Vec::new();
    for (_, cluster) in elements(segment(file)).into_iter().filter(|(id, _)| *id == 0x1f43_b675) {
        let begin = number(child(cluster, 0xe7).expect("a timestamp"));
        for (_, block) in elements(cluster).into_iter().filter(|(id, _)| *id == 0xa3) {
            let after = i16::from_be_bytes([block[1], block[2]]);
            frames.push(Read {
                track: usize::from(block[0] & 0x7f) - 1,
                time: Duration::from_millis(begin.saturating_add_signed(i64::from(after))),
                is_key: block[3] & 0x80 != 0,
                payload: block[4..].to_vec(),
            });
        }
    }
    frames
}

/// Boxes of MP4: type and content.
pub(crate) fn boxes(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while bytes.len() >= 8 {
        let len = number(&bytes[..4]) as usize;
        if len < 8 || len > bytes.len() {
            break;
        }
        found.push((&bytes[4..8], &bytes[8..len]));
        bytes = &bytes[len..];
    }
    found
}

fn inner<'b>(content: &'b [u8], kind: &[u8]) -> Option<&'b [u8]> {
    boxes(content).into_iter().find(|(found, _)| *found == kind).map(|(_, content)| content)
}

/// `timescales`: units of a second of each track.
pub(crate) fn mp4(file: &[u8], timescales: &[u64]) -> Vec<Read> {
    let all = boxes(file);
    let mut frames = Vec::new();
    for pair in all.windows(2).filter(|pair| pair[0].0 == b"moof" && pair[1].0 == b"mdat") {
        let (moof, mdat) = (pair[0].1, pair[1].1);
        for (_, traf) in boxes(moof).into_iter().filter(|(kind, _)| *kind == b"traf") {
            let tfhd = inner(traf, b"tfhd").expect("a header");
            let track = number(&tfhd[4..8]) as usize - 1;
            let mut time = number(&inner(traf, b"tfdt").expect("a time")[4..12]);
            let trun = inner(traf, b"trun").expect("samples");
            // Offset, duration, size and flags are there, and nothing else.
            assert_eq!(number(&trun[..4]), 0x701);
            let mut at = number(&trun[8..12]) as usize - (moof.len() + 16);
            for sample in trun[12..].chunks(12) {
                let (duration, len) = (number(&sample[..4]), number(&sample[4..8]) as usize);
                frames.push(Read {
                    track,
                    time: Duration::from_nanos(
                        (u128::from(time) * 1_000_000_000 / u128::from(timescales[track])) as u64,
                    ),
                    is_key: sample[9] & 1 == 0,
                    payload: mdat[at..at + len].to_vec(),
                });
                time += duration;
                at += len;
            }
        }
    }
    frames
}

/// The packets of a file: content, the sample at which it ends (if it is the last of a page), and whether it
/// is marked as the last one of the file.
pub(crate) fn ogg(file: &[u8]) -> Vec<(Vec<u8>, Option<u64>, bool)> {
    let mut reader = PacketReader::new(Cursor::new(file));
    let mut packets = Vec::new();
    while let Ok(Some(packet)) = reader.read_packet() {
        let end = packet.last_in_page().then(|| packet.absgp_page());
        packets.push((packet.data.clone(), end, packet.last_in_stream()));
    }
    packets
}
