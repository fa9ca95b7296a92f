//! A room against str0m as the server, over an in-memory network with a virtual clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod data_tracks;
mod garbage;
mod ice_passwords;
mod local_tracks;
mod media;
mod one_event;
mod paths;
mod peer_packets;
mod recovery;
mod relays;
mod session;
mod streams;
mod support;
