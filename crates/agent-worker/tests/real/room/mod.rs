//! Rooms of a real livekit-server, with official clients as the other participants.

mod audio;
mod audio_out;
mod media_paths;
#[cfg(feature = "media")]
mod pcm;
mod reconnect;
mod regions;
mod rules;
mod session;
mod udp_proxy;
