//! The parts of a worker.

use std::sync::Arc;

use crate::agent::AnyAgent;
use crate::worker::driver::executor::Executor;
use crate::worker::parts::Parts;
use crate::worker::server::Server;

pub(crate) struct Setup {
    pub(crate) agent: Arc<dyn AnyAgent>,
    pub(crate) server: Server,
    pub(crate) parts: Arc<Parts>,
    pub(crate) executor: Arc<dyn Executor>,
    /// Number of file descriptors per job.
    pub(crate) descriptors: usize,
}
