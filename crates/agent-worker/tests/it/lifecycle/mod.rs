//! How jobs end, are retried and are cleaned up after: a whole worker on the mock server, mostly on
//! virtual time.

mod cleanup;
mod data;
mod ends;
mod failures;
mod handles;
mod long_running;
mod longest_times;
mod outcomes;
mod pipelines;
mod retries;
mod stage;
mod start;
mod stuck;
mod tasks;
mod timeouts;
mod until;

use super::prepare;
