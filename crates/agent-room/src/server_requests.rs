//! Requests to the server for what we publish and subscribe to.

use std::collections::VecDeque;

use agent_proto::livekit::signal_request::Message as Request;

/// Requests to the server, while there is a connection: after a loss all that matters is requested again.
#[derive(Debug, Default)]
pub(crate) struct ServerRequests {
    queue: VecDeque<Request>,
    paused: bool,
}

impl ServerRequests {
    /// Sends a request. Without a connection it is dropped.
    pub(crate) fn send(&mut self, request: Request) {
        if !self.paused {
            self.queue.push_back(request);
        }
    }

    pub(crate) fn next(&mut self) -> Option<Request> {
        self.queue.pop_front()
    }

    /// The connection is lost.
    pub(crate) const fn pause(&mut self) {
        self.paused = true;
    }

    /// There is a connection again.
    pub(crate) const fn resume(&mut self) {
        self.paused = false;
    }

    pub(crate) const fn is_paused(&self) -> bool {
        self.paused
    }
}
