//! Channels between the jobs of several workers: over Redis and Valkey, and over the data of a room.

#[cfg(all(unix, feature = "redis"))]
mod channels;
mod room_channels;
