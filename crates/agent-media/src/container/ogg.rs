//! Ogg Opus (RFC 7845): pages of one second of one track.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use ogg::{PacketWriteEndInfo, PacketWriter};

use super::error::ContainerError;
use super::frame::{ContainerFrame, FinishedFile};
use super::opus_header;
use crate::opus_timeline::{OpusTimeline, Place, SAMPLE_RATE};

/// Any number: a file has one stream.
const SERIAL: u32 = 1;

/// The longest pause that is filled at once, in samples: an hour, which takes half a megabyte.
const MAX_PAUSE: u64 = 3_600 * SAMPLE_RATE as u64;

/// The state of a file.
pub(super) struct Ogg {
    writer: PacketWriter<'static, Vec<u8>>,
    timeline: OpusTimeline,
    /// The last two packets and where each ends. The last one of a file is marked, and the one before it may
    /// have to end a page.
    held: VecDeque<(Vec<u8>, u64)>,
    /// The sample at which the page begins.
    page_begin: u64,
}

impl Ogg {
    pub(super) fn new(channels: u8) -> Result<Self, ContainerError> {
        let mut writer = PacketWriter::new(Vec::new());
        for header in [opus_header::head(channels), opus_header::tags()] {
            writer.write_packet(header, SERIAL, PacketWriteEndInfo::EndPage, 0).map_err(error)?;
        }
        Ok(Self {
            writer,
            timeline: OpusTimeline::new(0, channels == 2),
            held: VecDeque::new(),
            page_begin: 0,
        })
    }

    /// Writes a packet, after silence for the time before it.
    pub(super) fn write(&mut self, frame: &ContainerFrame) -> Result<Vec<u8>, ContainerError> {
        let hole = match self.timeline.place(frame.timestamp) {
            Place::After(hole) if hole > MAX_PAUSE => {
                return Err(ContainerError::PauseTooLong { pause: duration(hole), max: duration(MAX_PAUSE) });
            }
            Place::After(hole) => hole,
            Place::Over => {
                return Err(ContainerError::NotLater {
                    timestamp: frame.timestamp,
                    previous: self.duration(),
                });
            }
        };
        let until = self.timeline.position().saturating_add(hole);
        while let Some(filler) = self.timeline.fill(until) {
            self.push(filler.to_vec())?;
        }
        self.timeline.push(&frame.payload);
        self.push(frame.payload.to_vec())?;
        Ok(self.take())
    }

    /// Ends the page. The last packet is kept.
    pub(super) fn flush(&mut self) -> Result<Vec<u8>, ContainerError> {
        if self.held.len() > 1 {
            self.write_held(true)?;
        }
        Ok(self.take())
    }

    pub(super) fn finish(mut self) -> FinishedFile {
        while self.held.len() > 1 && self.write_held(false).is_ok() {}
        if let Some((packet, end)) = self.held.pop_front() {
            // Writing to memory does not fail.
            let _ = self.writer.write_packet(packet, SERIAL, PacketWriteEndInfo::EndStream, end);
        }
        FinishedFile { append: self.take().into(), header: None }
    }

    /// How long the file is.
    pub(super) fn duration(&self) -> Duration {
        duration(self.timeline.position())
    }

    /// Keeps a packet that the timeline has counted, and writes the one before the last.
    fn push(&mut self, packet: Vec<u8>) -> Result<(), ContainerError> {
        self.held.push_back((packet, self.timeline.position()));
        if self.held.len() <= 2 {
            return Ok(());
        }
        let end = self.held.front().map_or(0, |(_, end)| *end);
        self.write_held(end.saturating_sub(self.page_begin) >= u64::from(SAMPLE_RATE))
    }

    fn write_held(&mut self, ends_page: bool) -> Result<(), ContainerError> {
        let Some((packet, end)) = self.held.pop_front() else { return Ok(()) };
        if ends_page {
            self.page_begin = end;
        }
        let info = if ends_page { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
        self.writer.write_packet(packet, SERIAL, info, end).map_err(error)
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }
}

impl fmt::Debug for Ogg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ogg").field("timeline", &self.timeline).finish_non_exhaustive()
    }
}

fn duration(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(1_000) / 48)
}

/// Memory takes everything.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn error(error: std::io::Error) -> ContainerError {
    ContainerError::Malformed { codec: "Ogg", reason: error.to_string() }
}
