//! The codecs that we offer.

use str0m::Rtc;
use str0m::format::{Codec, CodecConfig, FormatParams, PayloadParams};
use str0m::media::{Frequency, Mid, Pt};

use crate::VideoCodec;
use crate::local_tracks::SectionKind;

/// The profile of H.264 that every client has, Constrained Baseline, and that of large pictures, High.
const H264_PROFILES: [(u8, bool, u32); 3] =
    [(108, true, 0x0042_e01f), (125, false, 0x0042_e01f), (123, true, 0x0064_0032)];
/// Profiles 0 and 2: of 8 and of 10 bits.
const VP9_PROFILES: [(u8, u32); 2] = [(98, 0), (100, 2)];

/// Offers Opus, and all video codecs.
///
/// The payload types are those of livekit-server: until 1.13.10 it answers with its own, whatever was
/// offered.
pub(super) fn configure(config: &mut CodecConfig) {
    config.clear();
    config.enable_opus(true, false);
    let mut add = |pt: u8, codec, format| {
        config.add_config(pt.into(), Some((pt + 1).into()), codec, Frequency::NINETY_KHZ, None, format);
    };
    add(96, Codec::Vp8, FormatParams::default());
    for (pt, profile) in VP9_PROFILES {
        add(pt, Codec::Vp9, FormatParams { profile_id: Some(profile), ..FormatParams::default() });
    }
    add(35, Codec::Av1, FormatParams::default());
    for (pt, split, profile) in H264_PROFILES {
        config.add_h264(pt.into(), Some((pt + 1).into()), split, profile);
    }
    // Main profile, main tier, level 6.
    config.add_h265(116.into(), Some(117.into()), 1, 0, 180);
}

/// The payload type of what a section sends, if the server takes it.
pub(super) fn payload_type(rtc: &Rtc, mid: Mid, kind: SectionKind) -> Option<Pt> {
    let media = rtc.media(mid).filter(|media| media.direction().is_sending())?;
    let is_it = |codec: Codec| match kind {
        SectionKind::Audio => codec == Codec::Opus,
        SectionKind::Video { codec: wanted, .. } => of(codec) == Some(wanted),
    };
    // In the order in which we offer them: of H.264 the form in which frames may be split comes first.
    let ours = rtc.codec_config().iter().filter(|params| is_it(params.spec().codec));
    ours.map(PayloadParams::pt).find(|pt| media.remote_pts().contains(pt))
}

/// The video codec of a payload type.
pub(super) fn video(rtc: &Rtc, pt: Pt) -> Option<VideoCodec> {
    of(rtc.codec_config().iter().find(|params| params.pt() == pt)?.spec().codec)
}

fn of(codec: Codec) -> Option<VideoCodec> {
    match codec {
        Codec::Vp8 => Some(VideoCodec::Vp8),
        Codec::Vp9 => Some(VideoCodec::Vp9),
        Codec::H264 => Some(VideoCodec::H264),
        Codec::H265 => Some(VideoCodec::H265),
        Codec::Av1 => Some(VideoCodec::Av1),
        _ => None,
    }
}
