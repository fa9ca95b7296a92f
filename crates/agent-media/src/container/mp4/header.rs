//! What precedes the first fragment: the kind of file, and its tracks without samples.

use std::num::NonZeroU32;
use std::time::Duration;

use shiguredo_mp4::bitstream::opus::{ChannelCount, OpusSampleEntryConfig, build_opus_box};
use shiguredo_mp4::boxes::{
    Brand, DinfBox, FtypBox, HdlrBox, MdhdBox, MdiaBox, MediaHeader, MehdBox, MinfBox, MoovBox, MvexBox,
    MvhdBox, SampleEntry, SmhdBox, StblBox, StcoBox, StscBox, StsdBox, StszBox, SttsBox, TkhdBox, TrakBox,
    TrexBox, VmhdBox,
};
use shiguredo_mp4::{Either, Encode, FixedPointNumber, LanguageCode, Mp4FileTime, SampleFlags};

use super::units::{encoding_error, timescale, track_id, units};
use crate::container::{ContainerError, TrackFormat, VideoCodec, opus_header};

/// Units of a second in which the duration of the file is given.
const MOVIE_TIMESCALE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// No creation time: this crate has no clock, and the application knows when the file was made.
const NO_TIME: Mp4FileTime = Mp4FileTime::from_secs(0);

/// The header of a file of this duration. Until that is known it is zero; the header's length stays the same.
pub(super) fn header(tracks: &[TrackFormat], duration: Duration) -> Result<Vec<u8>, ContainerError> {
    let has = |codec| tracks.iter().any(|track| matches!(track, TrackFormat::Video(v) if v.codec() == codec));
    let mut brands = vec![Brand::ISO5, Brand::ISO6, Brand::MP41];
    if has(VideoCodec::Av1) {
        brands.push(Brand::AV01);
    }
    let ftyp = FtypBox { major_brand: Brand::ISO5, minor_version: 0, compatible_brands: brands };
    let mut out = ftyp.encode_to_vec().map_err(encoding_error)?;
    let mut traks = Vec::new();
    for (index, track) in tracks.iter().enumerate() {
        traks.push(trak(index, track)?);
    }
    let trex = |index| TrexBox {
        track_id: track_id(index),
        default_sample_description_index: 1,
        default_sample_duration: 0,
        default_sample_size: 0,
        default_sample_flags: SampleFlags::new(0),
    };
    let moov = MoovBox {
        mvhd_box: MvhdBox {
            creation_time: NO_TIME,
            modification_time: NO_TIME,
            timescale: MOVIE_TIMESCALE,
            duration: 0,
            rate: MvhdBox::DEFAULT_RATE,
            volume: MvhdBox::DEFAULT_VOLUME,
            matrix: MvhdBox::DEFAULT_MATRIX,
            next_track_id: track_id(tracks.len()),
        },
        trak_boxes: traks,
        mvex_box: Some(MvexBox {
            mehd_box: Some(MehdBox { fragment_duration: units(duration, MOVIE_TIMESCALE.get()) }),
            trex_boxes: (0..tracks.len()).map(trex).collect(),
            unknown_boxes: Vec::new(),
        }),
        unknown_boxes: Vec::new(),
    };
    out.extend(moov.encode_to_vec().map_err(encoding_error)?);
    Ok(out)
}

fn trak(index: usize, track: &TrackFormat) -> Result<TrakBox, ContainerError> {
    let pixels = |side: u16| FixedPointNumber::new(i16::try_from(side).unwrap_or(i16::MAX), 0);
    let (entry, volume, (width, height), handler_type, media_header) = match track {
        TrackFormat::Opus { channels } => (
            opus_entry(*channels)?,
            TkhdBox::DEFAULT_AUDIO_VOLUME,
            (FixedPointNumber::default(), FixedPointNumber::default()),
            HdlrBox::HANDLER_TYPE_SOUN,
            MediaHeader::Smhd(SmhdBox::default()),
        ),
        TrackFormat::Video(format) => (
            format.sample_entry(),
            TkhdBox::DEFAULT_VIDEO_VOLUME,
            (pixels(format.width()), pixels(format.height())),
            HdlrBox::HANDLER_TYPE_VIDE,
            MediaHeader::Vmhd(VmhdBox::default()),
        ),
    };
    Ok(TrakBox {
        tkhd_box: TkhdBox {
            flag_track_enabled: true,
            flag_track_in_movie: true,
            flag_track_in_preview: false,
            flag_track_size_is_aspect_ratio: false,
            creation_time: NO_TIME,
            modification_time: NO_TIME,
            track_id: track_id(index),
            duration: 0,
            layer: TkhdBox::DEFAULT_LAYER,
            alternate_group: TkhdBox::DEFAULT_ALTERNATE_GROUP,
            volume,
            matrix: TkhdBox::DEFAULT_MATRIX,
            width,
            height,
        },
        edts_box: None,
        mdia_box: MdiaBox {
            mdhd_box: MdhdBox {
                creation_time: NO_TIME,
                modification_time: NO_TIME,
                timescale: NonZeroU32::new(timescale(track)).unwrap_or(MOVIE_TIMESCALE),
                duration: 0,
                language: LanguageCode::UNDEFINED,
            },
            hdlr_box: HdlrBox { handler_type, name: vec![0] },
            minf_box: MinfBox {
                media_header: Some(media_header),
                dinf_box: DinfBox::LOCAL_FILE,
                stbl_box: no_samples(entry),
                unknown_boxes: Vec::new(),
            },
            unknown_boxes: Vec::new(),
        },
        unknown_boxes: Vec::new(),
    })
}

fn opus_entry(channels: u8) -> Result<SampleEntry, ContainerError> {
    let channel_count = match channels {
        1 => ChannelCount::Mono,
        2 => ChannelCount::Stereo,
        other => return Err(ContainerError::Channels(other)),
    };
    Ok(SampleEntry::Opus(build_opus_box(&OpusSampleEntryConfig {
        channel_count,
        pre_skip: opus_header::PRE_SKIP,
        input_sample_rate: opus_header::SAMPLE_RATE,
        output_gain: 0,
    })))
}

/// The tables of a track whose samples are in fragments.
fn no_samples(entry: SampleEntry) -> StblBox {
    StblBox {
        stsd_box: StsdBox { entries: vec![entry] },
        stts_box: SttsBox { entries: Vec::new() },
        ctts_box: None,
        cslg_box: None,
        stsc_box: StscBox { entries: Vec::new() },
        stsz_box: StszBox::Variable { entry_sizes: Vec::new() },
        stco_or_co64_box: Either::A(StcoBox { chunk_offsets: Vec::new() }),
        stss_box: None,
        sdtp_box: None,
        unknown_boxes: Vec::new(),
    }
}
