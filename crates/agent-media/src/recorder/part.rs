//! One file of a recording.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use crate::container::{
    Container, ContainerError, ContainerFrame, ContainerWriter, FinishedFile, TrackFormat, VideoCodec,
    VideoFormat,
};
use crate::opus_timeline::{OpusTimeline, Place, SAMPLE_RATE, samples};

/// The longest silence that is written for a pause, in samples: an hour.
const MAX_SILENCE: u64 = 3_600 * SAMPLE_RATE as u64;

/// How much silence is written at once while nothing comes, in samples.
const SILENCE_STEP: u64 = SAMPLE_RATE as u64;

/// The least time between two pictures.
const VIDEO_STEP: Duration = Duration::from_millis(1);

/// A file that is written, with at most one track of audio and one of video.
#[derive(Debug)]
pub(super) struct Part {
    writer: ContainerWriter,
    /// Complete bytes that were not taken yet.
    complete: Vec<u8>,
    begin: Time,
    audio: Option<Audio>,
    video: Option<Video>,
}

#[derive(Debug)]
struct Audio {
    track: usize,
    stereo: bool,
    /// From the first packet on.
    timeline: Option<OpusTimeline>,
}

#[derive(Debug)]
struct Video {
    track: usize,
    format: VideoFormat,
    /// Whether there was a key frame.
    begun: bool,
    /// The time of the last frame.
    last: Option<Time>,
}

/// The result of writing a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the file.
    Yes,
    /// It cannot be in any.
    Dropped,
    /// It needs another file.
    NeedsPart,
    /// It needs a key frame before it.
    NeedsKeyFrame,
}

impl Part {
    /// A file that begins at this time. There is audio or video.
    pub(super) fn begin(
        container: Container,
        begin: Time,
        stereo: Option<bool>,
        format: Option<VideoFormat>,
    ) -> Result<Self, ContainerError> {
        let mut tracks = Vec::new();
        let audio = stereo.map(|stereo| {
            tracks.push(TrackFormat::Opus { channels: if stereo { 2 } else { 1 } });
            Audio { track: 0, stereo, timeline: None }
        });
        let video = format.map(|format| {
            tracks.push(TrackFormat::Video(format.clone()));
            Video { track: tracks.len() - 1, format, begun: false, last: None }
        });
        let writer = ContainerWriter::new(container, tracks)?;
        Ok(Self { writer, complete: Vec::new(), begin, audio, video })
    }

    pub(super) fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    pub(super) fn is_stereo(&self) -> bool {
        self.audio.as_ref().is_some_and(|audio| audio.stereo)
    }

    pub(super) fn format(&self) -> Option<&VideoFormat> {
        self.video.as_ref().map(|video| &video.format)
    }

    /// Writes a packet of audio, after silence for the time before it.
    pub(super) fn write_audio(&mut self, time: Time, payload: Bytes) -> Written {
        let Some(audio) = &mut self.audio else { return Written::NeedsPart };
        let at = time - self.begin;
        let timeline = audio.timeline.get_or_insert_with(|| OpusTimeline::new(samples(at), audio.stereo));
        let hole = match timeline.place(at) {
            Place::After(hole) if hole > MAX_SILENCE => return Written::NeedsPart,
            Place::After(hole) => hole,
            Place::Over => return Written::Dropped,
        };
        let until = timeline.position().saturating_add(hole);
        fill(&mut self.writer, &mut self.complete, audio.track, timeline, until);
        let at = duration(timeline.position());
        let written = self.writer.write(audio.track, ContainerFrame::audio(payload.clone(), at));
        if written.is_ok() {
            timeline.push(&payload);
        }
        self.keep(written)
    }

    /// How long the silence lasts, from this time on, that was written after the last packet of audio.
    pub(super) fn silence_after(&self, time: Time) -> Option<Duration> {
        let timeline = self.audio.as_ref()?.timeline.as_ref()?;
        let rest = timeline.made_up_after(time - self.begin)?;
        Some(duration(rest))
    }

