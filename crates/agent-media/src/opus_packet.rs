//! What is known of an Opus packet (RFC 6716, section 3) without decoding it.
//!
//! Every function takes any bytes: bytes that are no Opus packet have no duration and no channels.
//!
//! ```
//! use agent_media::opus_packet;
//! use std::time::Duration;
//!
//! // 20 ms of silence, as encoders write it.
//! let packet = [0xf8, 0xff, 0xfe];
//! assert_eq!(opus_packet::duration(&packet), Some(Duration::from_millis(20)));
//! assert_eq!(opus_packet::channels(&packet), Some(1));
//! assert!(!opus_packet::is_dtx(&packet));
//! ```

use std::time::Duration;

/// The largest packet: 120 ms in 6 frames of 1,275 bytes, and their header.
pub const MAX_PACKET_LEN: usize = 1_275 * 6 + 7;

/// The most samples of a channel that a packet has, at 48 kHz: 120 ms.
pub const MAX_SAMPLES: u32 = 5_760;

/// The longest frame, in bytes.
const MAX_FRAME_LEN: usize = 1_275;

/// The most bytes of a packet that need not be sent.
const MAX_DTX_LEN: usize = 2;

/// The samples of each channel at 48 kHz, which are the units of RTP timestamps: 960 for 20 ms. `None` if it
/// is not a packet of Opus.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<u32> {
    Some(Layout::of(packet)?.samples())
}

/// How long its sound lasts: 2.5 to 120 ms. `None` if it is not a packet of Opus.
#[must_use]
pub fn duration(packet: &[u8]) -> Option<Duration> {
    Some(Duration::from_micros(u64::from(samples(packet)?) * 1_000 / 48))
}

/// 1 (mono) or 2 (stereo), as it was encoded; a decoder can output either. `None` if it is not a packet of
/// Opus.
#[must_use]
pub fn channels(packet: &[u8]) -> Option<u8> {
    Some(Layout::of(packet)?.toc.channels())
}

/// Whether it is silence that need not be sent (discontinuous transmission): a packet of one or two bytes.
#[must_use]
pub fn is_dtx(packet: &[u8]) -> bool {
    !packet.is_empty() && packet.len() <= MAX_DTX_LEN
}

/// Whether it carries a copy of the previous packet (in-band FEC, LBRR), for a receiver that has lost that
/// one.
#[must_use]
pub fn has_fec(packet: &[u8]) -> bool {
    let Some(layout) = Layout::of(packet) else { return false };
    let Some(flags) = layout.first.first().copied().filter(|_| layout.toc.has_speech()) else { return false };
    // The first bits of a frame: for each channel, which 20 ms are voiced, then whether there is a copy.
    let parts = u32::from(layout.toc.frame_samples() / 960).max(1);
    let bit = |shift: u32| flags.checked_shr(shift).is_some_and(|bits| bits & 1 == 1);
    bit(7 - parts) || (layout.toc.channels() == 2 && bit(6 - 2 * parts))
}

/// The first byte of a packet (TOC).
#[derive(Clone, Copy)]
struct Toc(u8);

impl Toc {
    fn config(self) -> u8 {
        self.0 >> 3
    }

    fn channels(self) -> u8 {
        if self.0 & 0b100 == 0 { 1 } else { 2 }
    }

    /// Whether the codec of speech is used, alone or for the low frequencies: only that has copies.
    fn has_speech(self) -> bool {
        self.config() < 16
    }

    /// Samples of one frame at 48 kHz.
    fn frame_samples(self) -> u16 {
        let size = self.config() & 0b11;
        match self.config() {
            0..12 => [480, 960, 1_920, 2_880].get(usize::from(size)).copied().unwrap_or(960),
            12..16 if size & 1 == 0 => 480,
            12..16 => 960,
            _ => 120 << size,
        }
    }
}

/// The frames of a packet.
struct Layout<'p> {
    toc: Toc,
    count: u8,
    /// The first frame, which may be empty.
    first: &'p [u8],
}

impl<'p> Layout<'p> {
    /// `None` if it violates one of the rules of RFC 6716, section 3.4.
    fn of(packet: &'p [u8]) -> Option<Self> {
        let (toc, rest) = packet.split_first()?;
        let toc = Toc(*toc);
        let (count, first) = match toc.0 & 0b11 {
            0 => (1, rest),
            1 => (2, rest.split_at_checked(rest.len() / 2).filter(|_| rest.len().is_multiple_of(2))?.0),
            2 => {
                let (len, rest) = frame_len(rest)?;
                let (first, second) = rest.split_at_checked(len)?;
                if second.len() > MAX_FRAME_LEN {
                    return None;
                }
                (2, first)
            }
            _ => many(rest)?,
        };
        let layout = Self { toc, count, first };
        (first.len() <= MAX_FRAME_LEN && layout.samples() <= MAX_SAMPLES && count > 0).then_some(layout)
    }

