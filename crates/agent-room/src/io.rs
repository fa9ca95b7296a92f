//! What goes into the machine and what comes out of it.

use crate::{Command, CommandError, CommandId, DisconnectReason, RoomEvent, Token};
use bytes::Bytes;
use std::net::SocketAddr;

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// A datagram.
    Udp,
    /// A length-prefixed packet in a stream (ICE-TCP). Not asked for yet.
    Tcp,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The room's socket is bound. The first input, given once.
    UdpBound {
        /// The addresses at which packets to it may arrive: one for each interface that leads to the server.
        locals: Vec<SocketAddr>,
    },
    /// The WebSocket stands.
    SignalOpened,
    /// The server answered the WebSocket's HTTP request with something else than an upgrade.
    SignalRefused {
        /// The HTTP status.
        status: u16,
        /// The body of the response.
        body: String,
    },
    /// There is no WebSocket.
    SignalFailed {
        /// Why.
        error: String,
    },
    /// A binary WebSocket message came in.
    SignalReceived(Bytes),
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
        /// At which of our addresses.
        destination: SocketAddr,
        /// What.
        contents: Bytes,
    },
    /// Somebody wants something done.
    Commanded {
        /// Comes back in [`Output::CommandDone`].
        id: CommandId,
        /// What.
        command: Command,
    },
}

/// What to do.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Open a WebSocket to `url`, with the token as bearer.
    ConnectSignal {
        /// Where to.
        url: String,
        /// For the `Authorization` header.
        token: Token,
    },
    /// Send a binary WebSocket message.
    SendSignal(Bytes),
    /// Send what waits, then close the WebSocket.
    CloseSignal,
    /// Send a packet from our socket. One that cannot be sent at once is dropped.
    SendPacket {
        /// How.
        protocol: Protocol,
        /// From which of our addresses.
        source: SocketAddr,
        /// Where to.
        destination: SocketAddr,
        /// What.
        contents: Vec<u8>,
    },
    /// Tell the user.
    Event(RoomEvent),
    /// Tell the one who asked.
    CommandDone {
        /// From [`Input::Commanded`].
        id: CommandId,
        /// How it went.
        result: Result<(), CommandError>,
    },
    /// The machine is done and takes no more inputs. The last output.
    Closed {
        /// Why.
        reason: DisconnectReason,
    },
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
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
    /// WebRTC's own timers.
    Transport,
}
