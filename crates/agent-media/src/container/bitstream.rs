//! What the headers of files need of encoded video, parsed with `shiguredo_mp4`.

use bytes::Bytes;
use shiguredo_mp4::Encode;
use shiguredo_mp4::bitstream::av1::{self, Av1ObuParseContext, Av1ObuType, Av1SampleEntryConfig};
use shiguredo_mp4::bitstream::h264::{self, H264NalUnitType, H264SampleEntryConfig};
use shiguredo_mp4::bitstream::h265::{self, H265ConstantFrameRate, H265NalUnitType, H265SampleEntryConfig};
use shiguredo_mp4::bitstream::vp8::{self, Vp8SampleEntryConfig};
use shiguredo_mp4::bitstream::vp9::{self, Vp9FrameType, Vp9SampleEntryConfig};
use shiguredo_mp4::boxes::{SampleEntry, VisualSampleEntryFields};

use agent_proto::VideoCodec;

/// The length of a box's header, in bytes.
const BOX_HEADER_LEN: usize = 8;

/// Unknown colours (ISO/IEC 23091-2).
const UNSPECIFIED: u8 = 2;

/// The entry of MP4's tables for the track that this key frame begins, or what is wrong with it.
pub(super) fn sample_entry(codec: VideoCodec, key_frame: &[u8]) -> Result<SampleEntry, String> {
    match codec {
        VideoCodec::Vp8 => vp8_entry(key_frame),
        VideoCodec::Vp9 => vp9_entry(key_frame),
        VideoCodec::Av1 => av1_entry(key_frame),
        VideoCodec::H264 => {
            let config = H264SampleEntryConfig { length_size: h264::LengthSize::FourBytes };
            let entry = h264::build_avc1_box_from_annexb(key_frame, &config).map_err(reason)?;
            Ok(SampleEntry::Avc1(entry))
        }
        VideoCodec::H265 => {
            let config = H265SampleEntryConfig {
                length_size: h265::LengthSize::FourBytes,
                avg_frame_rate: H265SampleEntryConfig::AVG_FRAME_RATE_UNSPECIFIED,
                constant_frame_rate: H265ConstantFrameRate::Unknown,
            };
            let entry = h265::build_hvc1_box_from_annexb(key_frame, &config).map_err(reason)?;
            Ok(SampleEntry::Hvc1(entry))
        }
    }
}

fn vp8_entry(key_frame: &[u8]) -> Result<SampleEntry, String> {
    let header = vp8::parse_frame_header(key_frame).map_err(reason)?;
    let key = header.keyframe.ok_or("not a key frame")?;
    Ok(SampleEntry::Vp08(vp8::build_vp08_box(&Vp8SampleEntryConfig {
        video_full_range_flag: false,
        colour_primaries: UNSPECIFIED,
        transfer_characteristics: UNSPECIFIED,
        matrix_coefficients: UNSPECIFIED,
        width: key.width,
        height: key.height,
    })))
}

fn vp9_entry(key_frame: &[u8]) -> Result<SampleEntry, String> {
    let header = vp9::parse_frame_header(key_frame).map_err(reason)?;
    if header.frame_type != Vp9FrameType::Key || header.show_existing_frame.is_some() {
        return Err("not a key frame".to_owned());
    }
    let vp9::Vp9FrameSize::Resolved { width, height } = header.frame_size else {
        return Err("a key frame without its size".to_owned());
    };
    let side = |side: u32| u16::try_from(side).map_err(|_| format!("{width} x {height} pixels"));
    let config = Vp9SampleEntryConfig {
        level: Vp9SampleEntryConfig::LEVEL_UNDEFINED,
        colour_primaries: UNSPECIFIED,
        transfer_characteristics: UNSPECIFIED,
        matrix_coefficients: UNSPECIFIED,
        width: side(width)?,
        height: side(height)?,
    };
    Ok(SampleEntry::Vp09(vp9::build_vp09_box(&header, &config).map_err(reason)?))
}

fn av1_entry(key_frame: &[u8]) -> Result<SampleEntry, String> {
    let obus = av1::parse_obus(key_frame, Av1ObuParseContext::Sample).map_err(reason)?;
    let sequence = obus.iter().find(|obu| obu.obu_type == Av1ObuType::SequenceHeader);
    let sequence = sequence.ok_or("a key frame without a sequence header")?;
    let config = Av1SampleEntryConfig { initial_presentation_delay_minus_one: None };
    Ok(SampleEntry::Av01(av1::build_av01_box_from_config_obus(sequence.obu, &config).map_err(reason)?))
}

