//! The machine as a driver sees it.

use std::fmt;
use std::time::Instant;

use agent_proto::{Time, recording};

use crate::machine::Machine;
use crate::transport::{RtcClock, Transport};
use crate::{Config, Input, Output, Timer};

/// A room client: one participant in one room, from the first packet to the last.
///
/// The contract is that of the [crate](crate#the-contract). The order of the outputs matters: published
/// messages precede the leave, and the leave precedes the close.
pub struct Room(Machine<Transport>);

impl Room {
    /// Creates a client that waits for its socket. `epoch` is the reading of the driver's clock at
    /// [`Time::ZERO`], which is now: str0m needs clock readings, and nothing else depends on it. Time must
    /// never go back.
    #[must_use]
    pub fn new(config: Config, epoch: Instant) -> Self {
        Self(Machine::new(config, RtcClock::starting_at(epoch)))
    }

    /// Handles an input.
    pub fn handle_input(&mut self, input: Input, now: Time) {
        self.0.handle_input(input, now);
    }

    /// Handles the timers that are due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.0.handle_timeout(now);
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }

    /// When [`Self::handle_timeout`] is due, and why. `None` once closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        self.0.poll_timeout()
    }

    /// Number of invalid messages of the server or the network. Each was skipped.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.0.violations()
    }

    /// Number of audio frames without a track that the server has announced: late frames of a track that is
    /// gone, or early ones. Each was dropped.
    #[must_use]
    pub fn unrouted_frames(&self) -> u64 {
        self.0.unrouted_frames()
    }

    /// Number of frames of our audio tracks that were not sent: the track was muted, or not published (yet,
    /// or any more), or there was no connection.
    #[must_use]
    pub fn unsent_frames(&self) -> u64 {
        self.0.unsent_frames()
    }

    /// Number of frames of data tracks that could not be completed, as packets are missing, or not be read,
    /// as they are encrypted. Each was dropped.
    #[must_use]
    pub fn dropped_data_frames(&self) -> u64 {
        self.0.dropped_data_frames()
    }
}

impl recording::Machine for Room {
    type Input = Input;
    type Output = Output;

    fn handle_input(&mut self, input: Input, now: Time) {
        self.0.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.0.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
