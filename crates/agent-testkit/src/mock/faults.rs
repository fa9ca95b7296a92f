//! What a mock server does wrong, on purpose, to the connections of its workers.

use bytes::Bytes;

use super::front::ToWorker;
use super::hub::GARBAGE;
use super::server::MockServer;

impl MockServer {
    /// Fault: ends the connection of every worker without a word.
    pub fn cut_workers(&self) {
        self.hub.to_workers(|| ToWorker::Cut);
    }

    /// Fault: closes the connection of every worker with this code, as a server does that is stopped (1001) or drained.
    pub fn close_workers(&self, code: u16, reason: &str) {
        self.hub.to_workers(|| ToWorker::Close { code, reason: reason.to_owned() });
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

    /// Fault: while frozen, the server neither reads nor writes, and its connections stay open.
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

    /// Fault: while on, new connections are ended at once.
    pub fn refuse_connections(&self, on: bool) {
        self.hub.set_faults(|faults| faults.refusing = on);
    }
}
