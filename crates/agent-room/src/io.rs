//! Inputs and outputs of the room machine.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Secret;

use crate::{
    CommandId, DataTrackFrame, DisconnectReason, JoinFailure, MediaFrame, NetworkPath, OutgoingMedia,
    RelayTransport, RoomCommand, RoomError, RoomEvent, RpcCall, RpcError, RpcRequest, StreamEvent, Track,
    UnknownMethod,
};

/// The transport of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Protocol {
    /// A datagram.
    Udp,
    /// A length-prefixed packet in a stream (ICE-TCP).
    Tcp,
}

/// An input of the machine.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The room's socket is bound. The first input; repeated after each [`Output::BindUdp`].
    UdpBound {
        /// The port. The socket receives packets at every address of this machine, in each address family
        /// that it has.
        port: u16,
    },
    /// No socket could be bound for an [`Output::BindUdp`].
    UdpNotBound {
        /// The error.
        error: String,
    },
    /// The system's answer to an [`Output::FindRoute`].
    RouteFound {
        /// The address in question.
        remote: SocketAddr,
        /// The address of this machine from which the system would send there. `None`: it has no route.
        local: Option<IpAddr>,
    },
    /// The TCP connection of an [`Output::ConnectTcp`] is established.
    TcpConnected {
        /// Our address.
        local: SocketAddr,
        /// The server's.
        remote: SocketAddr,
    },
    /// The TCP connection could not be made, or ended.
    TcpClosed {
        /// The server's address.
        remote: SocketAddr,
    },
    /// The connection of an [`Output::OpenRelay`] is established.
    RelayOpened {
        /// The relay.
        relay: u32,
        /// Our address.
        local: SocketAddr,
    },
    /// Bytes of a relay: one datagram, or some of a stream.
    RelayReceived {
        /// The relay.
        relay: u32,
        /// The bytes.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
        contents: Bytes,
    },
    /// The connection to a relay could not be made, or ended.
    RelayClosed {
        /// The relay.
        relay: u32,
        /// Why, behind the name of the server.
        error: String,
    },
    /// The WebSocket is open.
    SignalOpened,
    /// The server answered the WebSocket's HTTP request with something other than an upgrade.
    SignalRefused {
        /// The HTTP status.
        status: u16,
        /// The body of the response.
        body: String,
        /// The server's `Retry-After`, counted from now.
        retry_after: Option<Duration>,
    },
    /// The WebSocket could not be opened.
    SignalFailed {
        /// The error.
        error: String,
    },
    /// A binary WebSocket message was received.
    SignalReceived(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))] Bytes),
    /// The WebSocket is closed.
    SignalClosed {
        /// The connection's reason.
        reason: String,
    },
    /// A packet was received.
    PacketReceived {
        /// The transport.
        protocol: Protocol,
        /// The sender's address.
        source: SocketAddr,
        /// The receiving address; unspecified if the socket does not know it.
        destination: SocketAddr,
        /// The packet.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
        contents: Bytes,
    },
    /// The join is called again: after an [`Output::JoinFailed`] it is retried in the existing session, and
    /// before that it continues.
    JoinRetried {
        /// Timeout from now until data can be sent in both directions.
        timeout: Duration,
    },
    /// A command for the room.
    Commanded {
        /// Returned in [`Output::CommandDone`].
        id: CommandId,
        /// The command.
        command: RoomCommand,
    },
    /// Call a method of another participant.
    Called {
        /// Returned in [`Output::CallDone`]. A call has no id of a command.
        id: CommandId,
        /// The call.
        call: RpcCall,
    },
    /// Send a frame of a track of ours, now or never: it is no command, has no result, and does not
    /// wait for a connection.
    SendFrame {
        /// The command that published the track.
        track: CommandId,
        /// The frame.
        frame: OutgoingMedia,
    },
}

