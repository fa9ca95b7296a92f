//! The writer of files of any kind.

use std::time::Duration;

use bytes::Bytes;

use super::error::ContainerError;
use super::format::TrackFormat;
use super::frame::{ContainerFrame, FinishedFile};
use super::kind::Container;
use super::mp4::Mp4;
use super::ogg::Ogg;
use super::pending::Pending;
use super::webm::WebM;
use crate::opus_packet;

/// How long the last frame of video is shown, as no next frame ends it.
const FRAME: Duration = Duration::from_millis(33);

/// Writes one file. See the [module](super) for an example.
#[derive(Debug)]
pub struct ContainerWriter {
    tracks: Vec<Track>,
    pending: Pending,
    /// When the last frame ends.
    end: Duration,
    file: File,
}

#[derive(Debug)]
struct Track {
    format: TrackFormat,
    /// When its last frame is shown or played.
    last: Option<Duration>,
}

#[derive(Debug)]
enum File {
    Ogg(Box<Ogg>),
    WebM(WebM),
    Mp4(Mp4),
}

impl ContainerWriter {
    /// The longest frame that is written, in bytes.
    pub const MAX_FRAME_LEN: usize = 8 << 20;

    /// The latest time of a frame: a week after the beginning of the file.
    pub const MAX_TIMESTAMP: Duration = Duration::from_secs(7 * 24 * 3_600);

    /// A writer of a file with these tracks, which [`write`](Self::write) names by their numbers, from 0 on.
    ///
    /// # Errors
    /// [`ContainerError::NoTracks`], [`TooManyTracks`](ContainerError::TooManyTracks),
    /// [`UnsupportedCodec`](ContainerError::UnsupportedCodec) or [`Channels`](ContainerError::Channels).
    pub fn new(container: Container, tracks: Vec<TrackFormat>) -> Result<Self, ContainerError> {
        let (count, max) = (tracks.len(), container.max_tracks());
        for track in &tracks {
            track.check(container)?;
        }
        if count > max {
            return Err(ContainerError::TooManyTracks { count, max, container });
        }
        let channels = match tracks.first() {
            Some(TrackFormat::Opus { channels }) => *channels,
            Some(TrackFormat::Video(_)) => 0,
            None => return Err(ContainerError::NoTracks),
        };
        let file = match container {
            Container::OggOpus => File::Ogg(Box::new(Ogg::new(channels)?)),
            Container::WebM => File::WebM(WebM::new(tracks.clone())),
            Container::Mp4 => File::Mp4(Mp4::new(tracks.clone())),
        };
        let tracks = tracks.into_iter().map(|format| Track { format, last: None }).collect();
        Ok(Self { tracks, pending: Pending::default(), end: Duration::ZERO, file })
    }

    /// Takes a frame of a track, and returns the bytes that are appended to the file, if any are complete.
    ///
    /// Frames of one track come in the order of their times. Those of different tracks should come roughly in
    /// that order, too: a frame that is late by more than a second is written where it came.
    ///
    /// # Errors
    /// Any other [`ContainerError`]. The frame is not written then, and the file continues with the next one;
    /// after [`FormatChanged`](ContainerError::FormatChanged) and
    /// [`PauseTooLong`](ContainerError::PauseTooLong) another file is to be begun.
    pub fn write(&mut self, track: usize, frame: ContainerFrame) -> Result<Bytes, ContainerError> {
        let frame = self.check(track, frame)?;
        let is_video = self.tracks.get(track).is_some_and(|track| track.format.is_video());
        let at = frame.timestamp;
        let duration = opus_packet::duration(&frame.payload).filter(|_| !is_video).unwrap_or(FRAME);
        let written = match &mut self.file {
            File::Ogg(ogg) => ogg.write(&frame)?,
            _ if self.pending.ends_before(&frame, is_video) => {
                let written = self.take_pending(Some((track, at)))?;
                self.pending.push(track, frame);
                written
            }
            _ => {
                self.pending.push(track, frame);
                Vec::new()
            }
        };
        if let Some(track) = self.tracks.get_mut(track) {
            track.last = Some(at);
        }
        self.end = self.end.max(at.saturating_add(duration));
        Ok(written.into())
    }

    /// Ends the part that is not complete yet, and returns it: to be called when no frames come for a while.
    /// In Ogg, the last packet is kept back.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`], which should not happen, as each frame was checked.
    pub fn flush(&mut self) -> Result<Bytes, ContainerError> {
        let written = match &mut self.file {
            File::Ogg(ogg) => ogg.flush()?,
            File::WebM(_) | File::Mp4(_) => self.take_pending(None)?,
        };
        Ok(written.into())
    }

    /// How long the file is so far.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.end
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn finish(mut self) -> Result<FinishedFile, ContainerError> {
        let mut last = match self.file {
            File::Ogg(_) => Vec::new(),
            File::WebM(_) | File::Mp4(_) => self.take_pending(None)?,
        };
        let finished = match self.file {
            File::Ogg(ogg) => ogg.finish(),
            File::WebM(webm) => webm.finish(self.end),
            File::Mp4(mp4) => mp4.finish(self.end),
        };
        last.extend_from_slice(&finished.append);
        Ok(FinishedFile { append: last.into(), ..finished })
    }

    /// The frame as it is written, if it can be.
    fn check(&self, index: usize, frame: ContainerFrame) -> Result<ContainerFrame, ContainerError> {
        let count = self.tracks.len();
        let track = self.tracks.get(index).ok_or(ContainerError::UnknownTrack { index, count })?;
        let (len, timestamp) = (frame.payload.len(), frame.timestamp);
        if len == 0 {
            return Err(ContainerError::EmptyFrame);
        }
        if len > Self::MAX_FRAME_LEN {
            return Err(ContainerError::FrameTooLong { len, max: Self::MAX_FRAME_LEN });
        }
        if timestamp > Self::MAX_TIMESTAMP {
            return Err(ContainerError::TooLate { timestamp, max: Self::MAX_TIMESTAMP });
        }
        if let Some(previous) = track.last.filter(|previous| *previous >= timestamp) {
            return Err(ContainerError::NotLater { timestamp, previous });
        }
        match &track.format {
            TrackFormat::Opus { .. } if opus_packet::samples(&frame.payload).is_none() => {
                let reason = format!("{len} bytes that are not a packet");
                Err(ContainerError::Malformed { codec: "Opus", reason })
            }
            TrackFormat::Opus { .. } => Ok(frame),
            TrackFormat::Video(_) if track.last.is_none() && !frame.is_key => Err(ContainerError::NoKeyFrame),
            TrackFormat::Video(format) => {
                if frame.is_key {
                    format.check_key_frame(&frame.payload)?;
                }
                Ok(ContainerFrame { payload: format.sample(frame.payload)?, ..frame })
            }
        }
    }

    /// Writes the cluster or fragment. `next` is what begins the next one.
    fn take_pending(&mut self, next: Option<(usize, Duration)>) -> Result<Vec<u8>, ContainerError> {
        let frames = self.pending.take();
        if frames.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.file {
            File::Ogg(_) => Ok(Vec::new()),
            File::WebM(webm) => Ok(webm.cluster(&frames)),
            File::Mp4(mp4) => mp4.fragment(&frames, next),
        }
    }
}
