//! WebM: EBML with the elements of Matroska (RFC 9559).
//!
//! The segment has no length until it is finished, and each cluster has one: a file that is cut has all
//! clusters up to there.

mod ebml;
mod header;

use std::time::Duration;

use super::format::TrackFormat;
use super::frame::FinishedFile;
use super::pending::PendingFrame;
use super::seek_index::{SeekIndex, SeekPoint};
use header::Finished;

const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const CUE_POINT: u32 = 0xbb;
const CUE_TIME: u32 = 0xb3;
const CUE_TRACK_POSITIONS: u32 = 0xb7;
const CUE_TRACK: u32 = 0xf7;
const CUE_CLUSTER_POSITION: u32 = 0xf1;

/// A block that can be decoded without those before it.
const KEY_FRAME: u8 = 0x80;

/// The state of a file.
#[derive(Debug)]
pub(super) struct WebM {
    tracks: Vec<TrackFormat>,
    /// The bytes that were written, with the header.
    len: u64,
    index: SeekIndex,
    /// The track that players seek in: the first one of video, or else the first.
    seek_track: usize,
}

impl WebM {
    pub(super) fn new(tracks: Vec<TrackFormat>) -> Self {
        let seek_track = tracks.iter().position(TrackFormat::is_video).unwrap_or(0);
        Self { tracks, len: 0, index: SeekIndex::default(), seek_track }
    }

    /// A cluster of these frames, after the header if it is the first one. There is at least one frame, and
    /// they are less than 30 s apart.
    pub(super) fn cluster(&mut self, frames: &[PendingFrame]) -> Vec<u8> {
        let mut out = if self.len == 0 { header::header(&self.tracks, None) } else { Vec::new() };
        let Some(begin) = frames.first().map(|first| millis(first.frame.timestamp)) else { return out };
        let offset = self.len + out.len() as u64 - header::SEGMENT_DATA;
        ebml::master(&mut out, CLUSTER, |cluster| {
            ebml::uint(cluster, TIMESTAMP, begin);
            for PendingFrame { track, frame } in frames {
                let after = millis(frame.timestamp).saturating_sub(begin);
                let after = i16::try_from(after).unwrap_or(i16::MAX);
                let flags = if frame.is_key { KEY_FRAME } else { 0 };
                ebml::put_id(cluster, SIMPLE_BLOCK);
                // The number of the track takes one byte.
                ebml::put_len(cluster, frame.payload.len() as u64 + 4);
                ebml::put_len(cluster, header::track_number(*track));
                cluster.extend(after.to_be_bytes());
                cluster.push(flags);
                cluster.extend_from_slice(&frame.payload);
            }
        });
        let is_entry = |pending: &&PendingFrame| pending.track == self.seek_track && pending.frame.is_key;
        if let Some(entry) = frames.iter().find(is_entry) {
            self.index.add(SeekPoint { time: millis(entry.frame.timestamp), offset });
        }
        self.len += out.len() as u64;
        out
    }

    /// The end of a file of this duration.
    pub(super) fn finish(self, duration: Duration) -> FinishedFile {
        if self.len == 0 {
            return FinishedFile { append: header::header(&self.tracks, None).into(), header: None };
        }
        let mut append = Vec::new();
        let mut finished =
            Finished { duration: millis(duration), cues: None, segment_len: self.len - header::SEGMENT_DATA };
        if !self.index.points().is_empty() {
            finished.cues = Some(finished.segment_len);
            ebml::master(&mut append, header::CUES, |cues| self.put_cues(cues));
            finished.segment_len += append.len() as u64;
        }
        let header = header::header(&self.tracks, Some(finished));
        FinishedFile { append: append.into(), header: Some(header.into()) }
    }

    fn put_cues(&self, cues: &mut Vec<u8>) {
        for point in self.index.points() {
            ebml::master(cues, CUE_POINT, |cue| {
                ebml::uint(cue, CUE_TIME, point.time);
                ebml::master(cue, CUE_TRACK_POSITIONS, |position| {
                    ebml::uint(position, CUE_TRACK, header::track_number(self.seek_track));
                    ebml::uint(position, CUE_CLUSTER_POSITION, point.offset);
                });
            });
        }
    }
}

/// The unit of times in these files.
fn millis(time: Duration) -> u64 {
    let rounded = time.saturating_add(Duration::from_micros(500));
    u64::try_from(rounded.as_millis()).unwrap_or(u64::MAX)
}
