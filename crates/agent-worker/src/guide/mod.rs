//! The manual: how to write handlers, page by page. All code in it is compiled and run as tests.
//!
//! - [`lifecycle`]: the states of a job, its steps, and what each event does to it
//! - [`handlers`]: functions and types as agents, state that jobs share, one worker for several tasks
//! - [`metadata`]: what a dispatch tells its agent, read as a type, checked, limited, documented
//! - [`errors`]: what a handler returns, and what becomes of it
//! - [`cancellation`]: how a job is told to stop, time limits, cleanup
//! - [`data`]: messages by topic, what is missing of them, and what becomes of them between two attempts
//! - [`audio`]: what others say, as encoded frames
//! - [`long_running`]: who is there, signs of life, health, when a job is over
//! - [`patterns`]: pipelines, state machines, pools, batches; [`layers`](crate::layers): wrappers around an
//!   agent
//! - [`checkpoints`]: progress that the next attempt, or another worker, goes on with
//! - [`coordination`]: jobs that know of each other: one leads, all can talk
//! - [`redis`]: the server behind checkpoints and coordination: its URL, prefix, rights and failover
//! - [`metrics`]: what a worker counts, and how its log is read
//! - [`best_practices`]: what a job in production wants, what of it is there by itself, and how it is
//!   deployed
//! - [`from_node`], [`from_python`]: the names of other SDKs, and what is different
//! - [`settings`]: environment, features, requirements
//! - [`troubleshooting`]: what goes wrong, and what is said about it

pub mod audio;
pub mod cancellation;
pub mod coordination;
pub mod data;
pub mod errors;
pub mod handlers;
pub mod lifecycle;
pub mod long_running;
pub mod metadata;
pub mod patterns;

/// Progress that the next attempt, or another worker, goes on with.
#[doc = include_str!("checkpoints.md")]
pub mod checkpoints {}

/// A Redis or Valkey server for checkpoints and coordination.
#[doc = include_str!("redis.md")]
pub mod redis {}

/// What a worker counts, and how its log is read.
#[doc = include_str!("metrics.md")]
pub mod metrics {}

/// Environment, features and requirements.
#[doc = include_str!("settings.md")]
pub mod settings {}

/// Coming from Node: the Node SDK's names, and what is different.
#[doc = include_str!("from_node.md")]
pub mod from_node {}

/// The Python SDK's names, and what is different.
#[doc = include_str!("from_python.md")]
pub mod from_python {}

/// What a job in production wants, and what of it is there by itself.
#[doc = include_str!("best_practices.md")]
pub mod best_practices {}

/// What goes wrong, and what is said about it.
#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}
