//! The tracks that we publish from encoded frames.
//!
//! A frame goes from its track to the room's backend over one queue of the room, beside requests and their
//! replies; what the backend reports of a track is in a table that the tracks share with it.

mod frames;
mod handle;
mod queue;
mod room;
mod table;
mod track;
mod video;

pub use frames::OutgoingFrames;
pub(crate) use table::LocalTracks;
pub use track::EncodedAudioTrack;
pub use video::EncodedVideoTrack;
