//! How a dead path is noticed: nothing comes over it any more.

use std::net::SocketAddr;
use std::time::Duration;

use agent_proto::Time;

use super::path_in_use::PathInUse;
use crate::Protocol;

/// Without a packet for this long, the path is gone. The server answers our checks every few seconds.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Silence {
    /// The path that was used last, since the last search for one. Another may live on while it is dead.
    path: Option<PathInUse>,
    last_packet_at: Time,
    /// The last packet over that path, or over any.
    on_path_at: Time,
    noticed: bool,
}

impl Silence {
    pub(super) const fn since(now: Time) -> Self {
        Self { path: None, last_packet_at: now, on_path_at: now, noticed: false }
    }

    pub(super) fn received(&mut self, protocol: Protocol, source: SocketAddr, now: Time) {
        self.last_packet_at = now;
        if self.path.is_none_or(|path| path.leads_to(protocol, source)) {
            (self.on_path_at, self.noticed) = (now, false);
        }
    }

    /// Media or data were sent over this path.
    pub(super) const fn watch(&mut self, path: PathInUse) {
        self.path = Some(path);
    }

    /// Another path is searched: packets over any are good.
    pub(super) const fn search(&mut self) {
        self.path = None;
    }

    pub(super) const fn is_noticed(&self) -> bool {
        self.noticed
    }

    pub(super) const fn last_packet_at(&self) -> Time {
        self.last_packet_at
    }

    /// When the path counts as gone.
    pub(super) fn due(&self) -> Option<Time> {
        (!self.noticed).then(|| self.on_path_at + LIMIT)
    }

    /// The path is gone. `false`: that is known.
    pub(super) const fn notice(&mut self) -> bool {
        !std::mem::replace(&mut self.noticed, true)
    }
}
