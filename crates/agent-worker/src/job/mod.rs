//! Parts of a [`Job`](crate::Job), its lifecycle states, and the classification of a handler's errors.

pub(crate) mod attempt;
pub(crate) mod attempt_room;
pub(crate) mod cancel;
pub(crate) mod checkpoint;
pub(crate) mod contain;
pub(crate) mod context;
pub(crate) mod coordination;
pub(crate) mod join_options;
pub(crate) mod long_running;
pub(crate) mod panics;
pub(crate) mod room_slot;
mod room_watch;
pub(crate) mod scope;
pub(crate) mod sleep;
pub(crate) mod spec;
pub(crate) mod temporary;
pub(crate) mod user_tasks;

pub use agent_core::{
    AnswerProblem, DEFAULT_JOB_TIMEOUT, JobRoom, Lifecycle, MAX_ATTRIBUTES_LEN, MAX_ERROR_LEN,
    MAX_IDENTITY_LEN, Target,
};
pub use temporary::classify;