    /// Writes a frame of video. `format` is that of a key frame.
    pub(super) fn write_video(
        &mut self,
        time: Time,
        codec: VideoCodec,
        payload: Bytes,
        format: Option<&VideoFormat>,
    ) -> Written {
        let Some(video) = &mut self.video else { return Written::NeedsPart };
        match format {
            Some(format) if *format != video.format => return Written::NeedsPart,
            None if !video.begun || codec != video.format.codec() => return Written::NeedsKeyFrame,
            _ => {}
        }
        // When the clock is corrected, frames come closer together.
        let time = video.last.map_or(time, |last| time.max(last + VIDEO_STEP));
        let frame = ContainerFrame::video(payload, time - self.begin, format.is_some());
        let written = self.writer.write(video.track, frame);
        if written.is_ok() {
            (video.begun, video.last) = (true, Some(time));
        }
        self.keep(written)
    }

    /// When silence is written next, if no audio comes.
    pub(super) fn next_silence(&self) -> Option<Time> {
        let timeline = self.audio.as_ref()?.timeline.as_ref()?;
        Some(self.begin + duration(timeline.position().saturating_add(SILENCE_STEP)))
    }

    /// Writes silence up to this time instead of audio that has not come.
    pub(super) fn write_silence(&mut self, until: Time) -> Written {
        let Some(audio) = &mut self.audio else { return Written::Dropped };
        let Some(timeline) = &mut audio.timeline else { return Written::Dropped };
        let until = samples(until - self.begin);
        if until.saturating_sub(timeline.position()) > MAX_SILENCE {
            return Written::NeedsPart;
        }
        while timeline.position().saturating_add(SILENCE_STEP) <= until {
            let step = timeline.position() + SILENCE_STEP;
            fill(&mut self.writer, &mut self.complete, audio.track, timeline, step);
        }
        Written::Yes
    }

    /// Completes what is there without waiting for more.
    pub(super) fn flush(&mut self) {
        self.complete.extend_from_slice(&self.writer.flush().unwrap_or_default());
    }

    /// Takes what is complete.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.complete).into()
    }

    /// Completes the file. If its audio ends before its video, silence is added.
    pub(super) fn finish(mut self) -> (FinishedFile, Duration) {
        let end = samples(self.writer.duration());
        if let Some(Audio { track, timeline: Some(timeline), .. }) = &mut self.audio
            && end.saturating_sub(timeline.position()) < SILENCE_STEP
        {
            fill(&mut self.writer, &mut self.complete, *track, timeline, end);
        }
        let duration = self.writer.duration();
        let mut file = self.writer.finish().unwrap_or_default();
        file.append = [self.complete, file.append.to_vec()].concat().into();
        (file, duration)
    }

    /// Keeps the bytes that a frame has completed, and returns the frame's result.
    fn keep(&mut self, written: Result<Bytes, ContainerError>) -> Written {
        use ContainerError::{FormatChanged, PauseTooLong, TooLate};
        match written {
            Ok(bytes) => {
                self.complete.extend_from_slice(&bytes);
                Written::Yes
            }
            Err(FormatChanged | PauseTooLong { .. } | TooLate { .. }) => Written::NeedsPart,
            Err(_) => Written::Dropped,
        }
    }
}

/// Fills the time up to this sample.
fn fill(
    writer: &mut ContainerWriter,
    complete: &mut Vec<u8>,
    track: usize,
    timeline: &mut OpusTimeline,
    until: u64,
) {
    loop {
        let at = duration(timeline.position());
        let Some(packet) = timeline.fill(until) else { return };
        if let Ok(bytes) = writer.write(track, ContainerFrame::audio(packet, at)) {
            complete.extend_from_slice(&bytes);
        }
    }
}

fn duration(samples: u64) -> Duration {
    Duration::from_nanos(samples.saturating_mul(62_500) / 3)
}
