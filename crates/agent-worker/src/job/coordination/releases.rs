//! Lease releases in flight; a stopping worker waits for them.

use tokio::sync::{oneshot, watch};

/// Counts the releases in flight. Clones share the count.
#[derive(Clone, Default)]
pub(crate) struct Releases {
    in_flight: watch::Sender<usize>,
}

/// Resigns when dropped: the release of the candidate's lease counts as in flight from then on.
pub(super) struct Resign {
    releases: Releases,
    start: Option<oneshot::Sender<Release>>,
}

/// A release in flight, until it is dropped.
pub(super) struct Release {
    releases: Releases,
}

impl Releases {
    /// The two ends of one candidate's resignation.
    pub(super) fn candidate(&self) -> (Resign, oneshot::Receiver<Release>) {
        let (start, started) = oneshot::channel();
        (Resign { releases: self.clone(), start: Some(start) }, started)
    }

    /// Waits until no release is in flight.
    pub(crate) async fn done(&self) {
        // The sender is in `self`.
        let _ = self.in_flight.subscribe().wait_for(|in_flight| *in_flight == 0).await;
    }
}

impl Drop for Resign {
    fn drop(&mut self) {
        self.releases.in_flight.send_modify(|in_flight| *in_flight += 1);
        let release = Release { releases: self.releases.clone() };
        // If the candidate has ended already, this drops the release.
        let _ = self.start.take().map(|start| start.send(release));
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.releases.in_flight.send_modify(|in_flight| *in_flight = in_flight.saturating_sub(1));
    }
}
