//! A worker machine with all that it was told and all that it wanted.

use agent_core::{Config, Input, Output, Time, Worker};
use std::ops::Deref;

#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only `replay` looks at it"))]
pub(crate) struct Recorder {
    worker: Worker,
    pub(crate) recording: Recording,
    pub(crate) outputs: Vec<Output>,
}

/// What makes a machine do the same again.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only `replay` looks at it"))]
pub(crate) struct Recording {
    pub(crate) config: Config,
    pub(crate) seed: u64,
    /// Without an input: the time has come that it waited for.
    pub(crate) calls: Vec<(Time, Option<Input>)>,
}

impl Recorder {
    pub(crate) fn new(config: Config, seed: u64) -> Self {
        Self {
            worker: Worker::new(config.clone(), seed),
            recording: Recording { config, seed, calls: Vec::new() },
            outputs: Vec::new(),
        }
    }

    pub(crate) fn handle_input(&mut self, input: Input, now: Time) {
        self.recording.calls.push((now, Some(input.clone())));
        self.worker.handle_input(input, now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.recording.calls.push((now, None));
        self.worker.handle_timeout(now);
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        let output = self.worker.poll_output();
        self.outputs.extend(output.clone());
        output
    }
}

/// Looks at it change nothing.
impl Deref for Recorder {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.worker
    }
}
