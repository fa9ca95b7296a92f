//! A stream of Opus packets without holes: what fills the times of which no packet came.
//!
//! In Ogg each packet begins where the one before it ends (RFC 7845, section 4.1), and players of other files
//! rely on it, too: without what is missing, sound would run ahead of the picture.

use std::time::Duration;

use bytes::Bytes;

use crate::opus_packet;

/// Samples of a second.
pub(crate) const SAMPLE_RATE: u32 = 48_000;

/// The shortest packet has 2.5 ms.
const UNIT: u32 = 120;

/// How far a packet may reach into what was written before it, 20 ms: sound is shifted by that much rather
/// than lost, until the next pause.
const MAX_OVERLAP: u64 = 960;

/// How long after a packet the decoder makes up what is missing, which becomes silent or is comfort noise. A
/// silent sender that uses DTX sends a packet each 400 ms.
const MAX_CONCEALED: u32 = SAMPLE_RATE;

/// The most frames of a length of a packet: 120 ms.
const MAX_FILLER: u32 = opus_packet::MAX_SAMPLES;

/// A frame of silence, without its TOC.
const SILENT_FRAME: [u8; 2] = [0xff, 0xfe];

/// The TOC of packets of frames of 20, 10, 5 and 2.5 ms of the codec of music (CELT), mono, with a count.
const SILENT_TOCS: [(u32, u8); 4] = [(960, 0xfb), (480, 0xf3), (240, 0xeb), (UNIT, 0xe3)];

/// The bit of stereo in a TOC.
const STEREO: u8 = 0b100;

/// Where the next packet of a stream begins.
#[derive(Clone, Debug)]
pub(crate) struct OpusTimeline {
    position: u64,
    /// The first byte of the last packet, and how much has been made up after it.
    last: Option<(u8, u32)>,
    stereo: bool,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It follows, after this many samples that are to be filled.
    After(u64),
    /// Its time is over.
    Over,
}

impl OpusTimeline {
    /// A stream that begins at this sample.
    pub(crate) fn new(position: u64, stereo: bool) -> Self {
        Self { position, last: None, stereo }
    }

    /// The sample at which the next packet begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// What becomes of a packet that begins at this time.
    pub(crate) fn place(&self, timestamp: Duration) -> Place {
        let begin = samples(timestamp);
        if begin.saturating_add(MAX_OVERLAP) < self.position {
            return Place::Over;
        }
        Place::After(begin.saturating_sub(self.position))
    }

    /// How many samples were made up from this time on, if that is why a packet of this time is too late.
    pub(crate) fn made_up_after(&self, timestamp: Duration) -> Option<u64> {
        let (_, made_up) = self.last?;
        let rest = self.position.checked_sub(samples(timestamp)).filter(|rest| *rest > MAX_OVERLAP)?;
        (made_up > 0 && rest <= u64::from(made_up).saturating_add(MAX_OVERLAP)).then_some(rest)
    }

    /// Counts a packet that is written next.
    pub(crate) fn push(&mut self, packet: &[u8]) {
        self.position += u64::from(opus_packet::samples(packet).unwrap_or_default());
        self.last = packet.first().map(|toc| (*toc, 0));
    }

    /// The next packet on the way to this sample, if one fits before it: it counts as written.
    pub(crate) fn fill(&mut self, until: u64) -> Option<Bytes> {
        let missing = u32::try_from(until.saturating_sub(self.position)).unwrap_or(u32::MAX);
        let (packet, samples) = self.concealment(missing).or_else(|| self.silence(missing))?;
        self.position += u64::from(samples);
        if let Some((_, made_up)) = &mut self.last {
            *made_up = made_up.saturating_add(samples);
        }
        Some(packet)
    }

