//! The machine.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use super::clock::{Arrival, Unwrapped};
use super::frame::{RecordedVideo, RecorderInput, RecorderOutput};
use super::options::{RecorderOptions, RecorderStats};
use super::part::{Part, Written};
use super::queue::{QueuedFrame, TrackQueue};
use crate::container::{Container, VideoFormat};
use crate::opus_packet;

/// How long the beginning of a file waits for published audio or video that has not come.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum time until complete frames are written if no others come.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// How often a key frame is requested.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum width and height, in pixels, of the pictures that servers send while a track is muted.
const MAX_BLANK: u16 = 8;
/// How late audio may come after silence has been written in its place, so that it follows the silence.
const MAX_PUT_OFF: Duration = Duration::from_secs(2);
/// Maximum number of frames that wait, of each track and of both.
const MAX_QUEUED: usize = 2_048;
const MAX_QUEUED_BYTES: usize = 16 << 20;

/// Records one participant. See the [module](super).
#[derive(Debug)]
pub struct Recorder {
    options: RecorderOptions,
    audio: TrackQueue<Bytes>,
    audio_clock: Unwrapped,
    video: TrackQueue<RecordedVideo>,
    published: Published,
    /// When frames began to wait for a file.
    waiting_since: Option<Time>,
    /// When the first frame of the recording was captured.
    begin: Option<Time>,
    part: Option<Part>,
    /// When something was written last.
    written: Time,
    key_requested: Option<Time>,
    outputs: VecDeque<RecorderOutput>,
    stats: RecorderStats,
    finished: bool,
}

#[derive(Clone, Copy, Debug)]
struct Published {
    audio: bool,
    video: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Audio,
    Video,
}

impl QueuedFrame for Bytes {
    const IS_AUDIO: bool = true;

    fn bytes(&self) -> usize {
        self.len()
    }

    fn length(&self) -> Duration {
        opus_packet::duration(self).unwrap_or_default()
    }
}

impl QueuedFrame for RecordedVideo {
    const IS_AUDIO: bool = false;

    fn bytes(&self) -> usize {
        self.payload.len()
    }

    fn length(&self) -> Duration {
        Duration::ZERO
    }
}

impl Recorder {
    /// A recorder without a file.
    #[must_use]
    pub fn new(options: RecorderOptions) -> Self {
        Self {
            options,
            audio: TrackQueue::new(),
            audio_clock: Unwrapped::default(),
            video: TrackQueue::new(),
            published: Published { audio: false, video: false },
            waiting_since: None,
            begin: None,
            part: None,
            written: Time::ZERO,
            key_requested: None,
            outputs: VecDeque::new(),
            stats: RecorderStats::default(),
            finished: false,
        }
    }

    /// Takes what has happened.
    pub fn handle_input(&mut self, input: RecorderInput, now: Time) {
        if self.finished {
            return;
        }
        self.audio.advance(now);
        self.video.advance(now);
        self.video.align(self.audio.standing());
        match input {
            RecorderInput::Published { audio, video } => self.published = Published { audio, video },
            RecorderInput::Audio(packet) if opus_packet::samples(&packet.payload).is_none() => {
                self.stats.dropped += 1;
            }
            RecorderInput::Audio(packet) => {
                if self.audio.is_other_source(packet.source) {
                    self.audio_clock = Unwrapped::default();
                }
                let timestamp = self.audio_clock.audio(packet.timestamp);
                let arrival = Arrival { timestamp, at: now, captured: packet.captured };
                self.stats.dropped += self.audio.push(packet.source, arrival, packet.payload);
                // The part with audio that begins now has no picture before a key frame.
                if self.part.as_ref().is_some_and(|part| !part.has_audio() && part.format().is_some()) {
                    self.request_key_frame(now);
                }
            }
            RecorderInput::Video(frame) if is_blank(&frame) => self.stats.dropped += 1,
            RecorderInput::Video(frame) if self.options.container != Container::OggOpus => {
                let arrival = Arrival { timestamp: frame.timestamp, at: now, captured: frame.captured };
                self.stats.dropped += self.video.push(frame.source, arrival, frame);
            }
            RecorderInput::Video(_) => {}
            RecorderInput::Finish => return self.finish(now),
        }
        // Nothing else is written here: frames that waited for the driver come all at once, in any order.
        while !self.finished
            && self.is_full()
            && let Some((_, kind)) = self.next()
        {
            self.write_next(kind, now);
        }
        self.wait(now);
    }

