//! Relays for networks that let packets pass to few addresses only: a TURN client (RFC 8656) without I/O.
//!
//! - `url`: the URLs of TURN servers. `message`: STUN messages, written, signed and read.
//! - `client`: one allocation at one server. `framing`: messages in a stream of bytes.
//! - `relays`: the servers of a room, which of them are tried, and what became of them.
//!
//! Peers are always reached over channels: binding one installs the permission for the peer as well, and
//! costs four bytes a packet. The credentials are long-term ones with MD5 and SHA-1, which each server of
//! today accepts. A TURN server may be anybody's: what it sends is bounded, and its texts are escaped.

mod client;
mod error;
mod framing;
mod message;
mod relays;
#[cfg(test)]
mod tests;
mod url;

pub(crate) use relays::{IceServer, RelayArrival, RelayEvent, Relays};
pub use url::RelayTransport;
