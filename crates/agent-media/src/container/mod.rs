//! Files of encoded audio and video, without I/O and without re-encoding: Ogg Opus, WebM, fragmented MP4.
//!
//! A [`ContainerWriter`] takes frames and returns bytes to append to a file. It returns them in parts of
//! about a second, each complete in itself: if the writer is killed, the file can be played up to its last
//! complete part. (A part of MP4 begins with a list of its samples, 12 bytes for each frame. Some players
//! cannot open a file that ends within this list, so write each part at once.) A file that was
//! [finished](ContainerWriter::finish) has its duration and an index to seek with.
//!
//! ```
//! use agent_media::container::{Container, ContainerWriter, ContainerFrame, TrackFormat};
//! use std::time::Duration;
//!
//! let mut writer = ContainerWriter::new(Container::WebM, vec![TrackFormat::Opus { channels: 1 }])?;
//! let mut file = Vec::new();
//! for number in 0..100 {
//!     // 20 ms of silence.
//!     let frame = ContainerFrame::audio(&[0xf8, 0xff, 0xfe][..], Duration::from_millis(20) * number);
//!     file.extend(writer.write(0, frame)?);
//! }
//! writer.finish()?.complete(&mut file);
//! assert!(file.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]));
//! # Ok::<(), agent_media::container::ContainerError>(())
//! ```
//!
//! | | extension | codecs | tracks |
//! |---|---|---|---|
//! | [`OggOpus`](Container::OggOpus) | `ogg` | Opus | 1 |
//! | [`WebM`](Container::WebM) | `webm` | Opus, VP8, VP9, AV1 | 16 |
//! | [`Mp4`](Container::Mp4) | `mp4` | Opus, H.264, H.265, VP8, VP9, AV1 | 16 |
//!
//! The memory of a writer is bounded: less than 4 MiB and one frame, and an index of 2,048 entries.

mod bitstream;
mod error;
mod format;
mod frame;
mod kind;
mod mp4;
mod ogg;
mod opus_header;
mod pending;
mod seek_index;
#[cfg(test)]
pub(crate) mod tests;
mod webm;
mod writer;

pub use agent_proto::VideoCodec;
pub use error::ContainerError;
pub use format::{TrackFormat, VideoFormat};
pub use frame::{ContainerFrame, FinishedFile};
pub use kind::Container;
pub use writer::ContainerWriter;
