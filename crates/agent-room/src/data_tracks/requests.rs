//! The requests to the server.

use std::collections::VecDeque;

use agent_proto::livekit::signal_request::Message as Request;

/// Requests to the server, while there is a connection: after a loss all that matters is requested again.
#[derive(Debug, Default)]
pub(super) struct Requests {
    queue: VecDeque<Request>,
    paused: bool,
}

impl Requests {
    /// Sends a request. Without a connection it is dropped.
    pub(super) fn send(&mut self, request: Request) {
        if !self.paused {
            self.queue.push_back(request);
        }
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        self.queue.pop_front()
    }

    /// The connection is lost.
    pub(super) const fn pause(&mut self) {
        self.paused = true;
    }

    /// There is a connection again.
    pub(super) const fn resume(&mut self) {
        self.paused = false;
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }
}
