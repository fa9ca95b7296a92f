//! All that precedes the first cluster. Space for values that are known only at the end is reserved, so that
//! the header of a finished file can replace that of an unfinished one.

use super::ebml::{self, element, float, long_uint, master, uint, void};
use crate::container::opus_header::{self, VENDOR};
use crate::container::{TrackFormat, VideoCodec};

const EBML: u32 = 0x1a45_dfa3;
const EBML_VERSION: u32 = 0x4286;
const EBML_READ_VERSION: u32 = 0x42f7;
const EBML_MAX_ID_LENGTH: u32 = 0x42f2;
const EBML_MAX_SIZE_LENGTH: u32 = 0x42f3;
const DOC_TYPE: u32 = 0x4282;
const DOC_TYPE_VERSION: u32 = 0x4287;
const DOC_TYPE_READ_VERSION: u32 = 0x4285;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114d_9b74;
const SEEK: u32 = 0x4dbb;
const SEEK_ID: u32 = 0x53ab;
const SEEK_POSITION: u32 = 0x53ac;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const DURATION: u32 = 0x4489;
const MUXING_APP: u32 = 0x4d80;
const WRITING_APP: u32 = 0x5741;
pub(super) const CUES: u32 = 0x1c53_bb6b;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_UID: u32 = 0x73c5;
const TRACK_TYPE: u32 = 0x83;
const FLAG_LACING: u32 = 0x9c;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const SEEK_PRE_ROLL: u32 = 0x56bb;
const AUDIO: u32 = 0xe1;
const SAMPLING_FREQUENCY: u32 = 0xb5;
const CHANNELS: u32 = 0x9f;
const VIDEO: u32 = 0xe0;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;

/// Nanoseconds in a unit of the file's times.
const NANOS_PER_UNIT: u64 = 1_000_000;
/// How long before a time a decoder of Opus begins, to have converged: 80 ms.
const OPUS_PRE_ROLL_NANOS: u64 = 80_000_000;

/// Lengths in bytes: one entry of the seek head, the head of three, and the duration.
const SEEK_LEN: usize = 21;
const SEEK_HEAD_LEN: usize = 5 + 3 * SEEK_LEN;
const DURATION_LEN: usize = 11;

/// Where the content of the segment begins; positions count from there.
pub(super) const SEGMENT_DATA: u64 = 48;

/// The values that are known when a file ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    /// In units of the file's times.
    pub(super) duration: u64,
    /// The position of the cues.
    pub(super) cues: Option<u64>,
    pub(super) segment_len: u64,
}

/// The number of a track in blocks.
pub(super) fn track_number(index: usize) -> u64 {
    index as u64 + 1
}

/// The header. That of a finished file has the length of an unfinished one.
pub(super) fn header(tracks: &[TrackFormat], finished: Option<Finished>) -> Vec<u8> {
    let mut out = Vec::new();
    master(&mut out, EBML, |ebml| {
        uint(ebml, EBML_VERSION, 1);
        uint(ebml, EBML_READ_VERSION, 1);
        uint(ebml, EBML_MAX_ID_LENGTH, 4);
        uint(ebml, EBML_MAX_SIZE_LENGTH, 8);
        element(ebml, DOC_TYPE, b"webm");
        uint(ebml, DOC_TYPE_VERSION, 4);
        uint(ebml, DOC_TYPE_READ_VERSION, 2);
    });
    ebml::put_id(&mut out, SEGMENT);
    out.extend(finished.map_or(ebml::UNKNOWN_LEN, |finished| ebml::long_len(finished.segment_len)));
    debug_assert_eq!(out.len() as u64, SEGMENT_DATA);

    let info = info(finished);
    let cues = finished.and_then(|finished| finished.cues);
    put_seek_head(&mut out, info.len(), cues);
    out.extend(info);
    master(&mut out, TRACKS, |entries| {
        for (index, track) in tracks.iter().enumerate() {
            master(entries, TRACK_ENTRY, |entry| put_track(entry, index, track));
        }
    });
    out
}

/// The positions of the other elements; that of the cues is void until there are any.
fn put_seek_head(out: &mut Vec<u8>, info_len: usize, cues: Option<u64>) {
    master(out, SEEK_HEAD, |seeks| {
        put_seek(seeks, INFO, SEEK_HEAD_LEN as u64);
        put_seek(seeks, TRACKS, (SEEK_HEAD_LEN + info_len) as u64);
        if let Some(position) = cues {
            put_seek(seeks, CUES, position);
        }
    });
    if cues.is_none() {
        void(out, SEEK_LEN);
    }
}

fn put_seek(seeks: &mut Vec<u8>, id: u32, position: u64) {
    master(seeks, SEEK, |seek| {
        element(seek, SEEK_ID, &id.to_be_bytes());
        long_uint(seek, SEEK_POSITION, position);
    });
}

fn info(finished: Option<Finished>) -> Vec<u8> {
    let mut out = Vec::new();
    master(&mut out, INFO, |info| {
        uint(info, TIMESTAMP_SCALE, NANOS_PER_UNIT);
        element(info, MUXING_APP, VENDOR.as_bytes());
        element(info, WRITING_APP, VENDOR.as_bytes());
        match finished {
            Some(finished) => float(info, DURATION, finished.duration as f64),
            None => void(info, DURATION_LEN),
        }
    });
    out
}

fn put_track(entry: &mut Vec<u8>, index: usize, track: &TrackFormat) {
    let number = track_number(index);
    uint(entry, TRACK_NUMBER, number);
    uint(entry, TRACK_UID, number);
    uint(entry, FLAG_LACING, 0);
    match track {
        TrackFormat::Opus { channels } => {
            uint(entry, TRACK_TYPE, 2);
            element(entry, CODEC_ID, b"A_OPUS");
            element(entry, CODEC_PRIVATE, &opus_header::head(*channels));
            uint(entry, SEEK_PRE_ROLL, OPUS_PRE_ROLL_NANOS);
            master(entry, AUDIO, |audio| {
                float(audio, SAMPLING_FREQUENCY, f64::from(opus_header::SAMPLE_RATE));
                uint(audio, CHANNELS, u64::from(*channels));
            });
        }
        TrackFormat::Video(format) => {
            uint(entry, TRACK_TYPE, 1);
            element(entry, CODEC_ID, codec_id(format.codec()));
            let private = format.codec_private();
            if !private.is_empty() {
                element(entry, CODEC_PRIVATE, &private);
            }
            master(entry, VIDEO, |video| {
                uint(video, PIXEL_WIDTH, u64::from(format.width()));
                uint(video, PIXEL_HEIGHT, u64::from(format.height()));
            });
        }
    }
}

/// The names of codecs in Matroska. WebM has only the first three.
fn codec_id(codec: VideoCodec) -> &'static [u8] {
    match codec {
        VideoCodec::Vp8 => b"V_VP8",
        VideoCodec::Vp9 => b"V_VP9",
        VideoCodec::Av1 => b"V_AV1",
        VideoCodec::H264 => b"V_MPEG4/ISO/AVC",
        VideoCodec::H265 => b"V_MPEGH/ISO/HEVC",
    }
}
