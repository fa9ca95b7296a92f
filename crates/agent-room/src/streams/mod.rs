//! Text and byte streams: content of any length on a topic, in packets of the reliable data channel.
//!
//! A stream is a header, numbered chunks and a trailer, or a header with the whole content inside. Nothing
//! here knows a channel or a clock.
//!
//! - `incoming` puts the packets of all senders in order, and reports each stream as [`StreamEvent`]s.
//! - `readers` keeps their content until it is read, within limits; `reader` is one stream, `deflate` and
//!   `text` decode its content as it is read, `unread` is what to log about those without a reader.
//! - `outgoing` has what we send, until the data channel has accepted it: `send` decides on the form of a
//!   whole content, `source` cuts content into chunks.
//!
//! The data channel has no flow control for each stream: a stream that is not read would have to stop all
//! others, signalling aside. So a stream whose unread content exceeds its limit fails with
//! [`StreamError::BufferFull`], which its reader receives; the other streams are not affected. Compressed
//! content is kept as it was received, and decompressed piece by piece as it is read.

mod collect;
mod deflate;
mod early;
mod error;
mod event;
mod incoming;
mod info;
mod limits;
mod options;
mod outgoing;
mod reader;
mod readers;
mod send;
mod source;
mod text;
mod unread;

pub(crate) use collect::Collected;
pub(crate) use early::EarlyPackets;
pub use error::StreamError;
pub use event::{IncomingStream, StreamEvent};
pub(crate) use incoming::{Incoming, PacketSender, StreamPacket};
pub use info::{StreamInfo, StreamKind, TextOperation, TextStreamInfo};
pub use limits::StreamLimits;
pub use options::StreamOptions;
pub(crate) use outgoing::{Outgoing, SendDone, SendOwner, StreamOut};
pub use readers::{MissedStreams, OpenedStream, StreamProgress, StreamReaders};
pub(crate) use send::Abilities;
pub(crate) use text::whole_characters;
pub use unread::UnreadStream;

#[cfg(test)]
mod tests;
