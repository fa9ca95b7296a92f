//! Tests of the client against a server in memory, and against anything at all.

mod any_bytes;
mod client;
mod relays;
mod server;
mod whole_room;
