//! What goes into the machine and what comes out of it.

use crate::{
    CommandId, DisconnectReason, EncodedFrame, JoinFailure, RoomCommand, RoomError, RoomEvent, Unsupported,
};
use agent_proto::Secret;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Protocol {
    /// A datagram.
    Udp,
    /// A length-prefixed packet in a stream (ICE-TCP).
    Tcp,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The room's socket is bound. The first input; later given for each [`Output::BindUdp`].
    UdpBound {
        /// Its port. It takes packets at every address of this machine, of each family that the machine has.
        port: u16,
    },
    /// No socket could be bound for an [`Output::BindUdp`].
    UdpNotBound {
        /// Why.
        error: String,
    },
    /// What the system says to an [`Output::FindRoute`].
    RouteFound {
        /// The address that was asked about.
        remote: SocketAddr,
        /// The address of this machine from which the system would send there. `None`: it has no route.
        local: Option<IpAddr>,
    },
    /// The TCP connection that [`Output::ConnectTcp`] asked for stands.
    TcpConnected {
        /// Our address.
        local: SocketAddr,
        /// The server's.
        remote: SocketAddr,
    },
    /// It could not be made, or it broke.
    TcpClosed {
        /// The server's address.
        remote: SocketAddr,
    },
    /// The WebSocket stands.
    SignalOpened,
    /// The server answered the WebSocket's HTTP request with something else than an upgrade.
    SignalRefused {
        /// The HTTP status.
        status: u16,
        /// The body of the response.
        body: String,
        /// When the server wants to be asked again, counted from now (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// There is no WebSocket.
    SignalFailed {
        /// Why.
        error: String,
    },
    /// A binary WebSocket message came in.
    SignalReceived(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))] Bytes),
    /// The WebSocket is closed.
    SignalClosed {
        /// What the connection said.
        reason: String,
    },
    /// A packet came in.
    PacketReceived {
        /// How.
        protocol: Protocol,
        /// From where.
        source: SocketAddr,
        /// At which of our addresses; an unspecified one if the socket does not know.
        destination: SocketAddr,
        /// What.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
        contents: Bytes,
    },
    /// After an [`Output::JoinFailed`]: retry the join, in the session that there is.
    JoinRetried {
        /// How long it may take until data can go both ways.
        timeout: Duration,
    },
    /// Somebody wants something done.
    Commanded {
        /// Comes back in [`Output::CommandDone`].
        id: CommandId,
        /// What.
        command: RoomCommand,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Output {
    /// Open a WebSocket to `url`, with the token as bearer, in the place of the one before.
    ConnectSignal {
        /// Where to.
        url: String,
        /// Some time has passed since the connection was lost: the server may be another one by now, which makes the room anew.
        late: bool,
        /// For the `Authorization` header.
        token: Secret,
    },
    /// Send a binary WebSocket message.
    SendSignal(
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
        Bytes,
    ),
    /// Send what waits, then close the WebSocket, without waiting for it. Nothing that still comes on it is an input.
    CloseSignal,
    /// Close the room's socket and bind another one: an address belongs to one session.
    BindUdp,
    /// Ask the system from which address of this machine it would send to this one, and answer with [`Input::RouteFound`]. Nothing is to
    /// be sent.
    FindRoute {
        /// An address of the server, or one that stands for all distant ones of its family.
        remote: SocketAddr,
    },
    /// Media and data go this way from now on: for the log.
    MediaPath {
        /// How.
        protocol: Protocol,
        /// The server's address.
        remote: SocketAddr,
        /// Over TCP: why not over UDP, and what to do about it.
        why: String,
    },
    /// Connect to the server over TCP, for packets that do not get through as datagrams: each is sent behind its length, two
    /// bytes in network order (RFC 4571).
    ConnectTcp {
        /// The server's address.
        remote: SocketAddr,
    },
    /// Send a packet from our socket. One that cannot be sent at once is dropped.
    SendPacket {
        /// How.
        protocol: Protocol,
        /// From which of our addresses; the system picks the same one by itself.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
        /// What.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
        contents: Vec<u8>,
    },
    /// Something came in that this version does not take: for the log. Once for each kind and topic, and for a bounded number of them.
    Unsupported(Unsupported),
    /// Tell the user.
    Event(RoomEvent),
    /// A frame of an audio track that the server sends us. Its place among the events means nothing.
    Frame {
        /// The track's sid.
        track: Arc<str>,
        /// The frame.
        frame: EncodedFrame,
    },
    /// Tell the one who wants to join: the server has let us in, but there is no media connection. Then either [`Input::JoinRetried`] is given or
    /// [`RoomCommand::Leave`]: until then we are in the room, as a server takes an agent that leaves for one that has failed.
    JoinFailed {
        /// Why.
        failure: JoinFailure,
    },
    /// Tell the one who asked. What is answered with more than whether it was done has an output of its own.
    CommandDone {
        /// From [`Input::Commanded`].
        id: CommandId,
        /// How it went.
        result: Result<(), RoomError>,
    },
    /// The machine is done and takes no more inputs. The last output.
    Closed {
        /// Why.
        reason: DisconnectReason,
    },
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The join is taking too long.
    Join,
    /// A ping is due.
    Ping,
    /// The server was silent for too long.
    Silence,
    /// The server did not answer a change of our own metadata.
    Request,
    /// The media connection is gone, and the server has not said why.
    MediaGone,
    /// What was published before the leave has not arrived yet.
    Leave,
    /// The wait between two tries to restore a connection, or a step of such a try.
    Recovery,
    /// The connection cannot be restored.
    GiveUp,
    /// WebRTC's own timers.
    Transport,
}
