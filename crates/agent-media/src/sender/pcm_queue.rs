//! The samples that wait to be sent, in the format that is encoded.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{AudioFormat, FormatError, Resampler};

/// Mean square below which a seam is inaudible: -55 dBFS.
const SILENT: f64 = 3_400.0;

/// A bounded queue of samples, with the conversion of what comes in.
#[derive(Debug)]
pub(super) struct PcmQueue {
    format: AudioFormat,
    samples: VecDeque<i16>,
    /// The most samples.
    limit: usize,
    /// The conversion of the last input, unless that had the format of the queue.
    resampler: Option<Resampler>,
    /// Whether the resampler has the end of the sound in it.
    has_tail: bool,
    converted: Vec<i16>,
}

impl PcmQueue {
    pub(super) fn new(format: AudioFormat, limit: Duration) -> Self {
        Self {
            format,
            samples: VecDeque::new(),
            limit: format.samples_in(limit),
            resampler: None,
            has_tail: false,
            converted: Vec::new(),
        }
    }

    /// The number of samples of all channels.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn duration(&self) -> Duration {
        self.format.duration_of(self.samples.len() / usize::from(self.format.channels()))
    }

    /// Whether there is nothing left to be sent, not even in the resampler.
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && !self.has_tail
    }

    /// Takes as many samples as there is room for; returns how many of each channel.
    pub(super) fn push(&mut self, format: AudioFormat, samples: &[i16]) -> Result<usize, FormatError> {
        self.convert_from(format)?;
        let channels = usize::from(format.channels());
        let room = self.room(format);
        let frames = (samples.len() / channels).min(room);
        let taken = samples.get(..frames * channels).unwrap_or_default();
        match &mut self.resampler {
            Some(resampler) => {
                self.converted.clear();
                resampler.push(taken, &mut self.converted);
                self.samples.extend(&self.converted);
                self.has_tail |= frames > 0 && !resampler.delay().is_zero();
            }
            None => self.samples.extend(taken),
        }
        Ok(frames)
    }

    /// Makes the conversion of a format the current one.
    fn convert_from(&mut self, format: AudioFormat) -> Result<(), FormatError> {
        let current = self.resampler.as_ref().map_or(self.format, Resampler::input);
        if current != format {
            let resampler =
                if format == self.format { None } else { Some(Resampler::new(format, self.format)?) };
            self.flush();
            self.resampler = resampler;
        }
        Ok(())
    }

    /// How many samples of each channel of this format can be taken, and what a resampler adds at the end.
    fn room(&self, format: AudioFormat) -> usize {
        let room = self.limit.saturating_sub(self.samples.len()) / usize::from(self.format.channels());
        let Some(resampler) = self.resampler.as_ref().filter(|resampler| !resampler.delay().is_zero()) else {
            return room;
        };
        let room = room.saturating_sub(self.format.frames_in(resampler.delay()) + 2) as u64;
        let exact = room * u64::from(format.sample_rate()) / u64::from(self.format.sample_rate());
        usize::try_from(exact).unwrap_or(usize::MAX)
    }

    /// Adds what is left in the resampler: the end of the sound.
    pub(super) fn flush(&mut self) {
        if let Some(resampler) = self.resampler.as_mut().filter(|_| self.has_tail) {
            self.converted.clear();
            resampler.flush(&mut self.converted);
            self.samples.extend(&self.converted);
        }
        self.has_tail = false;
    }

    /// Removes samples into a buffer, which is filled with silence if there are fewer; returns how many were
    /// there.
    pub(super) fn take(&mut self, buffer: &mut [i16]) -> usize {
        let taken = self.samples.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.samples.drain(..taken).chain(std::iter::repeat(0))) {
            *to = from;
        }
        taken
    }

    /// Removes the first samples, if they are silence.
    pub(super) fn remove_silence(&mut self, samples: usize) -> bool {
        let energy: f64 = self.samples.iter().take(samples).map(|sample| f64::from(*sample).powi(2)).sum();
        let is_silence = energy < SILENT * samples as f64;
        if is_silence {
            self.samples.drain(..samples.min(self.samples.len()));
        }
        is_silence
    }

    /// Removes everything; returns how long it was.
    pub(super) fn clear(&mut self) -> Duration {
        let duration = self.duration();
        self.samples.clear();
        self.has_tail = false;
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        duration
    }
}
