//! Rooms of a real livekit-server, with official clients as the other participants.

mod audio;
mod interfaces;
mod media_paths;
pub(crate) mod reconnect;
mod regions;
mod rules;
pub(crate) mod session;
mod udp_proxy;