    /// Frames of no bytes, which decoders conceal as if they had been lost, like those of the last packet.
    fn concealment(&self, missing: u32) -> Option<(Bytes, u32)> {
        let (toc, made_up) = self.last?;
        let frame = opus_packet::samples(&[toc & !0b11])?;
        let room = missing.min(MAX_FILLER).min(MAX_CONCEALED.saturating_sub(made_up));
        let count = u8::try_from(room / frame).ok().filter(|count| *count > 0)?;
        // Code 3: any number of frames, of the same length, without padding.
        Some((Bytes::copy_from_slice(&[toc | 0b11, count]), frame * u32::from(count)))
    }

    fn silence(&self, missing: u32) -> Option<(Bytes, u32)> {
        let (frame, toc) = SILENT_TOCS.into_iter().find(|(frame, _)| *frame <= missing)?;
        let count = u8::try_from(missing.min(MAX_FILLER) / frame).ok()?;
        let mut packet = vec![toc | if self.stereo { STEREO } else { 0 }, count];
        packet.extend(SILENT_FRAME.repeat(usize::from(count)));
        Some((packet.into(), frame * u32::from(count)))
    }
}

/// A time in samples, rounded.
pub(crate) fn samples(time: Duration) -> u64 {
    let scaled = time.as_nanos().saturating_mul(u128::from(SAMPLE_RATE)).saturating_add(500_000_000);
    u64::try_from(scaled / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(timeline: &mut OpusTimeline, until: u64) -> Vec<Bytes> {
        std::iter::from_fn(|| timeline.fill(until)).collect()
    }

    fn sum(packets: &[Bytes]) -> u32 {
        packets.iter().map(|packet| opus_packet::samples(packet).expect("Opus")).sum()
    }

    #[test]
    fn any_hole_is_filled_up_to_less_than_a_unit() {
        for config in 0..32_u8 {
            for hole in [119, 120, 239, 961, 5_760, 47_999, 96_001, 1_000_000] {
                let packet = [config << 3, 1, 2, 3];
                let mut timeline = OpusTimeline::new(0, false);
                timeline.push(&packet);
                let until = timeline.position() + hole;
                let packets = fill(&mut timeline, until);
                assert_eq!(u64::from(sum(&packets)), hole / 120 * 120, "{config} {hole}");
                assert!(until - timeline.position() < 120);
            }
        }
    }

    #[test]
    fn a_second_is_concealed_and_the_rest_is_silence() {
        let mut timeline = OpusTimeline::new(0, true);
        timeline.push(&[0x78, 1, 2, 3]);
        let packets = fill(&mut timeline, 960 + 96_000);
        let is_concealed = |packet: &&Bytes| packet.len() == 2;
        let concealed: Vec<Bytes> = packets.iter().filter(is_concealed).cloned().collect();
        assert_eq!(sum(&concealed), 48_000);
        assert!(concealed.iter().all(|packet| packet[0] == 0x7b), "as the last packet: {concealed:?}");
        assert!(packets[concealed.len()..].iter().all(|packet| opus_packet::channels(packet) == Some(2)));
        // After the next packet it begins again.
        timeline.push(&[0x78, 1, 2, 3]);
        let until = timeline.position() + 960;
        assert_eq!(timeline.fill(until).unwrap().len(), 2);
        let made_up_after = |millis| timeline.made_up_after(Duration::from_millis(millis));
        // From 2,040 to 2,060 ms.
        assert_eq!(
            [2_015, 2_020, 2_039, 2_040, 2_060].map(made_up_after),
            [None, Some(1_920), Some(1_008), None, None]
        );
    }

    #[test]
    fn late_packets_have_no_place() {
        let mut timeline = OpusTimeline::new(0, false);
        for _ in 0..50 {
            timeline.push(&[0x78, 1, 2, 3]);
        }
        let at = |millis| timeline.place(Duration::from_millis(millis));
        assert_eq!(at(1_000), Place::After(0));
        assert_eq!(at(1_100), Place::After(4_800));
        assert_eq!(at(980), Place::After(0), "a little too early");
        assert_eq!(at(979), Place::Over);
        assert_eq!(timeline.made_up_after(Duration::from_millis(979)), None, "sound is there");
        assert_eq!(timeline.place(Duration::MAX), Place::After(u64::MAX - 48_000));
    }
}
