//! Segments of speech: where one begins and ends, without a clock and without a detector.

use std::time::Duration;

use crate::VoiceDetector;

/// How much sound before the first frame of speech belongs to a segment: a detector notices the beginning of
/// a word late.
const LEAD: usize = samples_in(Duration::from_millis(320));

/// A segment begins when this many of the last frames are speech: a click is not one.
const BEGIN_FRAMES: u32 = 5;
const BEGIN_WINDOW: u32 = 10;

/// A pause that ends a segment. Within a sentence pauses are shorter.
const PAUSE_FRAMES: usize = samples_in(Duration::from_millis(640)) / VoiceDetector::FRAME;

/// Silence that may be the beginning of a pause: no interim text is requested during it.
const BREATH_FRAMES: usize = samples_in(Duration::from_millis(160)) / VoiceDetector::FRAME;

/// How much of the pause belongs to the segment.
const TAIL: usize = samples_in(Duration::from_millis(320));

/// Maximum length of a segment. Longer speech is cut.
pub(crate) const MAX_SEGMENT: Duration = Duration::from_secs(15);
const MAX_SAMPLES: usize = samples_in(MAX_SEGMENT);

const fn samples_in(duration: Duration) -> usize {
    duration.as_millis() as usize * VoiceDetector::FRAME / VoiceDetector::FRAME_DURATION.as_millis() as usize
}

/// Finds segments of speech in frames of a [`VoiceDetector`].
#[derive(Debug, Default)]
pub(crate) struct Segmenter {
    /// Of the open segment, or what would precede one.
    samples: Vec<i16>,
    /// Whether the last frames were speech, the newest in the lowest bit.
    recent: u32,
    /// Whether a segment has begun.
    is_open: bool,
    /// The frames of speech in the open segment.
    voiced: u32,
    /// The frames since the last one of speech.
    quiet: usize,
    /// The end of the last frame of the open segment that is not speech.
    last_gap: usize,
}

impl Segmenter {
    /// Takes the next frame. Returns the segment that ends with it, if one does.
    pub(crate) fn push(&mut self, frame: &[i16], is_voice: bool) -> Option<Vec<i16>> {
        self.samples.extend_from_slice(frame);
        self.recent = (self.recent << 1 | u32::from(is_voice)) & ((1 << BEGIN_WINDOW) - 1);
        if !self.is_open {
            if self.recent.count_ones() < BEGIN_FRAMES {
                let lead = LEAD + BEGIN_WINDOW as usize * frame.len();
                self.samples.drain(..self.samples.len().saturating_sub(lead));
                return None;
            }
            self.is_open = true;
            (self.voiced, self.quiet, self.last_gap) = (self.recent.count_ones(), 0, 0);
            return None;
        }
        if is_voice {
            self.voiced += 1;
            self.quiet = 0;
        } else {
            self.quiet += 1;
            self.last_gap = self.samples.len();
        }
        if self.quiet >= PAUSE_FRAMES {
            let end = self.samples.len().saturating_sub(self.quiet * frame.len()) + TAIL;
            self.is_open = false;
            return self.cut(end);
        }
        if self.samples.len() >= MAX_SAMPLES {
            // Between two words rather than within one.
            let end = if self.last_gap > MAX_SAMPLES / 2 { self.last_gap } else { self.samples.len() };
            return self.cut(end);
        }
        None
    }

    /// The open segment up to now, unless its speaker pauses.
    pub(crate) fn spoken(&self) -> Option<&[i16]> {
        (self.is_open && self.quiet < BREATH_FRAMES).then_some(&*self.samples)
    }

    /// The segment that is open at the end of the track, if one is.
    pub(crate) fn finish(&mut self) -> Option<Vec<i16>> {
        if !std::mem::take(&mut self.is_open) {
            return None;
        }
        self.cut(self.samples.len())
    }

