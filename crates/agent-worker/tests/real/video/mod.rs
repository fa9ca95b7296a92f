//! Encoded video on a real livekit-server, with official clients as the other participants.

pub(crate) mod published;
mod received;