    fn samples(&self) -> u32 {
        u32::from(self.toc.frame_samples()) * u32::from(self.count)
    }
}

/// The number of frames and the first one of a packet with any number of them (code 3), without its TOC.
fn many(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (head, mut rest) = rest.split_first()?;
    let (count, padded, of_any_len) = (head & 0x3f, head & 0x40 != 0, head & 0x80 != 0);
    if count == 0 || count > 48 {
        return None;
    }
    let mut padding = 0_usize;
    let mut more = padded;
    while more {
        let (len, after) = rest.split_first()?;
        rest = after;
        more = *len == 255;
        padding += usize::from(if more { 254 } else { *len });
    }
    if !of_any_len {
        let frames = rest.get(..rest.len().checked_sub(padding)?)?;
        let len = frames.len() / usize::from(count);
        if !frames.len().is_multiple_of(usize::from(count)) || len > MAX_FRAME_LEN {
            return None;
        }
        return Some((count, frames.get(..len)?));
    }
    let (mut first, mut sum) = (None, 0_usize);
    for _ in 1..count {
        let (len, after) = frame_len(rest)?;
        rest = after;
        first.get_or_insert(len);
        sum += len;
    }
    let frames = rest.get(..rest.len().checked_sub(padding)?)?;
    let last = frames.len().checked_sub(sum)?;
    if last > MAX_FRAME_LEN {
        return None;
    }
    Some((count, frames.get(..first.unwrap_or(last))?))
}

/// A frame's length, in one or two bytes, and what follows it.
fn frame_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [len @ 0..252, rest @ ..] => Some((usize::from(*len), rest)),
        [low, high, rest @ ..] => Some((usize::from(*low) + 4 * usize::from(*high), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_all_configurations() {
        let of = |config: u8| samples(&[config << 3]).unwrap();
        let speech = [480, 960, 1920, 2880];
        let expected: Vec<u32> = [speech, speech, speech, [480, 960, 480, 960]]
            .concat()
            .into_iter()
            .chain([120, 240, 480, 960].repeat(4))
            .collect();
        assert_eq!((0..32).map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn packets_of_several_frames() {
        let twice_20_ms = 0b1111_1001;
        assert_eq!(samples(&[twice_20_ms, 1, 2]), Some(1_920));
        assert_eq!(samples(&[twice_20_ms, 1, 2, 3]), None, "frames of the same length");
        assert_eq!(samples(&[0b1111_1110, 1, 7, 8, 9]), Some(1_920));
        assert_eq!(channels(&[0b1111_1110, 1, 7, 8, 9]), Some(2));
        assert_eq!(samples(&[0b1111_1110, 9, 7]), None, "the first is cut off");
        let many = 0b1111_1011;
        assert_eq!(samples(&[many, 6, 1, 2, 3, 4, 5, 6]), Some(MAX_SAMPLES));
        assert_eq!(samples(&[many, 7, 1, 2, 3, 4, 5, 6, 7]), None, "140 ms");
        assert_eq!(samples(&[many, 0]), None, "no frame");
        let padded = 0x40;
        assert_eq!(samples(&[many, padded | 2, 3, 1, 2, 0, 0, 0]), Some(1_920));
        assert_eq!(samples(&[many, padded | 2, 9, 1, 2]), None, "more padding than bytes");
        let of_any_len = 0x80;
        assert_eq!(samples(&[many, of_any_len | 3, 1, 0, 7, 8, 9]), Some(2_880));
        assert_eq!(samples(&[many, of_any_len | 3, 200, 0, 7]), None);
        assert_eq!(samples(&[]), None);
    }

    #[test]
    fn frames_that_are_too_long() {
        let mut packet = vec![0xf8; 1 + MAX_FRAME_LEN];
        assert_eq!(samples(&packet), Some(960));
        packet.push(0);
        assert_eq!(samples(&packet), None);
    }

    #[test]
    fn silence_that_need_not_be_sent() {
        assert!(is_dtx(&[0xf8]) && is_dtx(&[0xf8, 0]));
        assert!(!is_dtx(&[]) && !is_dtx(&[0xf8, 0xff, 0xfe]));
    }

    #[test]
    fn copies_of_the_previous_packet() {
        // 20 ms of speech: one bit of voice, then the one of the copy.
        let speech = 1 << 3;
        assert!(has_fec(&[speech, 0b0100_0000]) && !has_fec(&[speech, 0b1011_1111]));
        assert!(has_fec(&[speech | 0b100, 0b0001_0000]), "of the second channel");
        // 60 ms: three bits of voice.
        assert!(has_fec(&[3 << 3, 0b0001_0000]) && !has_fec(&[3 << 3, 0b1110_1111]));
        assert!(has_fec(&[3 << 3 | 0b100, 0b0000_0001]));
        assert!(!has_fec(&[31 << 3, 0xff]), "music has none");
        assert!(!has_fec(&[speech]) && !has_fec(&[]));
    }
}
