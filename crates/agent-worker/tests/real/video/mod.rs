//! Encoded video on a real livekit-server, with official clients as the other participants.

mod published;
mod received;