    /// Writes all whose time has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((time, kind)) = self.next() {
            if self.finished || time + self.options.delay > now || !self.may_begin(now) {
                break;
            }
            self.write_next(kind, now);
        }
        if self.finished {
            return;
        }
        if self.end().is_some_and(|end| end + self.options.delay <= now) {
            return self.finish(now);
        }
        self.write_silence(now);
        if self.part.is_some() && self.written + FLUSH_INTERVAL <= now {
            self.written = now;
            self.part.iter_mut().for_each(Part::flush);
            self.append_complete(now);
        }
        self.wait(now);
    }

    /// What to carry out next.
    pub fn poll_output(&mut self) -> Option<RecorderOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), after all inputs up to then. It may be in the
    /// past.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Time> {
        if self.finished {
            return None;
        }
        let delay = self.options.delay;
        let next = self.next().map(|(time, _)| match self.waiting_since.filter(|_| self.part.is_none()) {
            Some(since) if !self.has_all() => (since + PATIENCE).max(time + delay),
            _ => time + delay,
        });
        let silence = self.part.as_ref().and_then(Part::next_silence).filter(|_| self.published.audio);
        let flush = self.part.as_ref().map(|_| self.written + FLUSH_INTERVAL);
        let end = self.end().map(|end| end + delay);
        [next, silence.map(|time| time + delay), flush, end].into_iter().flatten().min()
    }

    /// Counters of the recording so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        self.stats
    }

    /// Without a file, frames wait for those of the other track.
    fn wait(&mut self, now: Time) {
        if self.part.is_none() && self.waiting_since.is_none() && self.next().is_some() {
            self.waiting_since = Some(now);
        }
    }

    fn is_full(&self) -> bool {
        self.audio.len() > MAX_QUEUED
            || self.video.len() > MAX_QUEUED
            || self.audio.bytes().saturating_add(self.video.bytes()) > MAX_QUEUED_BYTES
    }

    /// The track whose next frame was captured first, and when.
    fn next(&mut self) -> Option<(Time, Kind)> {
        self.video.align(self.audio.standing());
        match (self.audio.next_time(), self.video.next_time()) {
            // Audio of the same time goes into the part that a key frame begins.
            (Some(audio), Some(video)) if audio < video => Some((audio, Kind::Audio)),
            (_, Some(video)) => Some((video, Kind::Video)),
            (Some(audio), None) => Some((audio, Kind::Audio)),
            (None, None) => None,
        }
    }

    fn may_begin(&self, now: Time) -> bool {
        self.part.is_some()
            || self.has_all()
            || self.waiting_since.is_some_and(|since| since + PATIENCE <= now)
    }

    /// Whether frames of all that is published have come, so that a file can begin.
    fn has_all(&self) -> bool {
        let needs_video = self.published.video && self.options.container != Container::OggOpus;
        (!self.published.audio || !self.audio.is_empty())
            && (!needs_video || self.video.frames().any(|frame| frame.is_key))
    }

    /// When the recording ends by itself.
    fn end(&self) -> Option<Time> {
        Some(self.begin? + self.options.max_duration?)
    }

    /// Writes the next frame of a track, to another file if necessary.
    fn write_next(&mut self, kind: Kind, now: Time) {
        let (time, frame) = match kind {
            Kind::Audio => match self.audio.pop() {
                Some((time, payload)) => (self.after_silence(time), Frame::Audio(payload)),
                None => return,
            },
            Kind::Video => match self.video.pop() {
                Some((time, frame)) => (time, Frame::Video { format: video_format(&frame), frame }),
                None => return,
            },
        };
        if self.end().is_some_and(|end| end <= time) {
            return self.finish(now);
        }
        let mut written = self.write(time, &frame);
        if written == Written::NeedsPart {
            written = match self.begin_part(time, &frame, now) {
                true => self.write(time, &frame),
                false => Written::NeedsKeyFrame,
            };
        }
        match written {
            Written::Yes => {
                self.begin.get_or_insert(time);
                self.stats.frames += 1;
            }
            Written::NeedsKeyFrame => {
                self.stats.dropped += 1;
                self.request_key_frame(now);
            }
            Written::Dropped | Written::NeedsPart => self.stats.dropped += 1,
        }
        self.append_complete(now);
    }

    /// When audio is placed that has this time: later if there is silence, as it has come late.
    fn after_silence(&mut self, time: Time) -> Time {
        let late = self.part.as_ref().and_then(|part| part.silence_after(time));
        let Some(late) = late.filter(|late| *late <= MAX_PUT_OFF) else { return time };
        self.audio.put_off(late);
        time + late
    }

    fn write(&mut self, time: Time, frame: &Frame) -> Written {
        let Some(part) = &mut self.part else { return Written::NeedsPart };
        match frame {
            Frame::Audio(payload) => part.write_audio(time, payload.clone()),
            Frame::Video { frame, format } => {
                part.write_video(time, frame.codec, frame.payload.clone(), format.as_ref())
            }
        }
    }

    /// Begins a file for this frame; `false` if a file cannot begin with it.
    fn begin_part(&mut self, time: Time, frame: &Frame, now: Time) -> bool {
        let before = self.part.as_ref();
        let was_stereo =
            before.is_some_and(Part::is_stereo) || matches!(frame, Frame::Audio(packet) if is_stereo(packet));
        let has_audio =
            matches!(frame, Frame::Audio(_)) || !self.audio.is_empty() || before.is_some_and(Part::has_audio);
        let format = match frame {
            Frame::Video { format: Some(format), .. } => Some(format.clone()),
            Frame::Audio(_) => {
                let first = self.video.frames().find_map(video_format);
                first.or_else(|| before.and_then(Part::format).cloned())
            }
            // A file whose video begins with something else could not be played.
            Frame::Video { format: None, .. } => return false,
        };
        self.end_part(now);
        let container = match &format {
            Some(format) if !self.options.container.has(format.codec()) => Container::Mp4,
            _ => self.options.container,
        };
        let stereo =
            has_audio.then(|| self.options.stereo || was_stereo || self.audio.frames().any(is_stereo));
        let Ok(part) = Part::begin(container, time, stereo, format) else { return false };
        self.part = Some(part);
        self.waiting_since = None;
        self.written = now;
        self.stats.parts += 1;
        let file_name = self.options.file_name(container, self.stats.parts);
        self.outputs.push_back(RecorderOutput::Begin { file_name, container });
        true
    }

    /// Writes silence where audio has not come.
    fn write_silence(&mut self, now: Time) {
        let delay = self.options.delay;
        let Some(part) = &mut self.part else { return };
        let is_due = part.next_silence().is_some_and(|time| time + delay <= now);
        if !is_due || !self.published.audio {
            return;
        }
        match part.write_silence(Time::ZERO + (now - Time::ZERO).saturating_sub(delay)) {
            Written::Yes => self.append_complete(now),
            // There was no call for an hour: the next frame begins another file.
            _ => self.end_part(now),
        }
    }

    fn request_key_frame(&mut self, now: Time) {
        let comes = self.video.frames().any(|frame| frame.is_key);
        if !comes && self.key_requested.is_none_or(|at| at + REQUEST_INTERVAL <= now) {
            self.key_requested = Some(now);
            self.outputs.push_back(RecorderOutput::RequestKeyFrame);
        }
    }

    fn append_complete(&mut self, now: Time) {
        let bytes = self.part.as_mut().map(Part::take).unwrap_or_default();
        self.append(bytes, now);
    }

    fn append(&mut self, bytes: Bytes, now: Time) {
        if !bytes.is_empty() {
            self.written = now;
            self.stats.bytes += bytes.len() as u64;
            self.outputs.push_back(RecorderOutput::Append(bytes));
        }
    }

    fn end_part(&mut self, now: Time) {
        let Some(part) = self.part.take() else { return };
        let (file, duration) = part.finish();
        self.append(file.append, now);
        self.outputs.push_back(RecorderOutput::End { header: file.header, duration });
    }

    /// Writes all waiting frames that are within the maximum duration.
    fn finish(&mut self, now: Time) {
        self.finished = true;
        let (audio, video) = (self.audio.drop_held(), self.video.drop_held());
        self.stats.dropped += u64::from(audio.is_some()) + u64::from(video.is_some());
        while let Some((time, kind)) = self.next() {
            if self.end().is_some_and(|end| end <= time) {
                break;
            }
            self.write_next(kind, now);
        }
        self.end_part(now);
        self.outputs.push_back(RecorderOutput::Finished);
    }
}

/// A frame whose turn it is.
#[derive(Debug)]
enum Frame {
    Audio(Bytes),
    Video {
        frame: RecordedVideo,
        /// The format of a key frame. `None`: it is no key frame, or its format cannot be read, so it needs a
        /// key frame before it.
        format: Option<VideoFormat>,
    },
}

/// Whether a packet of Opus is stereo.
fn is_stereo(packet: &Bytes) -> bool {
    opus_packet::channels(packet) == Some(2)
}

/// Whether this is a picture that a server sends while a track is muted.
fn is_blank(frame: &RecordedVideo) -> bool {
    video_format(frame).is_some_and(|format| format.width() <= MAX_BLANK && format.height() <= MAX_BLANK)
}

/// The format that a key frame begins.
fn video_format(frame: &RecordedVideo) -> Option<VideoFormat> {
    let format = VideoFormat::of_key_frame(frame.codec, &frame.payload).ok().filter(|_| frame.is_key)?;
    Some(match frame.size {
        Some((width, height)) => format.with_size(width, height),
        None => format,
    })
}
