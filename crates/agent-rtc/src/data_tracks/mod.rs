//! Data tracks: frames of bytes, of which each reader gets the newest.

mod room;
mod sender;
mod stream;
mod writer;

pub use sender::DataFrameSender;
pub use stream::DataTrackStream;
pub use writer::DataTrackWriter;
