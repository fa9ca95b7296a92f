//! The payload formats of RTP: how a frame of each codec is split into packets, and joined again.
//!
//! Nothing is kept from one frame to the next: a frame is made of all its packets at once, in order, so that
//! what is missing in one cannot end up in another.

mod av1;
mod bits;
mod h264;
mod h265;
mod nal;
mod picture;
#[cfg(test)]
mod tests;
mod vp8;
mod vp9;

use bytes::Bytes;

use crate::VideoCodec;
use picture::Picture;

pub(crate) use nal::units as nal_units;
pub(crate) use picture::PictureIds;

/// Whether a key frame begins with this packet.
pub(super) fn starts_key_frame(codec: VideoCodec, packet: &[u8]) -> bool {
    match codec {
        VideoCodec::Vp8 => vp8::starts_key_frame(packet),
        VideoCodec::Vp9 => vp9::starts_key_frame(packet),
        VideoCodec::H264 => h264::starts_key_frame(packet),
        VideoCodec::H265 => h265::starts_key_frame(packet),
        VideoCodec::Av1 => av1::starts_key_frame(packet),
    }
}

/// Joins the packets of one frame, in order. `None`: they are not those of a frame.
pub(super) fn assemble(codec: VideoCodec, packets: &[Bytes]) -> Option<Picture> {
    match codec {
        VideoCodec::Vp8 => vp8::assemble(packets),
        VideoCodec::Vp9 => vp9::assemble(packets),
        VideoCodec::H264 => h264::assemble(packets),
        VideoCodec::H265 => h265::assemble(packets),
        VideoCodec::Av1 => av1::assemble(packets),
    }
}

/// Whether this frame can be decoded without another one.
pub(crate) fn is_key_frame(codec: VideoCodec, frame: &[u8]) -> bool {
    match codec {
        VideoCodec::Vp8 => vp8::is_key_frame(frame),
        VideoCodec::Vp9 => vp9::is_key_frame(frame),
        VideoCodec::H264 => h264::is_key_frame(frame),
        VideoCodec::H265 => h265::is_key_frame(frame),
        VideoCodec::Av1 => av1::is_key_frame(frame),
    }
}

/// Whether this can be a frame of this codec: a look at its beginning, or at its structure.
pub(super) fn is_frame(codec: VideoCodec, frame: &[u8]) -> bool {
    match codec {
        VideoCodec::Vp8 => vp8::is_frame(frame),
        VideoCodec::Vp9 => vp9::is_frame(frame),
        VideoCodec::H264 | VideoCodec::H265 => nal::is_frame(frame),
        VideoCodec::Av1 => av1::is_frame(frame),
    }
}

/// Splits a frame into packets of at most `limit` bytes. None: it is no frame of this codec.
pub(crate) fn split(codec: VideoCodec, frame: &[u8], limit: usize, ids: &mut PictureIds) -> Vec<Bytes> {
    match codec {
        VideoCodec::Vp8 => vp8::split(frame, limit, ids),
        VideoCodec::Vp9 => vp9::split(frame, limit, ids),
        VideoCodec::H264 => h264::split(frame, limit),
        VideoCodec::H265 => h265::split(frame, limit),
        VideoCodec::Av1 => av1::split(frame, limit),
    }
}
