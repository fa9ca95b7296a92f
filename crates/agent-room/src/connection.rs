//! The media connection as the machine sees it: the seam at which `transport`, which holds str0m, can be replaced.
//!
//! str0m draws its keys and passwords itself, so no room with it does the same twice. Everything on this side of the seam does: the same
//! inputs and the same media give the same outputs, byte for byte (I12).

use crate::data::{Channel, Written};
use crate::{EncodedFrame, Protocol};
use agent_proto::Time;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What happened in the media connection.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A packet is to be sent.
    Packet { protocol: Protocol, source: SocketAddr, destination: SocketAddr, contents: Vec<u8> },
    /// The reliable channel is open.
    Ready,
    /// A way to the server was found again, after a [`MediaConnection::restart`].
    Restarted,
    /// The system is to be asked from which address it would send to this one; the answer goes to [`MediaConnection::routed`].
    WantsRoute { remote: SocketAddr },
    /// An address of ours, for the server.
    Candidate { text: String },
    /// Datagrams do not seem to get through: connect to this address.
    WantsTcp { remote: SocketAddr },
    /// Nothing comes any more. A [`MediaConnection::restart`] may help.
    Silent { detail: String },
    /// A data packet came in.
    Data { channel: Channel, bytes: Bytes },
    /// A frame of the track with this sid came in.
    Frame { track: Arc<str>, frame: EncodedFrame },
    /// The connection is gone.
    Gone { detail: String },
}

/// What became of an answer.
pub(crate) struct Answered {
    /// The next offer, if there is one to make.
    pub(crate) offer: Option<String>,
    /// Candidates in the answer that cannot be used, or are too many.
    pub(crate) refused: u64,
}

/// One media connection. After each change its [events](Self::poll) are drained.
pub(crate) trait MediaConnection: Sized {
    /// What turns the machine's time into that of the implementation.
    type Clock: Copy;

    /// A connection over a UDP socket with this port, and its first offer. `None`: there is nothing to offer, which does not happen.
    fn new(port: u16, clock: Self::Clock, now: Time) -> Option<(Self, String)>;

    /// The next thing that happened.
    fn poll(&mut self) -> Option<Happened>;

    /// When [`Self::handle_timeout`] is due. `None`: never again.
    fn poll_timeout(&self) -> Option<Time>;

    /// Does what is due at `now`.
    fn handle_timeout(&mut self, now: Time);

    /// Takes a packet. `false`: it is not for us, or damaged.
    fn handle_packet(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        contents: &[u8],
        now: Time,
    ) -> bool;

    /// Looks for another way to the server; what is on its way meanwhile stays in order, and arrives. Gives the offer to make;
    /// `None`: the pending one must be answered first.
    fn restart(&mut self, now: Time) -> Option<String>;

    /// A TCP connection to one of the server's addresses stands.
    fn tcp_connected(&mut self, local: SocketAddr, remote: SocketAddr, now: Time);

    /// It is gone, or was never there.
    fn tcp_closed(&mut self, remote: SocketAddr, now: Time);

    /// Labels and stream ids of the data channels.
    fn channels(&mut self) -> Vec<(String, u16)>;

    /// Takes the server's answer to our last offer, with the track sid of each section (by its identifier); perhaps there is another
    /// offer to make. `Err`: what is wrong with it.
    fn answer(&mut self, sdp: &str, tracks: &BTreeMap<String, String>, now: Time)
    -> Result<Answered, String>;

    /// Takes a candidate of the server. `false`: it cannot be used, or is one too many.
    fn candidate(&mut self, text: &str, now: Time) -> bool;

    /// The system would send from this address to that one; `None`: it has no way there.
    fn routed(&mut self, remote: SocketAddr, local: Option<IpAddr>, now: Time);

    /// Why there is no connection, and what to do about it.
    fn explain(&self) -> String;

    /// How the server is reached now, from where the last packet came; over TCP also why.
    fn path(&self) -> Option<(Protocol, SocketAddr, String)>;

    /// Adds so many receive sections and offers anew, now (`Some`) or once the pending offer is answered.
    fn sections(&mut self, audio: u32, video: u32, now: Time) -> Option<String>;

    /// Sends one message.
    fn write(&mut self, channel: Channel, bytes: &[u8]) -> Written;

    /// Bytes on the reliable channel that the server has not acknowledged yet. `None`: there is no channel (any more), and nobody knows.
    fn unacknowledged(&mut self) -> Option<usize>;

    /// Says goodbye; the packets for it are the last to come out.
    fn close(&mut self, now: Time);

    /// Does all that is to do at this moment, after a [write](Self::write).
    fn run(&mut self, now: Time);

    /// How many frames came without a track to belong to. Each was dropped.
    fn unrouted(&self) -> u64;
}
