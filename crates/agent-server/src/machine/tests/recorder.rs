//! A server machine with all that it was told and all that it wanted.

use std::ops::Deref;

use agent_proto::Time;

use crate::machine::{Input, Output, Rules, Server};

#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only `replay` looks at it"))]
pub(super) struct Recorder {
    server: Server,
    pub(super) recording: Recording,
    pub(super) outputs: Vec<Output>,
}

/// What makes a machine do the same again.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only `replay` looks at it"))]
pub(super) struct Recording {
    pub(super) rules: Rules,
    /// Without an input: the time has come that it waited for.
    pub(super) calls: Vec<(Time, Option<Input>)>,
}

impl Recorder {
    pub(super) fn new(rules: Rules) -> Self {
        let recording = Recording { rules: rules.clone(), calls: Vec::new() };
        Self { server: Server::new(rules), recording, outputs: Vec::new() }
    }

    pub(super) fn handle_input(&mut self, input: Input, now: Time) {
        self.recording.calls.push((now, Some(input.clone())));
        self.server.handle_input(input, now);
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.recording.calls.push((now, None));
        self.server.handle_timeout(now);
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let output = self.server.poll_output();
        self.outputs.extend(output.clone());
        output
    }
}

/// Looks at it change nothing.
impl Deref for Recorder {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
