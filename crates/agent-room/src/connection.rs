//! The media connection as the machine sees it: the interface behind which `transport`, which holds str0m,
//! can be replaced.
//!
//! str0m draws its keys and passwords itself, so no room with it does the same twice. Everything on this side
//! of the interface is deterministic: the same inputs and the same media give the same outputs, byte for byte
//! (I12).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use agent_proto::Time;

use crate::data::{Channel, WriteResult};
use crate::local_tracks::{PlacedFrame, SectionKind};
use crate::turn::{IceServer, RelayEvent};
use crate::video::VideoPacket;
use crate::{CommandId, EncodedFrame, NetworkPath, Protocol};

/// An event of the media connection.
#[derive(Debug)]
pub(crate) enum TransportEvent {
    /// Send a packet.
    Packet { protocol: Protocol, source: SocketAddr, destination: SocketAddr, contents: Vec<u8> },
    /// Packets take another path than before.
    PathChanged,
    /// The reliable channel is open.
    Ready,
    /// A path to the server was found again, after a [`MediaConnection::restart`].
    Restarted,
    /// Ask the system from which address it would send to this one; the answer goes to
    /// [`MediaConnection::routed`].
    NeedsRoute { remote: SocketAddr },
    /// An address of ours, for the server.
    Candidate { text: String },
    /// UDP seems to be blocked: connect to this address over TCP.
    NeedsTcp { remote: SocketAddr },
    /// TCP may be blocked, too: carry out this action of a relay.
    Relay(RelayEvent),
    /// Nothing arrives any more. A [`MediaConnection::restart`] may help.
    Silent { detail: String },
    /// A data packet was received.
    Data { channel: Channel, bytes: Bytes },
    /// A packet of the video track with this sid was received.
    VideoPacket { track: Arc<str>, packet: VideoPacket },
    /// A frame of the audio track with this sid was received.
    Frame { track: Arc<str>, frame: EncodedFrame },
    /// A receiver needs a key frame of a track of ours.
    KeyFrameRequested { track: CommandId },
    /// There is no path to the server, and no other one is to be tried.
    NoPath { detail: String },
    /// The connection is gone.
    Gone { detail: String },
}

/// The result of an answer.
pub(crate) struct Answered {
    /// The next offer, if there is one to send.
    pub(crate) offer: Option<String>,
    /// Number of candidates in the answer that are unusable, or too many.
    pub(crate) refused: u64,
    /// The tracks of ours whose sections were answered, and whether the server takes their frames.
    pub(crate) sections: Vec<(CommandId, bool)>,
}

/// One media connection. After each change its [events](Self::poll) are drained.
pub(crate) trait MediaConnection: Sized {
    /// Converts the machine's time into that of the implementation.
    type Clock: Copy;

    /// A connection over a UDP socket with this port, and its first offer. `None`: there is nothing to offer,
    /// which does not happen.
    fn new(port: u16, clock: Self::Clock, now: Time) -> Option<(Self, String)>;

    /// The next event.
    fn poll(&mut self) -> Option<TransportEvent>;

    /// When [`Self::handle_timeout`] is due. `None`: never again.
    fn poll_timeout(&self) -> Option<Time>;

    /// Handles the timers that are due at `now`.
    fn handle_timeout(&mut self, now: Time);

    /// Handles a packet. `false`: it is not for us, or damaged.
    fn handle_packet(
        &mut self,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        contents: &[u8],
        now: Time,
    ) -> bool;

    /// Looks for another path to the server; data under way meanwhile stay in order, and arrive. Returns the
    /// offer to send; `None`: the pending one must be answered first.
    fn restart(&mut self, now: Time) -> Option<String>;

    /// A TCP connection to one of the server's addresses is established.
    fn tcp_connected(&mut self, local: SocketAddr, remote: SocketAddr, now: Time);

    /// A TCP connection ended, or was never established.
    fn tcp_closed(&mut self, remote: SocketAddr, now: Time);

    /// The TURN servers from now on; `forced`: nothing else is to be used. `seed` is for random numbers that
    /// need not be secret.
    fn ice_servers(&mut self, servers: Vec<IceServer>, forced: bool, seed: u64, now: Time);

    /// The connection to a relay is established, from this local address.
    fn relay_opened(&mut self, relay: u32, local: SocketAddr, now: Time);

    /// Bytes of a relay. `false`: they are none of its protocol.
    fn relay_received(&mut self, relay: u32, contents: &Bytes, now: Time) -> bool;

    /// The connection to a relay ended, or was never established.
    fn relay_closed(&mut self, relay: u32, error: &str, now: Time);

    /// Labels and stream ids of the data channels.
    fn channels(&mut self) -> Vec<(String, u16)>;

    /// Applies the server's answer to our last offer, with the track sid of each section (by its identifier);
    /// there may be another offer to send. `Err`: what is wrong with the answer.
    fn answer(&mut self, sdp: &str, tracks: &BTreeMap<String, String>, now: Time)
    -> Result<Answered, String>;

    /// Applies a candidate of the server. `false`: it is unusable, or one too many.
    fn candidate(&mut self, text: &str, now: Time) -> bool;

    /// The system would send from `local` to `remote`; `None`: it has no route.
    fn routed(&mut self, remote: SocketAddr, local: Option<IpAddr>, now: Time);

    /// The reason why there is no connection, and what to do about it.
    fn explain(&self) -> String;

    /// The current path to the server. `None`: nothing was sent to it yet.
    fn path(&self) -> Option<NetworkPath>;

    /// Adds receive sections and offers again, now (`Some`) or once the pending offer is answered.
    fn sections(&mut self, audio: u32, video: u32, now: Time) -> Option<String>;

    /// Adds a section that sends a track of ours, which the server finds by the client id, and offers it, now
    /// (`Some`) or once the pending offer is answered.
    fn open_section(&mut self, track: CommandId, cid: &str, kind: SectionKind, now: Time) -> Option<String>;

    /// Takes the track out of its section, and offers that, now (`Some`) or once the pending offer is
    /// answered.
    fn close_section(&mut self, track: CommandId, now: Time) -> Option<String>;

    /// Sends a frame of a track of ours. `false`: it cannot be sent now.
    fn send_frame(&mut self, track: CommandId, frame: &PlacedFrame, now: Time) -> bool;

    /// Requests a key frame of the stream (SSRC) that the server sends.
    fn request_key_frame(&mut self, source: u32, now: Time);

    /// Sends one message.
    fn write(&mut self, channel: Channel, bytes: &[u8]) -> WriteResult;

    /// Number of bytes on the reliable channel that the server has not acknowledged yet. `None`: there is no
    /// channel (any more), so it is unknown.
    fn unacknowledged(&mut self) -> Option<usize>;

    /// Closes the connection; the packets for it are the last outputs.
    fn close(&mut self, now: Time);

    /// Does everything that is due now, after a [write](Self::write).
    fn run(&mut self, now: Time);

    /// Number of frames without a track. Each was dropped.
    fn unrouted(&self) -> u64;
}
