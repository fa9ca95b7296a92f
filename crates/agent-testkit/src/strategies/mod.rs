//! Strategies of [proptest]: random values for tests of the worker machine and of handlers.
//!
//! | strategy | values | bounds | shrinks to |
//! |---|---|---|---|
//! | [`scripts`] | whole [scripts](crate::machine::Script) of the worker machine, mostly sensible | 80 steps, 4 jobs | fewer and simpler steps |
//! | [`inputs`] | single [inputs](crate::machine::Input) of it, sensible or not | 4 jobs, frames up to some KiB | those listed first, lower numbers, shorter texts |
//! | [`server_frames`] | frames as a server sends them, and garbage | some KiB | as inputs |
//! | [`jobs`] | a [`Job`](agent_worker::Job) of any kind | texts as below, 3 attributes | a room job without texts |
//! | [`job_specs`] | a [`JobSpec`](crate::JobSpec) of any kind | the same, 3 participants | a room job without participants |
//! | [`metadata_of`] | documents that a type takes, by its JSON Schema | 3 items of a list, 4 levels of a type in itself | fewer optional fields, lower numbers, shorter texts |
//! | [`near_miss_metadata_of`] | documents with one mistake, which the type refuses | the same | the same |
//! | [`room_scripts`] | what others do in the agent's room: a [`RoomScript`](crate::RoomScript) | 24 steps, 3 people, waits of 20 s | fewer steps, shorter waits |
//! | [`server_faults`] | faults of the server while a job runs, for [`JobSpec::faults`](crate::JobSpec::faults) | 4 faults, 5 s each, 5 s before each | fewer and shorter ones |
//! | [`store_faults`] | faults of a [`FaultyStore`](crate::FaultyStore) | 4 faults, delays of 2 s | fewer and shorter ones |
//! | [`texts`] | texts that others get wrong: empty, long, with quotes, control characters, another direction | 2,000 characters | the empty text |
//!
//! The [guide](crate::guide::fuzzing) shows how they are used. `proptest` itself is re-exported, so that a
//! test needs no other dependency.

mod faults;
mod inputs;
mod jobs;
mod metadata;
mod mistakes;
mod room_scripts;
mod scripts;
mod texts;

pub use faults::{server_faults, store_faults};
pub use inputs::{inputs, server_frames};
pub use jobs::{job_specs, jobs};
pub use metadata::metadata_of;
pub use mistakes::near_miss_metadata_of;
pub use proptest;
pub use room_scripts::room_scripts;
pub use scripts::{ScriptTree, Scripts, scripts};
pub use texts::texts;
