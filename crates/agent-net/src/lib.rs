//! Connections to a LiveKit server: addresses, tokens, TLS, proxies, WebSockets, and the server's HTTP API.
//!
//! This crate has no jobs, rooms or reconnects: one call makes one connection or returns why not.
//! Only [`NetOptions::from_env`] and [`variable`] read the environment. Users of the SDK find what they
//! need of it in `agent-worker`.

mod addresses;
mod api;
mod assigned_url;
mod bearer;
mod connect;
mod environment;
mod error;
mod exhaustion;
mod failover;
mod frame_socket;
mod frames;
mod http_client;
mod one_line;
mod options;
mod probe;
mod refusal;
mod region_list;
mod server_url;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod upgrade;
mod watched;
mod websocket;

pub use addresses::Resolver;
pub use agent_proto::Secret;
pub use api::{
    ApiError, DataMessage, DispatchInfo, DispatchRequest, DispatchedJob, JobState, ParticipantChange,
    ParticipantPermissions, ParticipantSummary, ParticipantSummaryKind, PublishSource, RoomApi, RoomRequest,
    RoomSummary, ServerApi, SipTransfer, worker_api,
};
pub use assigned_url::{Assigned, AssignedUrlError, assigned_url};
pub use connect::{connect_datagrams, connect_relay, connect_stream};
pub use environment::variable;
pub use error::ConnectError;
pub use exhaustion::exhaustion;
pub use failover::connect_websocket;
pub use frame_socket::{FrameSocket, SocketEvent};
pub use frames::{CloseReason, FrameError, Message, Role};
pub use http_client::{HttpClient, RequestError};
pub use options::{MediaPath, NetOptions, ProxyUrlError};
pub use probe::{AddressProbe, RootProbe, probe_addresses, probe_root};
pub use server_url::{ServerUrl, UrlError};
pub use stream::{ByteStream, Dialer, Stream};
pub use token::{AccessToken, TokenError, TokenKind, worker_token};
pub use upgrade::accept_key;
pub use watched::DatagramSocket;
pub use websocket::{Outgoing, WebSocket, WebSocketError};
