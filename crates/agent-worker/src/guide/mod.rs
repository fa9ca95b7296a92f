//! The manual: how to write handlers. All its code is compiled and run as tests.
//!
//! - [`lifecycle`]: the states of a job, its steps, and the effect of each event
//! - [`handlers`]: functions and types as agents, shared state, and routing jobs to several agents
//! - [`closures`]: an agent that is a closure: its state, its callbacks, the compiler's errors
//! - [`metadata`]: typed configuration from the dispatch, with validation, limits and documentation
//! - [`errors`]: what a handler returns, and how it is handled
//! - [`cancellation`]: the cancellation signal, time limits, cleanup
//! - [`data`]: messages by topic, their loss, and what happens to them between attempts
//! - [`streams`]: texts and bytes of any length, for example the messages of a chat, and files
//! - [`rpc`]: methods of other participants, and the agent's own
//! - [`events`]: the events of a room, beside those of the Python SDK
//! - [`audio`]: the audio of other participants, as encoded frames
//! - [`audio_out`]: tracks of the agent, from encoded frames
//! - [`video`]: the pictures of other participants and of the agent, as encoded frames
//! - [`e2ee`]: end-to-end encryption, keys and what cannot be read
//! - `pcm`, with the feature `media`: hearing and speaking
//! - `recording`, with the feature `recording`: files of what participants say and show
//! - [`networks`]: networks that block UDP: paths, relays, and what to open
//! - [`server_api`]: removing, muting and changing participants, dispatching agents, ending the room
//! - [`long_running`]: participants, progress, health checks, and the end of a job
//! - [`patterns`]: pipelines, state machines, pools, batches; [`layers`](crate::layers): middleware for
//!   agents
//! - [`checkpoints`]: saved progress, from which the next attempt or another worker resumes
//! - [`coordination`]: leader election among jobs, and messages between them
//! - [`redis`]: the server behind checkpoints and coordination: its URL, prefix, rights and failover
//! - [`metrics`]: the metrics of a worker, and its log
//! - [`traces`]: the traces of jobs, for OpenTelemetry
//! - [`health`]: health, status and jobs of a running worker over HTTP
//! - [`best_practices`]: production checklist: what is built in, what you need, and deployment
//! - [`deployment`]: systemd, Kubernetes, containers, and one static file
//! - [`from_node`], [`from_python`]: the names of other SDKs, and the differences
//! - [`settings`]: environment, features, requirements
//! - the module `cli`, with the feature `cli`: the command line of a program, and its log
//! - [`troubleshooting`]: problems and their messages
//! - [`next_steps`]: where to go on: advanced features, media, examples, API reference

/// An agent that is a closure: its state, its callbacks, its errors.
#[doc = include_str!("closures.md")]
pub mod closures {}

pub mod audio;
pub mod audio_out;
pub mod cancellation;
pub mod coordination;
pub mod data;
pub mod e2ee;
pub mod errors;
pub mod handlers;
pub mod lifecycle;
pub mod long_running;
pub mod metadata;
pub mod networks;
pub mod patterns;
#[cfg(feature = "media")]
pub mod pcm;
#[cfg(feature = "recording")]
pub mod recording;
pub mod rpc;
pub mod server_api;
pub mod streams;
pub mod video;

/// Saved progress, from which the next attempt or another worker resumes.
#[doc = include_str!("checkpoints.md")]
pub mod checkpoints {}

/// The events of a room, event by event.
#[doc = include_str!("events.md")]
pub mod events {}

/// A Redis or Valkey server for checkpoints and coordination.
#[doc = include_str!("redis.md")]
pub mod redis {}

/// Where to go on: advanced features, media, examples, API reference.
#[doc = include_str!("next_steps.md")]
pub mod next_steps {}

/// The metrics of a worker, and its log.
#[doc = include_str!("metrics.md")]
pub mod metrics {}

/// Traces of jobs, for OpenTelemetry.
#[doc = include_str!("traces.md")]
pub mod traces {}

/// Health, status and jobs of a running worker over HTTP.
#[doc = include_str!("health.md")]
pub mod health {}

/// Environment, features and requirements.
#[doc = include_str!("settings.md")]
pub mod settings {}

/// Coming from Node: the Node SDK's names, and the differences.
#[doc = include_str!("from_node.md")]
pub mod from_node {}

/// Coming from Python: the Python SDK's names, and the differences.
#[doc = include_str!("from_python.md")]
pub mod from_python {}

/// Production checklist.
#[doc = include_str!("best_practices.md")]
pub mod best_practices {}

/// Running a worker in production.
#[doc = include_str!("deployment.md")]
pub mod deployment {}

/// Problems and their messages.
#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}
