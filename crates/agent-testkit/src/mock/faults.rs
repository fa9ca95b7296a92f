//! What a mock server does wrong, on purpose, to the connections of its workers.
//!
//! A worker may be blamed for what it could not hear: an offer that it never saw is one that it never answered.

use std::time::Duration;

use bytes::Bytes;

use super::server::MockServer;
use agent_server::{JoinRefusal, ToWorker};

/// Bytes that are no message.
const GARBAGE: Bytes = Bytes::from_static(b"\xff\xff\xff\xff no message");

/// A day, so that no moment is out of the clock's reach.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3600);

impl MockServer {
    /// Fault: ends the connection of every worker without a word.
    pub fn cut_workers(&self) {
        self.hub.to_workers(|| ToWorker::Cut);
    }

    /// Fault: closes the connection of every worker with this code, as a server does that is stopped (1001) or drained.
    pub fn close_workers(&self, code: u16, reason: &str) {
        self.hub.to_workers(|| ToWorker::Close { code, reason: reason.to_owned() });
    }

    /// Fault: makes the connection of every worker a half-open one, as a network does that lost track of it: nothing that either side
    /// sends arrives, pings among it, and nothing is closed. New connections work. The server takes the worker for registered, and
    /// offers it jobs that are lost, until the worker gives the connection up.
    pub fn half_open_workers(&self) {
        self.hub.to_workers(|| ToWorker::HalfOpen);
    }

    /// Fault: every message to a worker goes out so much later, and still in order; nothing is the end of it. A
    /// [cut](Self::cut_workers) does not wait.
    pub fn delay_messages(&self, by: Duration) {
        self.hub.set_faults(|faults| faults.delay = by.min(MAX_DELAY));
    }

    /// Fault: writes bytes that are no message to every worker.
    pub fn send_garbage(&self) {
        self.hub.to_workers(|| ToWorker::Raw(GARBAGE));
    }

    /// Fault: writes these bytes in a binary frame to every worker.
    pub fn send_bytes(&self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.hub.to_workers(|| ToWorker::Raw(bytes.clone()));
    }

    /// Fault: while frozen, the server stalls: it neither reads nor writes, and its connections stay open, new ones too.
    pub fn freeze(&self, frozen: bool) {
        self.hub.set_faults(|faults| faults.frozen = frozen);
    }

    /// Fault: while on, every message to a worker is sent twice.
    pub fn double_messages(&self, on: bool) {
        self.hub.set_faults(|faults| faults.doubled = on);
    }

    /// Fault: while on, no message goes out to any worker; it still hears them.
    pub fn mute(&self, on: bool) {
        self.hub.set_faults(|faults| faults.mute = on);
    }

    /// Not always a fault: assignments name this server, as those of LiveKit Cloud do, instead of leaving the worker at its own.
    pub fn assign_url(&self, url: impl Into<String>) {
        self.hub.set_assigned_url(url.into());
    }

    /// Fault: while on, new connections are ended at once.
    pub fn refuse_connections(&self, on: bool) {
        self.hub.set_faults(|faults| faults.refusing = on);
    }

    /// Fault: refuses every join of a room with this HTTP status, until [`allow_joins`](Self::allow_joins). With `retry_after` the answer
    /// has a `Retry-After` header, in whole seconds, rounded up. A status outside of 200 to 599 counts as 503.
    ///
    /// Joins through the [connector](Self::connector) and WebSockets of WebRTC clients are refused alike. Each refusal is a
    /// [`JoinRefused`](crate::ServerEvent::JoinRefused).
    pub fn refuse_joins(&self, status: u16, retry_after: Option<Duration>) {
        let status = if (200..=599).contains(&status) { status } else { 503 };
        self.hub.set_faults(|faults| faults.join_refusal = Some(JoinRefusal { status, retry_after }));
    }

    /// Ends [`refuse_joins`](Self::refuse_joins).
    pub fn allow_joins(&self) {
        self.hub.set_faults(|faults| faults.join_refusal = None);
    }
}
