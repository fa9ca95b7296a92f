//! What a media connection knows of its relays.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::Candidate;

use agent_proto::Time;

use crate::turn::Relays;

/// How long after the connection it is decided which relays are needed: a better path may be found after it.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// The relays of a media connection.
#[derive(Default)]
pub(super) struct RelayPaths {
    pub(super) servers: Relays,
    /// The server's candidates to which this machine has no route, until a relay has one.
    pub(super) unreachable: Vec<Candidate>,
    /// The relayed address from which packets are sent; `None`: they are sent directly.
    pub(super) used: Option<SocketAddr>,
    /// Whether packets were sent through a relay that is gone.
    pub(super) was_used: bool,
    /// Whether it was reported in this search that there is no path.
    pub(super) hopeless: bool,
    /// When it is decided which relays are not needed.
    pub(super) settle_at: Option<Time>,
}
