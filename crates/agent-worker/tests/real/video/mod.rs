//! Encoded video on a real livekit-server, with official clients as the other participants.

mod browser;
mod lossy;
pub(crate) mod published;
mod received;
