//! Test tools for LiveKit agents: from one job in a mock room to a real server with official clients.
//!
//! - [`run_job`]: one job, in a mock room, on virtual time, without a network
//! - [`MockServer`]: the rules of a LiveKit server towards workers, with fault hooks and a log of all that happened;
//!   `livekit-testkit serve` runs it for workers in any language
//! - [`MockRoom`]: a room without media, in which the test plays everybody but the agent
//! - [`RealServer`]: a real livekit-server on loopback, installed if it must be, with its log understood
//! - [`ServerApi`]: a client of a server's API: rooms, participants, dispatch
//! - [`OfficialClient`] and [`OfficialWorker`]: participants and workers of LiveKit's own SDKs
//! - [`real_server`], [`official_host`], [`official_worker`]: whether tests against these run on this machine
//!
//! # Unit tests of a handler
//! The agent runs as in production, with its real [`JobContext`](agent_worker::JobContext) and [`Room`](agent_worker::Room).
//! Sleeping takes no time.
//! ```
//! use agent_testkit::{JobSpec, run_job};
//! use agent_worker::{Agent, JobContext, JobResult, RoomEvent};
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use std::time::Duration;
//!
//! /// Counts who is there for ten seconds.
//! struct Counter {
//!     seen: Arc<AtomicUsize>,
//! }
//!
//! impl Agent for Counter {
//!     async fn run(&self, ctx: JobContext) -> JobResult {
//!         let mut events = ctx.room().events();
//!         let count = async {
//!             while let Some(event) = events.next().await {
//!                 if matches!(event, RoomEvent::ParticipantJoined(_)) {
//!                     self.seen.fetch_add(1, Ordering::Relaxed);
//!                 }
//!             }
//!         };
//!         let _ = tokio::time::timeout(Duration::from_secs(10), count).await;
//!         Ok(())
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let seen = Arc::new(AtomicUsize::new(0));
//! let spec = JobSpec::room("test-room")
//!     .metadata(r#"{"action":"test"}"#)
//!     .participant("user1")
//!     .script(|room| async move {
//!         tokio::time::sleep(Duration::from_secs(5)).await;
//!         room.join("user2");
//!     });
//! let run = run_job(Counter { seen: seen.clone() }, spec).await;
//! run.assert_success();
//! assert_eq!(seen.load(Ordering::Relaxed), 2);
//! assert!(run.duration >= Duration::from_secs(10));
//! # });
//! ```
//!
//! # Integration tests of a worker
//! The whole worker, over a socket on loopback, against the rules of the real server.
//! ```
//! use agent_testkit::{JobSpec, MockServer};
//! use agent_worker::{JobContext, JobResult, Outcome};
//! use std::time::Duration;
//!
//! async fn handler(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("status", "done").await?;
//!     Ok(())
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let server = MockServer::start().await?;
//! let worker = server.worker(handler).agent_name("test-agent").build()?;
//! let handle = worker.handle();
//! tokio::spawn(worker.run());
//!
//! let job = server.dispatch(JobSpec::room("test-room")).await?;
//! assert_eq!(job.outcome().await?, Outcome::Success);
//! assert_eq!(job.room().sent()[0].text(), "done");
//! handle.drain(Duration::from_secs(1)).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api;
mod cache;
mod mock;
mod official;
mod process;
mod real;
mod ring;
mod server;

pub use api::{
    ApiError, DataMessage, DispatchInfo, DispatchRequest, DispatchedJob, JobState, ParticipantChange,
    ParticipantSummary, ParticipantSummaryKind, RoomRequest, RoomSummary, ServerApi,
};
pub use mock::{
    DispatchError, JobSpec, MockConnector, MockJob, MockParticipant, MockRoom, MockServer, MockServerBuilder,
    NoOutcome, Run, SentData, ServerEvents, Timeline, run_job, run_job_in_real_time,
};
pub use official::{
    ClientError, ClientEvent, ClientParticipant, ClientState, ClientTrack, OfficialApi, OfficialClient,
    OfficialData, OfficialHost, OfficialJob, OfficialWorker, OfficialWorkerError, OfficialWorkerKind,
    OfficialWorkerOptions,
};
pub use real::{
    Assigned, JobEnd, JobEndStatus, LogTimeout, RealServer, RealServerBuilder, SERVER_VERSION, ServerError,
    ServerLog,
};
pub use ring::{official_host, official_worker, real_server, real_server_with};
pub use server::{Misdeed, OfferAnswer, RecordedStatus, ServerEvent};
