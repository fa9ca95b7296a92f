//! Text and byte streams of a room: content of any length on a topic.
//!
//! - `room` is what [`Room`](super::Room) offers of them.
//! - `builder` describes a stream that we send, `content` what is sent, `writer` sends it in parts.
//! - `receiver` has the streams of a topic, `reader` the content of one of them; `state` is what both share
//!   with the backend.

mod builder;
mod content;
mod file;
mod new_file;
mod reader;
mod receiver;
mod room;
mod state;
mod writer;

pub use builder::{StreamBuilder, StreamContent};
pub use content::{ByteParts, TextParts, WholeBytes, WholeText};
pub use file::{FileError, WholeFile};
pub use reader::{ByteReader, TextReader};
pub use receiver::{ByteStreams, TextStreams};
pub(crate) use state::Streams;
pub use writer::{ByteWriter, TextWriter};
