//! The kinds of faults, and which of them one run has.

use std::fmt;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A connection of a worker breaks; both ends learn of it.
    Cut,
    /// It breaks while it is opened, or before the worker is registered.
    EarlyCut,
    /// It breaks several times in a row.
    Flapping,
    /// It carries nothing any more, and neither end learns of it.
    HalfOpen,
    /// The server refuses connections, or they fail, for a while.
    Refused,
    /// Messages take seconds.
    Delay,
    /// The server reads what was sent on a connection long after the worker has lost it.
    LateBytes,
    /// The server sends each message twice for a while.
    Doubled,
    /// An assignment comes after the worker has given it up.
    LateAssignment,
    /// An assignment that the worker did not accept.
    UnaskedAssignment,
    /// An assignment never comes.
    LostAssignment,
    /// A termination before the assignment.
    EarlyTermination,
    /// A termination comes twice.
    DoubleTermination,
    /// A termination of a job that the worker never had.
    UnknownTermination,
    /// A termination never comes.
    LostTermination,
    /// The server does not know a job yet when it ends: its status is lost.
    LostStatus,
    /// Bytes that are no message.
    Garbage,
    /// A dozen dispatches at one moment.
    Burst,
    /// A handler that ends only when it is aborted.
    HandlerHangs,
    /// A handler that panics.
    HandlerPanics,
    /// A handler that cannot be aborted.
    HandlerBlocks,
    /// A handler that returns at once.
    HandlerEndsAtOnce,
    /// A handler whose every attempt fails with a temporary error.
    HandlerRetries,
    /// A cleanup that does not end by itself.
    CleanupHangs,
    /// A request handler that does not answer.
    RequestSilent,
    /// A request handler that panics.
    RequestPanics,
    /// A room that cannot be joined.
    JoinFails,
    /// The token of a job is not valid any more when its room is joined.
    TokenExpired,
    /// A room that is deleted.
    RoomDeleted,
    /// An agent that is removed from its room.
    Removed,
    /// The connection to a room is lost for good.
    RoomLost,
    /// The connection to a room is lost, and re-established to another room of the same name.
    RoomReplaced,
    /// A worker's process is killed.
    Kill,
    /// A worker's process is stopped for a while: its clock jumps.
    ClockJump,
    /// The server is restarted, without its state.
    ServerRestart,
    /// A worker is told to accept nothing, and to accept jobs again a while later.
    Quiet,
    /// A worker is drained and started again.
    Drain,
    /// A worker is stopped at once and started again.
    Stop,
    /// The store of checkpoints is slow or does not answer.
    StoreFails,
    /// The store of checkpoints has lost its newest data.
    StoreStale,
    /// The store of leases is slow or does not answer.
    LeaseFails,
    /// The clock of the stores jumps forward.
    StoreClockJump,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 42] = [
        Self::Cut,
        Self::EarlyCut,
        Self::Flapping,
        Self::HalfOpen,
        Self::Refused,
        Self::Delay,
        Self::LateBytes,
        Self::Doubled,
        Self::LateAssignment,
        Self::UnaskedAssignment,
        Self::LostAssignment,
        Self::EarlyTermination,
        Self::DoubleTermination,
        Self::UnknownTermination,
        Self::LostTermination,
        Self::LostStatus,
        Self::Garbage,
        Self::Burst,
        Self::HandlerHangs,
        Self::HandlerPanics,
        Self::HandlerBlocks,
        Self::HandlerEndsAtOnce,
        Self::HandlerRetries,
        Self::CleanupHangs,
        Self::RequestSilent,
        Self::RequestPanics,
        Self::JoinFails,
        Self::TokenExpired,
        Self::RoomDeleted,
        Self::Removed,
        Self::RoomLost,
        Self::RoomReplaced,
        Self::Kill,
        Self::ClockJump,
        Self::ServerRestart,
        Self::Quiet,
        Self::Drain,
        Self::Stop,
        Self::StoreFails,
        Self::StoreStale,
        Self::LeaseFails,
        Self::StoreClockJump,
    ];

    /// Those that happen at some moment, whatever the workers do; the others happen to what they do.
    pub(super) const fn strikes(self) -> bool {
        matches!(
            self,
            Self::Cut
                | Self::Flapping
                | Self::HalfOpen
                | Self::Refused
                | Self::Delay
                | Self::LateBytes
                | Self::Doubled
                | Self::UnaskedAssignment
                | Self::EarlyTermination
                | Self::UnknownTermination
                | Self::Garbage
                | Self::Burst
                | Self::RoomDeleted
                | Self::Removed
                | Self::RoomLost
                | Self::RoomReplaced
                | Self::Kill
                | Self::ClockJump
                | Self::ServerRestart
                | Self::Quiet
                | Self::Drain
                | Self::Stop
                | Self::StoreStale
                | Self::StoreClockJump
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The faults of one run: some kinds are on, the others off, so that rare combinations occur.
pub(super) struct Swarm {
    on: [bool; Fault::ALL.len()],
    happened: [u64; Fault::ALL.len()],
    /// Those that are on and strike by themselves.
    pub(super) striking: Vec<Fault>,
}

impl Swarm {
    pub(super) fn new(rng: &mut fastrand::Rng) -> Self {
        // Few kinds in some runs, most of them in others.
        let share = 0.1 + 0.5 * rng.f64();
        let on = Fault::ALL.map(|_| rng.f64() < share);
        let striking =
            Fault::ALL.iter().zip(on).filter(|(fault, on)| *on && fault.strikes()).map(|(f, _)| *f).collect();
        Self { on, happened: [0; Fault::ALL.len()], striking }
    }

    /// Whether this kind is on.
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.on.get(fault as usize).is_some_and(|on| *on)
    }

    /// Counts a fault.
    pub(super) fn count(&mut self, fault: Fault) {
        if let Some(count) = self.happened.get_mut(fault as usize) {
            *count += 1;
        }
    }

    /// Whether this fault happens now, with this probability; counted if it does.
    pub(super) fn strikes(&mut self, fault: Fault, probability: f64, rng: &mut fastrand::Rng) -> bool {
        let strikes = self.has(fault) && rng.f64() < probability;
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// From now on nothing happens.
    pub(super) fn end(&mut self) {
        self.on = [false; Fault::ALL.len()];
        self.striking.clear();
    }

    pub(super) const fn counts(&self) -> [u64; Fault::ALL.len()] {
        self.happened
    }
}
