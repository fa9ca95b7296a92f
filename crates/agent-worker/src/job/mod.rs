//! What a handler holds of its job, and what it leaves behind.
//!
//! `context` is the door: the job, its room, the word when to stop. `checkpoint` and `coordination` are what jobs keep and know of each
//! other; `scope` is what a handler leaves for its cleanup.

pub(crate) mod attempt;
pub(crate) mod attempt_room;
pub(crate) mod cancel;
pub(crate) mod checkpoint;
pub(crate) mod context;
pub mod coordination;
pub(crate) mod join;
pub(crate) mod join_options;
pub(crate) mod long_running;
pub(crate) mod panics;
pub(crate) mod scope;
pub(crate) mod sleep;
pub(crate) mod spec;
pub(crate) mod task_count;
pub(crate) mod temporary;
