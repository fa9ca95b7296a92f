//! The LiveKit agent SDK for Rust.
//!
//! A *worker* registers with a LiveKit server and is offered *jobs*: a room, or a participant in one, that
//! needs an agent. For each job it joins the room, calls your handler, and reports the actual outcome to the
//! server. A job is a task, not a process: one program can run thousands.
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
//! With the feature `cli`, `cli::main(Worker::builder(greet))` is the same with a command line and a log.
//! The [`guide`] explains more, page by page.
//!
//! The rules are in `agent-core` and the room client in `agent-room`, both without I/O; this crate adds
//! sockets, tasks and clocks. Unless the module `cli` is used, it installs no log subscriber and no exporter,
//! handles signals only in [`run_until_signal`](Worker::run_until_signal), and reads the environment only in
//! functions named `from_env`. A running worker raises the soft limit of open files of its process
//! to the hard limit.
//!
//! # Features
//! - `anyhow`, on by default: `?` finds the cause inside an `anyhow::Error`
//! - `schema`, on by default: documents metadata, from types that derive `schemars::JsonSchema`
//! - `validate`, on by default: rules for metadata, from types that derive `garde::Validate`
//! - `cli`: a command line, its log, and metrics for Prometheus: the module `cli`; includes `http`
//! - `http`: health, status and jobs over HTTP: the module `http`
//! - `otel`: traces of jobs for OpenTelemetry: the module `otel`
//! - `media`: PCM of audio tracks, in and out: the module `media`
//! - `recording`: files of encoded audio and video: the module `recording`
//! - `embedded-store`: checkpoints in a local file that survives `kill -9`
//! - `redis`: checkpoints and coordination in Redis or Valkey
//! - `serde`: types that are logged and stored can be serialised

#[cfg(test)]
extern crate self as agent_worker;

mod agent;
pub mod api;
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod coordination;
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
pub mod job;
pub mod load;
#[cfg(feature = "media")]
pub mod media;
pub mod metadata;
pub mod net;
#[cfg(feature = "otel")]
pub mod otel;
pub mod patterns;
#[cfg(feature = "recording")]
pub mod recording;
pub mod room;
pub mod stats;
mod telemetry;
mod worker;

pub use agent::Agent;
pub use agent::agent_fn::agent_fn;
pub use agent::layers;
pub use agent::router::Router;
pub use agent::typed::{Typed, typed};
pub use agent_core::{
    Accept, Answer, Backoff, CancelReason, EndWhen, EndedJob, Job, JobError, JobErrorKind, JobId, JobKind,
    JobResult, Outcome, RetryPolicy,
};
pub use agent_proto::{BoxFuture, Secret};
pub use agent_rtc::{Room, RoomEvent};
pub use job::context::JobContext;
pub use worker::builder::WorkerBuilder;
pub use worker::config_error::ConfigError;
pub use worker::failure::FailedJob;
pub use worker::handle::WorkerHandle;
pub use worker::{Worker, WorkerError};

/// The README's code is compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmeDocTests;
