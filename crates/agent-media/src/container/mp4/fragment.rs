//! A fragment: where the samples of each track are and when they are shown, then their bytes.

use std::time::Duration;

use shiguredo_mp4::boxes::{MfhdBox, MoofBox, TfdtBox, TfhdBox, TrafBox, TrunBox, TrunSample};
use shiguredo_mp4::{Encode, SampleFlags};

use super::units::{encoding_error, timescale, track_id, units};
use crate::container::pending::PendingFrame;
use crate::container::{ContainerError, TrackFormat};
use crate::opus_packet;

/// The bytes before the content of a box.
const BOX_HEADER_LEN: usize = 8;

/// How long the last frame of video is shown if the next one is unknown: a thirtieth of a second.
const FRAME_UNITS: u32 = 3_000;

/// Depends on no other sample.
const KEY_FRAME: SampleFlags = SampleFlags::from_fields(0, 2, 0, 0, 0, false, 0);
/// Depends on samples before it.
const DELTA_FRAME: SampleFlags = SampleFlags::from_fields(0, 1, 0, 0, 0, true, 0);

/// State that is kept from one fragment to the next.
#[derive(Debug)]
pub(super) struct Fragments {
    tracks: Vec<TrackTimes>,
    /// The track whose part comes first.
    first_track: usize,
    sequence: u32,
}

#[derive(Debug)]
struct TrackTimes {
    timescale: u32,
    is_video: bool,
    /// How long the last frame of video was shown.
    last_duration: u32,
}

impl Fragments {
    pub(super) fn new(tracks: &[TrackFormat], first_track: usize) -> Self {
        let tracks = tracks.iter().map(|track| TrackTimes {
            timescale: timescale(track),
            is_video: track.is_video(),
            last_duration: FRAME_UNITS,
        });
        Self { tracks: tracks.collect(), first_track, sequence: 0 }
    }

    /// A fragment of these frames. `next` is the track and the time of the frame after them.
    pub(super) fn fragment(
        &mut self,
        frames: &[PendingFrame],
        next: Option<(usize, Duration)>,
    ) -> Result<Vec<u8>, ContainerError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut order: Vec<usize> = (0..self.tracks.len()).collect();
        order.sort_by_key(|track| *track != self.first_track);
        let (mut trafs, mut data) = (Vec::new(), Vec::new());
        // Where the samples of each part begin in the data.
        let mut offsets = Vec::new();
        for index in order {
            let Some(times) = self.tracks.get_mut(index) else { continue };
            let samples: Vec<_> = frames.iter().filter(|pending| pending.track == index).collect();
            let Some(first) = samples.first() else { continue };
            let next = next.filter(|(track, _)| *track == index).map(|(_, time)| time);
            offsets.push(data.len());
            trafs.push(times.traf(index, first.frame.timestamp, &samples, next));
            for sample in samples {
                data.extend_from_slice(&sample.frame.payload);
            }
        }
        let mut moof = MoofBox {
            mfhd_box: MfhdBox { sequence_number: self.sequence },
            traf_boxes: trafs,
            unknown_boxes: Vec::new(),
        };
        // Offsets count from the beginning of the box, whose length does not depend on them.
        let len = moof.encode_to_vec().map_err(encoding_error)?.len() + BOX_HEADER_LEN;
        for (traf, offset) in moof.traf_boxes.iter_mut().zip(offsets) {
            for trun in &mut traf.trun_boxes {
                trun.data_offset = Some(i32::try_from(len + offset).unwrap_or(i32::MAX));
            }
        }
        let mut out = moof.encode_to_vec().map_err(encoding_error)?;
        let mdat_len = u32::try_from(data.len() + BOX_HEADER_LEN).unwrap_or(u32::MAX);
        out.extend(mdat_len.to_be_bytes());
        out.extend(b"mdat");
        out.extend(data);
        Ok(out)
    }
}

impl TrackTimes {
    /// The part of a track.
    fn traf(
        &mut self,
        index: usize,
        begin: Duration,
        samples: &[&PendingFrame],
        next: Option<Duration>,
    ) -> TrafBox {
        let ends = samples.iter().skip(1).map(|sample| Some(sample.frame.timestamp)).chain([next]);
        let samples: Vec<TrunSample> = samples
            .iter()
            .zip(ends)
            .map(|(sample, end)| TrunSample {
                duration: Some(self.duration(sample, end)),
                size: Some(u32::try_from(sample.frame.payload.len()).unwrap_or(u32::MAX)),
                flags: Some(if sample.frame.is_key { KEY_FRAME } else { DELTA_FRAME }),
                composition_time_offset: None,
            })
            .collect();
        TrafBox {
            tfhd_box: TfhdBox {
                track_id: track_id(index),
                base_data_offset: None,
                sample_description_index: None,
                default_sample_duration: None,
                default_sample_size: None,
                default_sample_flags: None,
                duration_is_empty: false,
                default_base_is_moof: true,
            },
            tfdt_box: Some(TfdtBox { version: 1, base_media_decode_time: units(begin, self.timescale) }),
            trun_boxes: vec![TrunBox { data_offset: Some(0), first_sample_flags: None, samples }],
            unknown_boxes: Vec::new(),
        }
    }

    /// How long a sample lasts: until the next one of its track, as far as that is known.
    fn duration(&mut self, sample: &PendingFrame, end: Option<Duration>) -> u32 {
        let begin = units(sample.frame.timestamp, self.timescale);
        let until_next = end.map(|end| {
            let units = units(end, self.timescale).saturating_sub(begin);
            u32::try_from(units).unwrap_or(u32::MAX).max(1)
        });
        if self.is_video {
            if let Some(units) = until_next {
                self.last_duration = units.min(self.timescale);
            }
            return until_next.unwrap_or(self.last_duration);
        }
        let own = opus_packet::samples(&sample.frame.payload).unwrap_or(960);
        // What follows a pause is in another fragment, which contains its start time.
        until_next.filter(|units| *units <= self.timescale).unwrap_or(own)
    }
}
