//! The machine as a driver sees it.

use crate::machine::Machine;
use crate::transport::{RtcClock, Transport};
use crate::{Config, Input, Output, Timer};
use agent_proto::{Time, recording};
use std::fmt;
use std::time::Instant;

/// A room client: one participant in one room, from the first packet to the last.
///
/// The contract is that of the [crate](crate#the-contract). The order of the outputs is their meaning: what was
/// published comes before the leave, the leave before the close.
pub struct Room(Machine<Transport>);

impl Room {
    /// A client that waits for its socket. `epoch` is what the driver's clock shows at [`Time::ZERO`], which is now: WebRTC wants readings of a
    /// clock, and nothing else depends on it. Time must never go back.
    #[must_use]
    pub fn new(config: Config, epoch: Instant) -> Self {
        Self(Machine::new(config, RtcClock::starting_at(epoch)))
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, input: Input, now: Time) {
        self.0.handle_input(input, now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.0.handle_timeout(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }

    /// When [`Self::handle_timeout`] is due, and why. `None` once closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        self.0.poll_timeout()
    }

    /// How many things came in that a server or a network should not send. Each was skipped.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.0.violations()
    }

    /// How many audio frames came of no track that the server says it sends us: late ones of a track that is gone, or early ones. Each
    /// was dropped.
    #[must_use]
    pub fn unrouted_frames(&self) -> u64 {
        self.0.unrouted_frames()
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
