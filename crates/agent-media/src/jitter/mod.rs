//! The jitter buffer: packets in any order become a stream without holes.
//!
//! # When a packet is played
//! A packet is played at the time of its sound, plus the transit time of the fastest packets, plus a delay.
//! The fastest packets are those of the last two seconds, so that a sender whose clock is fast or slow is
//! followed. The delay has a target: 97 % of the packets of the last 10 seconds or so came earlier than this,
//! and 2 ms for timers that fire late. On a network without jitter this is some 3 ms; by default it is at
//! least 10 ms, as a busy machine holds packets up, too.
//!
//! # When the delay changes
//! - It grows at once: when a packet is due and nothing has come, 10 ms are concealed, repeatedly. If the
//!   packet comes then, it is played, and the concealed time has increased the delay. If a later one comes,
//!   the packet was lost, and the concealed sound replaces it.
//! - It follows its target where the sender is silent, or the sound is quiet: such sound becomes shorter or
//!   longer. In speech, and in music, `AudioReceiver` lengthens or shortens a packet's sound by one or a few
//!   periods of its pitch, at most five times a second when it is shortened, and not within two seconds after
//!   a packet was late.
//! - Where more than 3 % of the packets are lost, and have a copy in the next one, it becomes long enough for
//!   the copies: a copy counts as its packet, which has come late.
//! - It never exceeds its bound. What would have to wait longer is not played.
//!
//! # What fills holes
//! A missing packet is rebuilt from the copy in the next one (in-band FEC), if that is there in time and has
//! one; otherwise it is concealed, for at most 120 ms. If timestamps advance further than numbers, the sender
//! has sent nothing (DTX), which is silence. If nothing comes after a packet of DTX, or for longer than is
//! concealed, there is silence until one second after the last packet. Then the stream **pauses**: a muted
//! track sends nothing, and nothing is played, until packets come again.
//!
//! # What does not fit
//! Numbers and timestamps that jump far are ignored, unless the next packet follows: it begins a new stream,
//! as does another source. Packets of the old one that still wait are dropped. Repeated packets, and
//! packets whose place was taken, are dropped and counted. Memory is bounded: 1,024 packets and 1 MiB.

mod buffer;
mod delay;
mod floor;
mod histogram;
mod media_time;
mod options;
mod packet;
mod player;
mod reorder;
#[cfg(test)]
mod tests;
mod units;

pub use buffer::JitterBuffer;
pub use options::{JitterOptions, JitterStats};
pub use packet::{EncodedPacket, Playout, PlayoutSound};