    /// Takes the segment up to `end`, unless it has next to no speech, as what follows a cut may have.
    fn cut(&mut self, end: usize) -> Option<Vec<i16>> {
        let rest = self.samples.split_off(end.min(self.samples.len()));
        let segment = std::mem::replace(&mut self.samples, rest);
        let has_speech = std::mem::take(&mut self.voiced) >= BEGIN_FRAMES;
        self.last_gap = 0;
        self.recent = 0;
        has_speech.then_some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds frames, each with its own number as its samples.
    struct Feed {
        segmenter: Segmenter,
        segments: Vec<Vec<i16>>,
        number: i16,
    }

    impl Feed {
        fn new() -> Self {
            Self { segmenter: Segmenter::default(), segments: Vec::new(), number: 0 }
        }

        fn frames(&mut self, count: usize, is_voice: bool) {
            for _ in 0..count {
                let frame = [self.number; VoiceDetector::FRAME];
                self.segments.extend(self.segmenter.push(&frame, is_voice));
                self.number += 1;
            }
        }

        /// The numbers of the first and the last frame of each segment.
        fn found(&self) -> Vec<(i16, i16)> {
            self.segments.iter().map(|segment| (segment[0], *segment.last().unwrap())).collect()
        }
    }

    #[test]
    fn a_segment_has_what_precedes_it_and_a_part_of_the_pause() {
        let mut feed = Feed::new();
        feed.frames(100, false);
        feed.frames(60, true);
        // A pause within a sentence.
        feed.frames(PAUSE_FRAMES - 1, false);
        feed.frames(60, true);
        assert!(feed.segmenter.spoken().is_some());
        feed.frames(PAUSE_FRAMES - 1, false);
        assert_eq!(feed.found(), []);
        assert_eq!(feed.segmenter.spoken(), None, "a pause");
        feed.frames(100, false);
        let [(first, last)] = feed.found()[..] else { panic!("{:?}", feed.found()) };
        let speech_end = 100 + 60 + PAUSE_FRAMES as i16 - 1 + 60 - 1;
        assert!((70..=80).contains(&first), "320 ms and up to ten frames: {first}");
        assert_eq!(last, speech_end + 20, "320 ms");
        assert_eq!(feed.segmenter.spoken(), None);
        assert_eq!(feed.segmenter.finish(), None);
    }

    #[test]
    fn a_click_is_no_segment() {
        let mut feed = Feed::new();
        for _ in 0..20 {
            feed.frames(BEGIN_FRAMES as usize - 1, true);
            feed.frames(BEGIN_WINDOW as usize, false);
        }
        assert_eq!((feed.found(), feed.segmenter.finish()), (vec![], None));
        assert!(feed.segmenter.samples.len() < 10_000, "what precedes a segment is bounded");
    }

    #[test]
    fn two_segments_share_no_sound_and_miss_none_of_their_speech() {
        let mut feed = Feed::new();
        for _ in 0..2 {
            feed.frames(30, true);
            feed.frames(PAUSE_FRAMES, false);
        }
        let [(first, end), (next, last)] = feed.found()[..] else { panic!("{:?}", feed.found()) };
        assert_eq!((first, end), (0, 49));
        assert_eq!((next, last), (50, 30 + PAUSE_FRAMES as i16 + 49));
    }

    #[test]
    fn long_speech_is_cut_between_words() {
        let frames = MAX_SAMPLES.div_ceil(VoiceDetector::FRAME);
        let mut feed = Feed::new();
        feed.frames(frames - 100, true);
        feed.frames(3, false);
        feed.frames(2 * frames, true);
        let cut = (frames - 100 + 3) as i16;
        assert_eq!(feed.found()[..2], [(0, cut - 1), (cut, cut + frames as i16 - 1)]);
        // Nothing is lost between them, and the rest comes at the end.
        feed.segments.extend(feed.segmenter.finish());
        let all: usize = feed.segments.iter().map(Vec::len).sum();
        assert_eq!(all, feed.number as usize * VoiceDetector::FRAME);
    }

    #[test]
    fn silence_after_a_cut_is_no_segment() {
        let mut feed = Feed::new();
        feed.frames(MAX_SAMPLES / VoiceDetector::FRAME, true);
        feed.frames(200, false);
        assert_eq!(feed.found().len(), 1, "{:?}", feed.found());
        assert_eq!(feed.segmenter.finish(), None);
    }
}
