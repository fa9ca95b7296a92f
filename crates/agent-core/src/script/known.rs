//! What is known of the jobs of a worker machine, by its inputs and outputs.

use agent_proto::Time;
use agent_proto::livekit as wire;

use crate::worker::SlotCounts;

/// What holds a slot, by the outputs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Offer,
    Acceptance,
    Attempt,
    Cleanup,
    Wait,
    Stuck,
}

/// What is known of a job.
#[derive(Default)]
pub(super) struct Known {
    /// The offers on this connection that have no answer yet: the latest time for it.
    pub(super) owed: Vec<Time>,
    pub(super) holds: Option<Holds>,
    /// It was assigned and has no outcome yet.
    pub(super) assigned: bool,
    /// The number of its last attempt, and whether that still runs.
    pub(super) attempt: u32,
    pub(super) runs: bool,
    /// Its last attempt has had no cleanup yet.
    pub(super) dirty: bool,
    /// The cleanup that runs: its attempt, and the end of its time.
    pub(super) cleaning: Option<(u32, Time)>,
    /// It must not be retried: cancelled, or without a room.
    pub(super) over: bool,
    /// The final status of this assignment, once it was sent.
    pub(super) status: Option<(wire::JobStatus, String)>,
    /// When the status was last sent, and its number among the frames.
    pub(super) status_sent: Option<(Time, usize)>,
    pub(super) in_room: bool,
}

/// The slots that jobs hold.
pub(super) fn held<'a>(jobs: impl Iterator<Item = &'a Known>) -> SlotCounts {
    let mut slots = SlotCounts::default();
    for holds in jobs.filter_map(|known| known.holds) {
        *match holds {
            Holds::Offer => &mut slots.offered,
            Holds::Acceptance => &mut slots.accepted,
            Holds::Attempt => &mut slots.running,
            Holds::Cleanup => &mut slots.cleaning,
            Holds::Wait => &mut slots.backing_off,
            Holds::Stuck => &mut slots.stuck,
        } += 1;
    }
    slots
}
