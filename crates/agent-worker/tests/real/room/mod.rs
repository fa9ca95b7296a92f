//! Rooms of a real livekit-server, with official clients as the other participants.

mod audio;
pub(crate) mod audio_out;
mod media_paths;
mod reconnect;
mod regions;
mod relays;
mod rules;
mod session;
mod udp_proxy;
