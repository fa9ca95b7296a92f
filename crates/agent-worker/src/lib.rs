//! The LiveKit agent SDK for Rust.
//!
//! A *worker* registers with a LiveKit server and is offered *jobs*: a room, or a participant in one, that wants an agent.
//! For each job it joins the room, calls your handler, and tells the server the truth about how it ended. A job is a task,
//! not a process: thousands fit into one program.
//!
//! ```no_run
//! use agent_worker::{JobContext, JobResult, Worker};
//!
//! #[derive(Default, serde::Deserialize)]
//! struct Greeting { name: String }
//!
//! async fn greet(ctx: JobContext) -> JobResult {
//!     let Greeting { name } = ctx.metadata()?;
//!     ctx.room().publish_data("chat", format!("Hello, {name}!")).await?;
//!     ctx.cancelled().await;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     Worker::builder(greet).from_env().agent_name("greeter").build()?.run_until_signal().await?;
//!     Ok(())
//! }
//! ```
//!
//! The [`guide`] tells more, page by page.
//!
//! The rules live in `agent-core` and the room client in `agent-room`, both without I/O; this crate gives them sockets,
//! tasks and clocks. It installs no log subscriber, sets no signal handler (but in
//! [`run_until_signal`](Worker::run_until_signal)) and reads no environment (but in [`from_env`](WorkerBuilder::from_env)). A worker
//! that runs lifts its process's soft limit of open files to the hard one.

#[cfg(test)]
extern crate self as agent_worker;

mod agent;
pub mod guide;
mod job;
pub mod patterns;
mod telemetry;
mod worker;

pub use agent::Agent;
pub use agent::layers;
pub use agent::router::Router;
pub use agent::typed::{Typed, typed};
#[cfg(feature = "embedded-store")]
pub use agent_backends::EmbeddedStore;
pub use agent_backends::MemoryStore;
#[cfg(feature = "redis")]
pub use agent_backends::{Redis, RedisError, RedisStore};
pub use agent_core::CheckpointStore;
#[cfg(feature = "schema")]
pub use agent_core::MetadataSchema;
pub use agent_core::{
    Accept, AgentPermissions, Answer, Backoff, CancelReason, CheckpointError, CheckpointKey,
    DEFAULT_JOB_TIMEOUT, DrainReport, EndWhen, EndedJob, Job, JobError, JobErrorKind, JobId, JobKind,
    JobMetadata, JobResult, JobRoom, KeyBy, KeyError, LeaseLoss, Lifecycle, MAX_ATTRIBUTES_LEN,
    MAX_METADATA_LEN, MetadataError, MetadataFormat, Outcome, RetryPolicy, SlotCounts, StopError, StoreError,
    Target, TargetKind, parse_metadata,
};
pub use agent_net::{
    AccessToken, AssignedUrlError, ByteStream, ConnectError, Dialer, MediaPath, NetOptions, ProxyUrlError,
    Resolver, ServerUrl, TokenError, TokenKind, UrlError,
};
pub use agent_proto::Secret;
pub use agent_rtc::{
    AutoSubscribe, BoxFuture, Connected, ConnectionQuality, DataReceived, DisconnectReason, JoinError,
    JoinFailure, JoinRequest, MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, Missed, MissedCause,
    Participant, ParticipantKind, Permissions, Publish, PublishData, Reconnected, Room, RoomBackend,
    RoomCommand, RoomConnector, RoomData, RoomError, RoomEvent, RoomEvents, RoomInfo, RoomReply, RoomRequest,
    Speaker, Track, TrackKind, TrackSource, WaitError, Wanted, WebRtc,
};
pub use job::checkpoint::{Checkpoint, Saved};
pub use job::context::JobContext;
pub use job::coordination;
pub use job::coordination::{CoordinationError, Follower, Leadership, Lease};
pub use job::join_options::JoinOptions;
pub use job::temporary::classify;
pub use worker::builder::WorkerBuilder;
pub use worker::config_error::ConfigError;
pub use worker::failure::FailedJob;
pub use worker::handle::{WorkerHandle, WorkerStatus};
pub use worker::stats::{FailureLabel, WorkerStats};
pub use worker::{Worker, WorkerError};

/// The README's code is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeDocTests;
