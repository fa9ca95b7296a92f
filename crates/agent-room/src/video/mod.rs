//! Video: from the packets of other participants' tracks to frames, and from frames to packets.
//!
//! `payload` knows the codecs' payload formats, `assembler` the packets of one stream, and `receiver` those
//! of all streams that are read. Nothing here encodes or decodes.

mod assembler;
mod choice;
mod frame;
mod outgoing;
mod payload;
mod receiver;
#[cfg(test)]
mod tests;

pub use choice::{VideoChoice, VideoQuality};
pub use frame::EncodedVideoFrame;
pub use outgoing::OutgoingVideoFrame;

pub(crate) use assembler::VideoPacket;
pub(crate) use payload::{PictureIds, is_key_frame, nal_units, split};
pub(crate) use receiver::{VideoOutput, VideoReceiver};
