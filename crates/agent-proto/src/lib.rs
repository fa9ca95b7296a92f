//! The LiveKit messages that this SDK speaks, as [prost] types generated from our own `.proto` files, and a
//! [codec](decode) that refuses a frame over a size limit before it is parsed. Also the few types that every
//! other crate needs: [`Time`], [`Secret`], [`ParticipantKind`], [`TrackSource`], [`VideoCodec`], a
//! [bounded queue](DropOldest), the display of [text] from others, the [recording] of machines, and the
//! [watch] on a value.
//!
//! It contains no rule of a job or a room, and the public APIs of the other crates show message types of
//! their own. `cargo xtask codegen` regenerates [`livekit`].
//!
//! ```
//! use agent_proto::{decode, encode, livekit, MAX_FRAME_LEN};
//!
//! let ping = livekit::WorkerPing { timestamp: 7 };
//! let frame = encode(&ping);
//! assert_eq!(decode::<livekit::WorkerPing>(&frame, MAX_FRAME_LEN), Ok(ping));
//! ```

mod codec;
#[cfg(feature = "coverage")]
pub mod coverage;
pub mod error_text;
mod future;
mod kinds;
mod queue;
pub mod recording;
mod redact;
#[cfg(feature = "serde")]
pub mod seconds;
mod secret;
pub mod text;
mod time;
mod video_codec;
pub mod watch;

pub use codec::{DecodeError, MAX_FRAME_LEN, decode, decode_borrowed, encode};
pub use future::BoxFuture;
pub use kinds::{KindDetail, ParticipantKind, TrackSource};
pub use queue::{DropOldest, Popped, QueueEntry, QueueLimits};
pub use secret::Secret;
pub use time::Time;
pub use video_codec::VideoCodec;

/// The descriptors of everything in [`livekit`]: an encoded `google.protobuf.FileDescriptorSet`, without
/// comments.
///
/// For formats that name fields instead of numbering them, such as protobuf's JSON form, which LiveKit
/// servers accept and return, too.
///
/// ```
/// let pool = prost_reflect::DescriptorPool::decode(agent_proto::DESCRIPTORS)?;
/// assert!(pool.get_message_by_name("livekit.WorkerMessage").is_some());
/// # Ok::<(), prost_reflect::DescriptorError>(())
/// ```
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/livekit.fds");

/// Messages and enums of the protobuf package `livekit`, generated from `proto/`.
///
/// Field comments of the `.proto` files give units; names and numbers are the public protocol's.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
#[path = "gen/livekit.rs"]
pub mod livekit;