/// An output of the machine.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Output {
    /// Open a WebSocket to `url`, with the token as bearer, instead of the previous one.
    ConnectSignal {
        /// The URL.
        url: String,
        /// Some time has passed since the connection was lost, so a new server may have replaced the old one,
        /// which would recreate the room.
        may_be_new_server: bool,
        /// The token for the `Authorization` header.
        token: Secret,
    },
    /// Send a binary WebSocket message.
    SendSignal(
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
        Bytes,
    ),
    /// Send pending messages, then close the WebSocket, without waiting for it. Later messages on it are no
    /// inputs.
    CloseSignal,
    /// Close the room's socket and bind a new one: an address belongs to one session.
    BindUdp,
    /// Ask the system from which address of this machine it would send to `remote`, and answer with
    /// [`Input::RouteFound`]. Nothing is sent.
    FindRoute {
        /// An address of the server, or one that represents all distant ones of its family.
        remote: SocketAddr,
    },
    /// Media and data use this path from now on: for the log.
    MediaPath(NetworkPath),
    /// Connect to the server over TCP, for packets that do not get through over UDP: each is preceded by its
    /// length, two bytes in network order (RFC 4571).
    ConnectTcp {
        /// The server's address.
        remote: SocketAddr,
    },
    /// Connect to a TURN server, which relays packets that get through in no other way.
    OpenRelay {
        /// The number of this connection; each has another.
        relay: u32,
        /// Its name or address; one of IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// How it is reached.
        transport: RelayTransport,
    },
    /// Send a message to a relay. One that cannot be sent immediately is dropped as a whole.
    SendRelay {
        /// The relay.
        relay: u32,
        /// The message.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
        contents: Vec<u8>,
    },
    /// Close the connection to a relay, once everything is sent.
    CloseRelay {
        /// The relay.
        relay: u32,
    },
    /// A TURN server is of no use: for the log.
    RelayFailed {
        /// Its URL, without credentials.
        server: String,
        /// Why, and what to do about it.
        reason: String,
    },
    /// Send a packet from our socket. A packet that cannot be sent immediately is dropped.
    SendPacket {
        /// The transport.
        protocol: Protocol,
        /// The source address; the system chooses the same one.
        source: SocketAddr,
        /// The destination address.
        destination: SocketAddr,
        /// The packet.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
        contents: Vec<u8>,
    },
    /// A request to a method that was not registered, which was refused: for the log. Once for each method,
    /// and a limited number of them.
    UnknownMethod(UnknownMethod),
    /// Notify the user.
    Event(RoomEvent),
    /// Report the result of a call.
    CallDone {
        /// The id of [`Input::Called`].
        id: CommandId,
        /// The response, or the error.
        result: Result<String, RpcError>,
    },
    /// A request to a registered method: answer it with [`RoomCommand::Respond`].
    Requested(RpcRequest),
    /// An event of a stream that another participant sends us.
    Stream(StreamEvent),
    /// A frame of a track that the server sends us; of a video track, if it is
    /// [read](crate::SubscriptionChange::Read). Its position among the events has no meaning.
    Frame {
        /// The track's sid.
        track: Arc<str>,
        /// The frame.
        frame: MediaFrame,
    },
    /// A frame of a data track that we subscribe to. Its position among the events has no meaning.
    DataFrame {
        /// The track's sid.
        track: Arc<str>,
        /// The frame.
        frame: DataTrackFrame,
    },
    /// Another participant needs a key frame of a video track of ours: the next frame should be one.
    KeyFrameRequested {
        /// The command that published the track.
        track: CommandId,
    },
    /// The state of a track of ours, for its writer: before the event about it, and before the
    /// result of the command.
    LocalTrack {
        /// The command that published the track.
        id: CommandId,
        /// Its current state; `None`: it is not published any more.
        track: Option<Track>,
    },
    /// Report to the caller of the join: the server has admitted us, but there is no media connection. The
    /// next input must be [`Input::JoinRetried`] or [`RoomCommand::Leave`]: until then we stay in the room,
    /// as a server records an agent that leaves as failed.
    JoinFailed {
        /// The failure.
        failure: JoinFailure,
    },
    /// Report the result of a command.
    CommandDone {
        /// The id of [`Input::Commanded`].
        id: CommandId,
        /// The result.
        result: Result<(), RoomError>,
    },
    /// The machine is closed and accepts no more inputs. The last output.
    Closed {
        /// The reason.
        reason: DisconnectReason,
    },
}

/// The timers of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The join timed out.
    Join,
    /// A ping is due.
    Ping,
    /// Nothing was received from the server for too long.
    Silence,
    /// The server did not answer a change of our own metadata.
    Request,
    /// The media connection is gone, and the server has not sent the reason.
    MediaGone,
    /// A participant with open streams has left some time ago.
    Streams,
    /// A call has timed out.
    Rpc,
    /// The server did not answer the publication of a data track.
    DataTracks,
    /// The server did not answer the publication of a track.
    LocalTracks,
    /// A packet of a video track is missing for too long, or a key frame did not come.
    Video,
    /// Messages published before the leave have not arrived yet.
    Leave,
    /// The delay between two reconnect attempts, or a step of an attempt, has ended.
    Recovery,
    /// The connection could not be re-established in time.
    GiveUp,
    /// WebRTC's own timers.
    Transport,
}
