//! Load functions for [`WorkerBuilder::load`](crate::WorkerBuilder::load): processor time and memory of the
//! machine, or of the container with its limits.
//!
//! Without a load function the load is the share of slots in use (`max_jobs`), which suits jobs that wait
//! more than they compute. With one, a worker that has free slots is full, too, when its machine is.
//!
//! ```no_run
//! # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use agent_worker::Worker;
//! use agent_worker::load::{self, CpuLoad, MemoryLoad};
//!
//! // Full at 70 % of the processor time.
//! let worker = Worker::builder(agent).load(CpuLoad::new().function()?);
//! // Or of the memory, whichever is more.
//! let worker = Worker::builder(agent).load(load::max(
//!     CpuLoad::new().full_at(0.8).function()?,
//!     MemoryLoad::new().function()?,
//! ));
//! # Ok(()) }
//! ```
//!
//! | | limit | in use |
//! |---|---|---|
//! | [`CpuLoad`] | the smallest quota of the control groups of this process (version 1 or 2; `docker run --cpus`, a limit in Kubernetes, `CPUQuota=`), or all processors | the processor time of that group, or of the machine |
//! | [`MemoryLoad`] | the control group or the machine that is closest to its limit | its memory without the cache of files that it can give back |
//!
//! A server gives jobs to workers with a low load first, and none to a worker that reports that it is full.
//! The share in use is averaged over 2.5 s. A worker that was full takes jobs again when its load is below
//! 0.9, so that it does not change with each job that ends. The first 5 s of processor time are not counted,
//! as a program that starts is busy.
//!
//! These are Linux's: elsewhere, and without `/proc`, [`function`](CpuLoad::function) fails.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::io;
use std::time::Duration;

use agent_core::LoadMeter;

#[cfg(target_os = "linux")]
use linux::{Memory, Processors, sampled};

/// The load by processor time: see the [module](self).
#[derive(Clone, Debug)]
#[must_use]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is nothing to measure"))]
pub struct CpuLoad {
    meter: LoadMeter,
    of_process: bool,
}

/// The load by memory: see the [module](self).
#[derive(Clone, Debug)]
#[must_use]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is nothing to measure"))]
pub struct MemoryLoad {
    meter: LoadMeter,
}

impl CpuLoad {
    /// That of the container, or of the machine.
    pub fn new() -> Self {
        Self { meter: LoadMeter::default(), of_process: false }
    }

    /// The share of the limit in use at which the worker is full, more than 0 and at most 1; 0.7 unless set.
    pub fn full_at(mut self, share: f32) -> Self {
        self.meter = self.meter.full_at(share);
        self
    }

    /// How long nothing is counted, from the first sample on; 5 s unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.meter = self.meter.grace(grace);
        self
    }

    /// Counts only the processor time of this process: for a machine on which others work, too, and have
    /// processors left for them.
    pub fn of_process(mut self) -> Self {
        self.of_process = true;
        self
    }

    /// The load function.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where there is none, or why `/proc` cannot be read. Later it keeps the
    /// last value.
    #[cfg(target_os = "linux")]
    pub fn function(self) -> io::Result<impl Fn() -> f32 + Send + Sync + 'static> {
        let mut source = Processors::find("/".as_ref(), self.of_process)?;
        Ok(sampled(self.meter, move |now| source.share(now)))
    }
}

impl MemoryLoad {
    /// That of the container, or of the machine. Full at 0.9.
    pub fn new() -> Self {
        Self { meter: LoadMeter::default().full_at(0.9).grace(Duration::ZERO) }
    }

    /// The share of the limit in use at which the worker is full, more than 0 and at most 1; 0.9 unless set.
    pub fn full_at(mut self, share: f32) -> Self {
        self.meter = self.meter.full_at(share);
        self
    }

    /// The load function.
    ///
    /// # Errors
    /// As [`CpuLoad::function`].
    #[cfg(target_os = "linux")]
    pub fn function(self) -> io::Result<impl Fn() -> f32 + Send + Sync + 'static> {
        let source = Memory::find("/".as_ref())?;
        Ok(sampled(self.meter, move |_| source.share()))
    }
}

#[cfg(not(target_os = "linux"))]
impl CpuLoad {
    /// The load function.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`], as there is none on this system.
    pub fn function(self) -> io::Result<fn() -> f32> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(target_os = "linux"))]
impl MemoryLoad {
    /// The load function.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`], as there is none on this system.
    pub fn function(self) -> io::Result<fn() -> f32> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Default for CpuLoad {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for MemoryLoad {
    fn default() -> Self {
        Self::new()
    }
}

/// The larger of two loads, such as those of processors and memory.
pub fn max(
    one: impl Fn() -> f32 + Send + Sync + 'static,
    other: impl Fn() -> f32 + Send + Sync + 'static,
) -> impl Fn() -> f32 + Send + Sync + 'static {
    // Both are called: each is a measurement.
    move || {
        let (one, other) = (one(), other());
        one.max(other)
    }
}