/// Whether a key frame relies on parameter sets that came before.
pub(super) fn lacks_parameter_sets(codec: VideoCodec, key_frame: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => h264::parse_annexb_nal_units(key_frame)
            .is_ok_and(|units| !units.iter().any(|unit| unit.nal_unit_type == H264NalUnitType::Sps)),
        VideoCodec::H265 => h265::parse_annexb_nal_units(key_frame)
            .is_ok_and(|units| !units.iter().any(|unit| unit.nal_unit_type == H265NalUnitType::Sps)),
        VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1 => false,
    }
}

/// A frame in the form that files store: NAL units with their lengths, without parameter sets (which are in
/// the header) and delimiters; OBUs without delimiters; anything else unchanged.
pub(super) fn sample(codec: VideoCodec, payload: Bytes) -> Result<Bytes, String> {
    match codec {
        VideoCodec::Vp8 | VideoCodec::Vp9 => Ok(payload),
        VideoCodec::Av1 => {
            let obus = av1::parse_obus(&payload, Av1ObuParseContext::Sample).map_err(reason)?;
            let kept = obus.iter().filter(|obu| obu.obu_type != Av1ObuType::TemporalDelimiter);
            nonempty(kept.flat_map(|obu| obu.obu).copied().collect())
        }
        VideoCodec::H264 => {
            use H264NalUnitType::{Aud, Pps, Sps};
            let units = h264::parse_annexb_nal_units(&payload).map_err(reason)?;
            let kept = units.iter().filter(|unit| !matches!(unit.nal_unit_type, Sps | Pps | Aud));
            with_lengths(kept.map(|unit| unit.data))
        }
        VideoCodec::H265 => {
            use H265NalUnitType::{Aud, Pps, Sps, Vps};
            let units = h265::parse_annexb_nal_units(&payload).map_err(reason)?;
            let kept = units.iter().filter(|unit| !matches!(unit.nal_unit_type, Vps | Sps | Pps | Aud));
            with_lengths(kept.map(|unit| unit.data))
        }
    }
}

fn with_lengths<'p>(units: impl Iterator<Item = &'p [u8]>) -> Result<Bytes, String> {
    let mut sample = Vec::new();
    for unit in units {
        let len = u32::try_from(unit.len()).map_err(|_| "a NAL unit of more than 4 GiB")?;
        sample.extend(len.to_be_bytes());
        sample.extend_from_slice(unit);
    }
    nonempty(sample)
}

fn nonempty(sample: Vec<u8>) -> Result<Bytes, String> {
    if sample.is_empty() { Err("a frame without a picture".to_owned()) } else { Ok(sample.into()) }
}

/// Width and height.
pub(super) fn size(entry: &SampleEntry) -> (u16, u16) {
    visual(&mut entry.clone()).map_or((0, 0), |visual| (visual.width, visual.height))
}

/// The entry with another size.
pub(super) fn with_size(mut entry: SampleEntry, width: u16, height: u16) -> SampleEntry {
    if let Some(visual) = visual(&mut entry) {
        (visual.width, visual.height) = (width, height);
    }
    entry
}

fn visual(entry: &mut SampleEntry) -> Option<&mut VisualSampleEntryFields> {
    match entry {
        SampleEntry::Avc1(entry) => Some(&mut entry.visual),
        SampleEntry::Hvc1(entry) => Some(&mut entry.visual),
        SampleEntry::Vp08(entry) => Some(&mut entry.visual),
        SampleEntry::Vp09(entry) => Some(&mut entry.visual),
        SampleEntry::Av01(entry) => Some(&mut entry.visual),
        _ => None,
    }
}

/// The part of the entry that WebM stores: for AV1 the content of its box, for VP8 and VP9 nothing.
pub(super) fn codec_private(entry: &SampleEntry) -> Vec<u8> {
    let SampleEntry::Av01(entry) = entry else { return Vec::new() };
    let mut encoded = entry.av1c_box.encode_to_vec().unwrap_or_default();
    encoded.drain(..BOX_HEADER_LEN.min(encoded.len()));
    encoded
}

/// The library's error text, without the place in its code.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn reason(error: shiguredo_mp4::Error) -> String {
    if error.reason.is_empty() { format!("{:?}", error.kind) } else { error.reason.clone() }
}
