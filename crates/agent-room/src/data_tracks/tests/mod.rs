//! Packets, frames and the exchange with the server.

mod packets;
mod reassembly;
mod signalling;
