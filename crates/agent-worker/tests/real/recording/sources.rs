//! Encoded sound and pictures: black and silent, with a flash and a beep at the same time.

use std::time::Duration;

use agent_testkit::Tone;
use agent_worker::media::{AudioCodec, AudioFormat, EncoderOptions, RopusCodec};
use agent_worker::recording::{ContainerFrame, VideoCodec, VideoFormat};

use super::ffmpeg::Ffmpeg;
use crate::support::ffmpeg::split;

/// How long the sources are.
pub(crate) const LENGTH: Duration = Duration::from_secs(5);
/// When it flashes and beeps, for 100 ms.
pub(crate) const EVENT: Duration = Duration::from_millis(3_400);
const EVENT_LENGTH: Duration = Duration::from_millis(100);

/// How long a packet and a picture last.
pub(crate) const FRAME: Duration = Duration::from_millis(20);

/// Packets of Opus.
pub(crate) fn opus(format: AudioFormat) -> Vec<ContainerFrame> {
    let mut encoder = RopusCodec.encoder(format, &EncoderOptions::new()).expect("an encoder");
    let rate = format.sample_rate();
    let mut samples = vec![0; format.samples_in(LENGTH)];
    let beep = Tone::new(1_000.0).level(-6.0).samples(rate, format.channels(), EVENT_LENGTH);
    let begin = format.samples_in(EVENT);
    samples[begin..begin + beep.len()].copy_from_slice(&beep);
    let packets = samples.chunks(format.samples_in(FRAME)).enumerate().map(|(number, frame)| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).expect("encoded");
        ContainerFrame::audio(packet, FRAME * number as u32)
    });
    packets.collect()
}

/// Pictures, of which each fiftieth is a key frame.
pub(crate) fn video(ffmpeg: &Ffmpeg, codec: VideoCodec) -> Vec<ContainerFrame> {
    let source = format!(
        "color=c=black:s=320x240:r=50:d={},drawbox=c=white:t=fill:enable='between(t,{},{})'",
        LENGTH.as_secs(),
        (EVENT - FRAME / 2).as_secs_f64(),
        (EVENT + EVENT_LENGTH).as_secs_f64()
    );
    let encoder: &[&str] = match codec {
        VideoCodec::Vp8 => &["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"],
        VideoCodec::Vp9 => &[
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-lag-in-frames",
            "0",
            "-f",
            "ivf",
        ],
        VideoCodec::Av1 => &[
            "-c:v",
            "libaom-av1",
            "-usage",
            "realtime",
            "-cpu-used",
            "8",
            "-lag-in-frames",
            "0",
            "-f",
            "ivf",
        ],
        VideoCodec::H264 => &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-bf",
            "0",
            "-bsf:v",
            "h264_metadata=aud=insert",
            "-f",
            "h264",
        ],
        VideoCodec::H265 => &[
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "bframes=0:log-level=none:repeat-headers=1",
            "-bsf:v",
            "hevc_metadata=aud=insert",
            "-f",
            "hevc",
        ],
    };
    let input = ["-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p", "-g", "50"];
    let encoded = ffmpeg.run(&[&input[..], encoder, &["-"]].concat());
    let payloads = split(codec, &encoded);
    let frames = payloads.into_iter().enumerate().map(|(number, payload)| {
        let is_key = VideoFormat::of_key_frame(codec, &payload).is_ok();
        ContainerFrame::video(payload, FRAME * number as u32, is_key)
    });
    frames.collect()
}
