//! Fragmented MP4 (ISO/IEC 14496-12, 8.8), of boxes of `shiguredo_mp4`.
//!
//! Its muxer of fragments is not used: it adds up the durations of samples and so loses pauses, and it keeps
//! an entry for each fragment.

mod fragment;
mod header;
mod units;

use std::time::Duration;

use shiguredo_mp4::Encode;
use shiguredo_mp4::boxes::{MfraBox, MfroBox, TfraBox, TfraEntry};

use super::error::ContainerError;
use super::format::TrackFormat;
use super::frame::FinishedFile;
use super::pending::PendingFrame;
use super::seek_index::{SeekIndex, SeekPoint};
use fragment::Fragments;
use units::{encoding_error, timescale, track_id, units};

/// The state of a file.
#[derive(Debug)]
pub(super) struct Mp4 {
    tracks: Vec<TrackFormat>,
    fragments: Fragments,
    /// The bytes that were written, with the header.
    len: u64,
    index: SeekIndex,
    /// The track that players seek in: the first one of video, or else the first.
    seek_track: usize,
}

impl Mp4 {
    pub(super) fn new(tracks: Vec<TrackFormat>) -> Self {
        let seek_track = tracks.iter().position(TrackFormat::is_video).unwrap_or(0);
        let fragments = Fragments::new(&tracks, seek_track);
        Self { tracks, fragments, len: 0, index: SeekIndex::default(), seek_track }
    }

    /// A fragment of these frames, after the header if it is the first one. `next` is the track and the time
    /// of the frame after them, if there is one.
    pub(super) fn fragment(
        &mut self,
        frames: &[PendingFrame],
        next: Option<(usize, Duration)>,
    ) -> Result<Vec<u8>, ContainerError> {
        let mut out = if self.len == 0 { header::header(&self.tracks, Duration::ZERO)? } else { Vec::new() };
        if frames.is_empty() {
            return Ok(out);
        }
        let offset = self.len + out.len() as u64;
        out.extend(self.fragments.fragment(frames, next)?);
        let entry = frames.iter().find(|pending| pending.track == self.seek_track);
        if let Some(entry) = entry.filter(|entry| entry.frame.is_key) {
            let time = units(entry.frame.timestamp, self.seek_timescale());
            self.index.add(SeekPoint { time, offset });
        }
        self.len += out.len() as u64;
        Ok(out)
    }

    /// The end of a file of this duration.
    pub(super) fn finish(self, duration: Duration) -> FinishedFile {
        let header = |duration| header::header(&self.tracks, duration).unwrap_or_default();
        if self.len == 0 {
            return FinishedFile { append: header(Duration::ZERO).into(), header: None };
        }
        // Without the index a file can still be played, as one that was cut can.
        let append = self.random_access().unwrap_or_default();
        FinishedFile { append: append.into(), header: Some(header(duration).into()) }
    }

    /// Where players can begin.
    fn random_access(&self) -> Result<Vec<u8>, ContainerError> {
        let entry = |point: &SeekPoint| TfraEntry {
            time: point.time,
            moof_offset: point.offset,
            // The first sample of the track, whose part comes first.
            traf_number: 1,
            trun_number: 1,
            sample_number: 1,
        };
        let tfra = TfraBox {
            version: 1,
            track_id: track_id(self.seek_track),
            length_size_of_traf_num: 0,
            length_size_of_trun_num: 0,
            length_size_of_sample_num: 0,
            entries: self.index.points().iter().map(entry).collect(),
        };
        let mut mfra = MfraBox { tfra_boxes: vec![tfra], mfro_box: MfroBox { size: 0 } };
        let len = mfra.encode_to_vec().map_err(encoding_error)?.len();
        mfra.mfro_box.size = u32::try_from(len).unwrap_or(u32::MAX);
        mfra.encode_to_vec().map_err(encoding_error)
    }

    fn seek_timescale(&self) -> u32 {
        self.tracks.get(self.seek_track).map_or(1_000, timescale)
    }
}
