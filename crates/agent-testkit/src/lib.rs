//! Test tools for LiveKit agents: from one job in a mock room to a real server with official clients.
//!
//! - [`run_job`]: one job, in a mock room, on virtual time, without a network
//! - [`MockServer`]: the rules of a LiveKit server towards workers, with fault hooks and an event log;
//!   `livekit-testkit serve` runs it for workers in any language
//! - [`MockRoom`]: a room without a network, in which the test plays everybody but the agent
//! - [`Tone`] and [`MeasuredSound`]: sound to play, and what was heard
//! - [`RoomScript`] and [`ServerFault`]: what others do in a room, and what goes wrong, as values
//! - [`machine`]: the worker machine without I/O, and scripts that check its promises
//! - `strategies`: all of it for proptest, with the feature `proptest`
//! - [`sim`]: workers and a server with faults, simulated from a seed
//! - [`FaultyStore`]: a store of checkpoints that fails, delays or loses its answers by a script
//! - [`RealServer`]: a real livekit-server on loopback, installed if necessary, with its log parsed
//! - [`ServerApi`]: a client of a server's API: rooms, participants, dispatch
//! - [`OfficialClient`] and [`OfficialWorker`]: participants and workers of LiveKit's own SDKs: Python,
//!   Node.js and, as a client, a browser
//! - [`RedisServer`]: a Redis or Valkey on loopback that can be stopped, restarted and frozen
//! - [`TurnServer`]: a relay (coturn) on loopback
//! - [`real_server`], [`redis_server`], [`official_host`], [`official_host_of`], [`official_worker`],
//!   [`turn_server_with`]: these tools for a test, or `None` to skip it; [`python_with`], [`chromium`] and
//!   [`program`]: the same for other tools
//!
//! Features, of which all but `proptest` are on by default:
//! - `cli`: the program `livekit-testkit`
//! - `json`: the mock server speaks the JSON form of the protocols, too
//! - `tools`: launchers of real servers, official clients and workers, Redis, Valkey and relays
//! - `proptest`: the module `strategies`
//!
//! ```
//! use agent_testkit::{JobSpec, run_job};
//! use agent_worker::{JobContext, JobResult, Outcome};
//!
//! async fn greet(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("chat", format!("Hello, {}!", ctx.job().raw_metadata)).await?;
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let run = run_job(greet, JobSpec::room("lobby").metadata("Ada")).await;
//! assert_eq!(run.outcome, Outcome::Success);
//! assert_eq!(run.sent[0].text(), "Hello, Ada!");
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! | feature | on by default | |
//! |---|---|---|
//! | `tools` | yes | launchers of real servers, official clients and workers, Redis, Valkey and coturn |
//! | `proptest` | no | the module `strategies`: jobs, metadata, room events, faults and scripts of the worker machine for proptest |
//! | `json` | yes | the mock server also speaks the JSON form of the protocols, as workers and API clients in some languages do |
//! | `cli` | yes | the program `livekit-testkit` |
//!
//! [`run_job`], [`MockServer`], [`MockRoom`], [`Tone`], [`FaultyStore`] and [`ServerApi`] are always
//! available: `default-features = false` is enough for tests of handlers, and builds some 60 fewer crates.
//!
//! The [`guide`] covers other participants, workers with a server, faults and mocks.

#[cfg(feature = "tools")]
mod cache;
mod faulty_store;
#[cfg(feature = "tools")]
mod gate;
pub mod guide;
#[cfg(feature = "tools")]
mod install;
pub mod machine;
mod mock;
#[cfg(feature = "tools")]
mod official;
#[cfg(feature = "tools")]
mod process;
#[cfg(feature = "tools")]
mod real;
#[cfg(feature = "tools")]
mod redis;
pub mod sim;
mod sound;
#[cfg(feature = "proptest")]
pub mod strategies;
#[cfg(feature = "tools")]
mod turn_server;

pub use agent_net::{
    ApiError, DataMessage, DispatchInfo, DispatchRequest, DispatchedJob, JobState, ParticipantChange,
    ParticipantPermissions, ParticipantSummary, ParticipantSummaryKind, PublishSource, RoomApi, RoomRequest,
    RoomSummary, ServerApi, SipTransfer,
};
pub use agent_server::{ApiCall, OfferAnswer, RecordedStatus, ServerEvent, Violation};
pub use faulty_store::{FaultyStore, StoreFault, StoreOperation};
#[cfg(feature = "tools")]
pub use gate::{
    chromium, machine_has, official_host, official_host_of, official_worker, program, python_with,
    real_server, real_server_with, redis_server, redis_server_with, turn_server_with,
};
pub use mock::{
    DispatchError, JobSpec, MockConnector, MockJob, MockParticipant, MockRoom, MockServer, MockServerBuilder,
    NoOutcome, RoomScript, RoomStep, Run, SentAudio, SentBytes, SentCall, SentData, SentText, SentVideo,
    ServerEvents, ServerFault, Timeline, TrackSubscriber, run_job, run_job_blocking, run_job_in_real_time,
};
#[cfg(feature = "tools")]
pub use official::{
    ClientError, ClientEvent, ClientKind, ClientParticipant, ClientSound, ClientState, ClientStream,
    ClientTrack, ClientVideo, OfficialApi, OfficialByteStream, OfficialClient, OfficialData, OfficialHost,
    OfficialJob, OfficialPictures, OfficialSegment, OfficialSound, OfficialTextStream, OfficialWorker,
    OfficialWorkerError, OfficialWorkerKind, OfficialWorkerOptions, RpcBehaviour,
};
#[cfg(feature = "tools")]
pub use real::{
    Assigned, JobEnd, JobEndStatus, LinkConditions, LogTimeout, ProxiedPackets, RealServer,
    RealServerBuilder, SERVER_VERSION, ServerError, ServerLog, UdpProxy,
};
#[cfg(feature = "tools")]
pub use redis::{RedisKind, RedisServer, RedisServerBuilder, RedisServerError};
pub use sound::{MeasuredSound, Tone};
#[cfg(feature = "tools")]
pub use turn_server::{TurnServer, TurnServerBuilder, TurnServerError};
