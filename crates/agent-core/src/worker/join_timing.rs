//! When the steps of a job's first join took place, for the server: it computes join latencies from them.
//!
//! They are sent once, with the status that follows both the call of the handler and the join of the room,
//! whichever is the later one.

use std::time::Duration;

use agent_proto::Time;
use agent_proto::livekit as wire;

/// Of one job. What did not happen is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JoinTiming {
    /// When it was offered, and when it was accepted.
    pub(super) offered: Option<(Time, Time)>,
    /// When its handler was called first.
    called: Option<Time>,
    /// When its room was joined, and how long that took.
    joined: Option<(Time, Duration)>,
}

impl JoinTiming {
    /// The handler was called. Returns whether the times are complete now.
    pub(super) fn on_called(&mut self, now: Time) -> bool {
        let first = self.called.is_none();
        self.called.get_or_insert(now);
        first && self.joined.is_some()
    }

    /// The room was joined. Returns as `on_called`.
    pub(super) fn on_joined(&mut self, took: Duration, now: Time) -> bool {
        let first = self.joined.is_none();
        self.joined.get_or_insert((now, took));
        first && self.called.is_some()
    }

    /// `assigned`: when the job was assigned, and so started.
    pub(super) fn to_wire(self, assigned: Time) -> wire::JobJoinTiming {
        let (offered, accepted) = self.offered.unzip();
        let (connected, took) = self.joined.unzip();
        let micros = |time: Option<Time>| time.map_or(0, in_micros);
        let (launched, connected_us) = (in_micros(assigned), micros(connected));
        let took = i64::try_from(took.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
        wire::JobJoinTiming {
            offer_received_us: micros(offered),
            accepted_us: micros(accepted),
            assignment_received_us: launched,
            launched_us: launched,
            // A task of this process: there is none to be started for it.
            launch_warm: true,
            entrypoint_started_us: micros(self.called),
            connect_called_us: connected_us.saturating_sub(took).max(0),
            connected_us,
        }
    }
}

fn in_micros(time: Time) -> i64 {
    i64::try_from(time.as_nanos() / 1_000).unwrap_or(i64::MAX)
}
