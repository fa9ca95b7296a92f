//! Deliberate faults of a mock server in the connections of its workers.
//!
//! A violation may be logged for a worker that a fault caused: an offer that it never received counts as
//! never answered.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use agent_server::{JoinRefusal, ToWorker};

use super::fault_plan::ServerFault;
use super::server::MockServer;

/// Bytes that are not a message.
const GARBAGE: Bytes = Bytes::from_static(b"\xff\xff\xff\xff no message");

/// One day, so that no time exceeds the clock's range.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3600);

impl MockServer {
    /// Fault: ends the connection of every worker without a close frame.
    pub fn cut_workers(&self) {
        self.hub.to_workers(|| ToWorker::Cut);
    }

    /// Fault: closes the connection of every worker with this code, as a server that is stopped (1001) or
    /// drained.
    pub fn close_workers(&self, code: u16, reason: &str) {
        self.hub.to_workers(|| ToWorker::Close { code, reason: reason.to_owned() });
    }

    /// Fault: makes the connection of every worker half-open, as after a fault of a network: nothing
    /// that either side sends arrives, pings included, and nothing is closed. New connections work. The
    /// server treats the worker as registered and offers it jobs, which are lost, until the worker gives the
    /// connection up.
    pub fn half_open_workers(&self) {
        self.hub.to_workers(|| ToWorker::HalfOpen);
    }

    /// Fault: delays every message to a worker, keeping the order; zero ends it. A [cut](Self::cut_workers)
    /// is not delayed.
    pub fn delay_messages(&self, by: Duration) {
        self.hub.set_faults(|faults| faults.delay = by.min(MAX_DELAY));
    }

    /// Fault: sends bytes that are not a message to every worker.
    pub fn send_garbage(&self) {
        self.hub.to_workers(|| ToWorker::Raw(GARBAGE));
    }

    /// Fault: sends these bytes in a binary frame to every worker.
    pub fn send_bytes(&self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.hub.to_workers(|| ToWorker::Raw(bytes.clone()));
    }

    /// Fault: while frozen, the server stalls: it neither reads nor writes, and its connections stay open,
    /// new ones too.
    pub fn freeze(&self, frozen: bool) {
        self.hub.set_faults(|faults| faults.frozen = frozen);
    }

    /// Fault: while on, every message to a worker is sent twice.
    pub fn double_messages(&self, on: bool) {
        self.hub.set_faults(|faults| faults.doubled = on);
    }

    /// Fault: while on, no message is sent to any worker; theirs are still received.
    pub fn mute(&self, on: bool) {
        self.hub.set_faults(|faults| faults.mute = on);
    }

    /// Makes assignments name this server, as those of LiveKit Cloud do, instead of leaving the worker at its
    /// own.
    pub fn assign_url(&self, url: impl Into<String>) {
        self.hub.set_assigned_url(url.into());
    }

    /// Fault: while on, new connections are ended immediately.
    pub fn refuse_connections(&self, on: bool) {
        self.hub.set_faults(|faults| faults.refusing = on);
    }

    /// Fault: refuses every join of a room with this HTTP status, until [`allow_joins`](Self::allow_joins).
    /// With `retry_after` the response has a `Retry-After` header, in whole seconds, rounded up. A status
    /// outside of 200 to 599 counts as 503.
    ///
    /// Joins through the [connector](Self::connector) and WebSockets of WebRTC clients are refused alike.
    /// Each refusal is a [`JoinRefused`](crate::ServerEvent::JoinRefused).
    pub fn refuse_joins(&self, status: u16, retry_after: Option<Duration>) {
        let status = if (200..=599).contains(&status) { status } else { 503 };
        self.hub.set_faults(|faults| faults.join_refusal = Some(JoinRefusal { status, retry_after }));
    }

    /// Ends [`refuse_joins`](Self::refuse_joins).
    pub fn allow_joins(&self) {
        self.hub.set_faults(|faults| faults.join_refusal = None);
    }

    /// Has a fault happen; returns when it is over.
    pub async fn inject(&self, fault: &ServerFault) {
        let lasts = |millis: u32| sleep(Duration::from_millis(millis.into()));
        match fault {
            ServerFault::Cut => self.cut_workers(),
            ServerFault::Close(code) => self.close_workers(*code, "a fault of the test"),
            ServerFault::HalfOpen => self.half_open_workers(),
            ServerFault::Bytes(bytes) => self.send_bytes(bytes.clone()),
            ServerFault::Freeze(millis) => {
                self.freeze(true);
                lasts(*millis).await;
                self.freeze(false);
            }
            ServerFault::Mute(millis) => {
                self.mute(true);
                lasts(*millis).await;
                self.mute(false);
            }
            ServerFault::Double(millis) => {
                self.double_messages(true);
                lasts(*millis).await;
                self.double_messages(false);
            }
            ServerFault::Refuse(millis) => {
                self.refuse_connections(true);
                self.cut_workers();
                lasts(*millis).await;
                self.refuse_connections(false);
            }
            ServerFault::Delay { by, millis } => {
                self.delay_messages(Duration::from_millis((*by).into()));
                lasts(*millis).await;
                self.delay_messages(Duration::ZERO);
            }
            ServerFault::RefuseJoins { status, millis } => {
                self.refuse_joins(*status, None);
                lasts(*millis).await;
                self.allow_joins();
            }
        }
    }
}
