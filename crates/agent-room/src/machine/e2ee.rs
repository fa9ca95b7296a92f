//! End-to-end encryption in the machine: between the frames and packets, and their readers.

use std::sync::Arc;

use agent_proto::Time;
use agent_proto::livekit::data_packet::Value;

use super::Machine;
use crate::connection::MediaConnection;
use crate::{EncodedFrame, Output, RoomError};

impl<M: MediaConnection> Machine<M> {
    /// A frame of an audio track was received.
    pub(super) fn audio_received(&mut self, track: Arc<str>, frame: EncodedFrame) {
        if let Some(frame) = self.e2ee.open_audio(&track, frame, self.signal.server_trailer()) {
            self.outputs.push_back(Output::Frame { track, frame: frame.into() });
        }
    }

    /// Queues a packet of our own.
    pub(super) fn push_own(&mut self, destination: &str, value: Value) -> Result<(), RoomError> {
        let value = self.e2ee.seal_value(value)?;
        let queued = self.outbox.push_own(destination, value, &self.config.limits);
        queued.then_some(()).ok_or(RoomError::QueueFull)
    }

    /// Notifies the user of what can be read. `true`: there was something.
    pub(super) fn report_e2ee(&mut self, now: Time) -> bool {
        let mut any = false;
        while let Some(event) = self.e2ee.poll_event() {
            any = true;
            self.event(event, now);
        }
        any
    }
}
