//! Voice activity of a track.

use std::fmt;
use std::time::Duration;

use earshot::Detector;

use agent_worker::media::{AudioFormat, AudioFrame};

/// The score from which on a frame is speech.
const VOICE: f32 = 0.5;

/// Finds speech in the sound of one track, 16 kHz mono.
pub struct VoiceDetector {
    detector: Box<Detector>,
    /// Less than a frame.
    pending: Vec<i16>,
}

impl VoiceDetector {
    /// The samples that are examined at a time.
    pub const FRAME: usize = 256;

    /// How long a frame lasts.
    pub const FRAME_DURATION: Duration = Duration::from_millis(16);

    /// The format that it takes.
    pub const FORMAT: AudioFormat = AudioFormat::MONO_16K;

    /// A detector at the beginning of a track.
    #[must_use]
    pub fn new() -> Self {
        Self { detector: Detector::default_boxed(), pending: Vec::new() }
    }

    /// Calls `each` with the frames that are complete now, and whether they are speech. What is left belongs
    /// to the next frame.
    pub fn push(&mut self, audio: &AudioFrame, mut each: impl FnMut(&[i16], bool)) {
        self.pending.extend_from_slice(audio.samples());
        let frames = self.pending.chunks_exact(Self::FRAME);
        let rest = frames.remainder().len();
        for frame in frames {
            each(frame, self.detector.predict_i16(frame) >= VOICE);
        }
        self.pending.drain(..self.pending.len() - rest);
    }
}

impl Default for VoiceDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VoiceDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceDetector").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sounds;

    /// The share of the frames that are speech.
    fn speech(audio: &AudioFrame, piece: usize) -> f64 {
        let (mut detector, mut speech, mut frames) = (VoiceDetector::new(), 0, 0);
        for samples in audio.samples().chunks(piece) {
            let piece = AudioFrame::new(VoiceDetector::FORMAT, samples.to_vec()).unwrap();
            detector.push(&piece, |frame, is_voice| {
                assert_eq!(frame.len(), VoiceDetector::FRAME);
                speech += u32::from(is_voice);
                frames += 1;
            });
        }
        assert_eq!(frames, audio.samples().len() / VoiceDetector::FRAME);
        f64::from(speech) / frames as f64
    }

    #[test]
    fn speech_is_distinguished_from_silence_in_pieces_of_any_length() {
        let format = VoiceDetector::FORMAT;
        let second = Duration::from_secs(2);
        for piece in [100, 256, 320, 5_000] {
            assert!(speech(&sounds::vowels(format, second), piece) > 0.6);
            assert_eq!(speech(&AudioFrame::silence(format, second), piece), 0.0);
        }
    }
}
