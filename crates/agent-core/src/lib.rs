//! The rules of a LiveKit worker and its jobs, as machines without I/O.
//!
//! A [`Worker`] decides which offer is accepted, when a handler starts, which outcome is reported to the
//! server, and what a lost connection means. It has no clock, socket, task, environment or randomness of its
//! own: time and a seed are arguments, so the same inputs give the same outputs, byte for byte. The crate
//! `agent-worker` drives it with tokio.
//!
//! # The contract of a machine
//! 1. Pass in what happened: [`Worker::handle_input`], or [`Worker::handle_timeout`] at the time of
//!    [`Worker::poll_timeout`]. Early and repeated calls do nothing.
//! 2. **Then drain [`Worker::poll_output`] until it returns `None`**, and carry out the commands in that
//!    order: the order of "status sent", "cancel" and "leave the room" is the meaning.
//! 3. Sleep until `poll_timeout()`, which also returns the reason of the timer.
//!
//! Nothing that the other side sends can make a machine fail: an unexpected message is counted as a
//! [`Violation`].
//!
//! ```
//! use agent_core::{Config, Input, Output, Time, Worker};
//!
//! let mut worker = Worker::new(Config::default(), 7);
//! assert!(matches!(worker.poll_output(), Some(Output::Connect)));
//! worker.handle_input(Input::Connected, Time::ZERO);
//! assert!(matches!(worker.poll_output(), Some(Output::Send(_)))); // the registration
//! ```
//!
//! # Recordings
//! With the feature `serde`, [`Config`] and [`Input`] can be written and read, and [`Output`] written. A
//! recording is the configuration, the seed, and each input with its time (or only the time, for
//! [`Worker::handle_timeout`]): a new machine with the same inputs gives the same outputs. **A recording
//! holds what the wire holds**: the frame of an assignment contains the job's token, so protect it like a
//! token. Outputs have `[redacted]` instead of it; they are for reading and comparing, and cannot be read
//! back.

mod answer;
mod as_error;
mod backoff;
mod blocking;
mod chain;
mod channel;
mod checkpoint;
mod classify;
mod cleanup;
mod config;
mod coordination;
mod descriptors;
mod election;
mod error;
mod error_kind;
mod job;
mod join_failure;
mod json;
mod load;
mod log_limit;
mod metadata;
mod outcome;
mod retry;
#[cfg(feature = "script")]
mod script;
mod shutdown;
mod text;
mod worker;

pub use agent_proto::{BoxFuture, ParticipantKind, Time, TrackSource};
pub use answer::{Accept, Answer, AnswerProblem, DeclineReason, GivenAnswer, MAX_IDENTITY_LEN};
pub use backoff::{Backoff, MAX_RETRY_AFTER};
pub use blocking::{BlockingReport, BlockingWatch};
pub use chain::BoxError;
pub use channel::{
    Frame, FrameError, FrameKind, HeldFrames, MAX_HEADER_LEN, MAX_PUBLISHER_LEN, Received, SenderFilter,
    SequenceTracker, Sequencer, Trust,
};
pub use checkpoint::{
    CheckpointChange, CheckpointError, CheckpointKey, CheckpointRetention, CheckpointStore, Claim,
    ClaimSession, Epoch, Generation, KeyBy, KeyError, MAX_CHECKPOINT_LEN, SaveFailure, SaveInput, SaveOutput,
    SaveReport, SaveSchedule, Slot, StoreError, StoreRequest, Writer, checkpoint_epoch, checkpoint_retention,
    decode_checkpoint, encode_checkpoint, slot_life, verify_checkpoint,
};
pub use classify::{classify, classify_with};
pub use cleanup::callback_time;
pub use config::{AgentPermissions, Config, ConfigProblem, DEFAULT_MAX_JOBS, EndWhen, MAX_DEPLOYMENT_LEN};
pub use coordination::{
    CoordinationError, Coordinator, FencedValue, Inbox, MAX_KEY_LEN, MAX_MESSAGE_LEN, MAX_TOPIC_LEN,
    MAX_VALUE_LEN, PubSub, Receive, Subscription, check_key, check_len, check_name, write_fenced,
};
pub use descriptors::DescriptorBudget;
pub use election::{
    AcquireResult, Election, ElectionInput, ElectionOutput, ElectionTimer, LeaseLoss, LeaseRecord, MAX_LEASE,
    MIN_LEASE,
};
pub use error::{JobError, JobResult};
pub use error_kind::JobErrorKind;
pub use job::lifecycle::{Effect, Exit, JobInput, JobState, Phase, Transition, step};
pub use job::time_limit::DEFAULT_JOB_TIMEOUT;
pub use job::{Job, JobId, JobKind, JobLabels, JobRoom, MAX_ATTRIBUTES_LEN, Target};
pub use join_failure::JoinFailureKind;
pub use json::{JsonError, to_json};
pub use load::{LoadMeter, ProcessorUse};
pub use log_limit::{LeftOut, LogLimit};
#[cfg(feature = "schema")]
pub use metadata::MetadataSchema;
pub use metadata::{JobMetadata, MAX_METADATA_LEN, MetadataError, MetadataFormat, parse_metadata};
pub use outcome::{AttemptEnd, CancelReason, Lifecycle, MAX_ERROR_LEN, Outcome, Verdict};
pub use retry::RetryPolicy;
#[cfg(feature = "script")]
pub use script::{
    BrokenPromise, End, MAX_RANDOM_STEPS, Reply, Script, ScriptReport, Shrinker, Step, WorkerMachine,
};
pub use shutdown::{
    FAILED_EXIT_CODE, FORCED_EXIT_CODE, Shutdown, ShutdownAction, ShutdownInput, ShutdownLimits, SignalFilter,
};
pub use worker::{
    AbortCause, DrainReport, EndedJob, HealthProblem, Input, JobTimer, JoinedRoom, LinkError, LiveJob,
    LiveState, MIN_DEPARTURE_TIMEOUT, Notice, OfferId, Output, Presence, RoomEnd, SlotCounts, StopError,
    Timer, Violation, Worker,
};
