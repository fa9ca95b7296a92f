//! Leads that are on their way back to their store: a worker is not done before they are.

use tokio::sync::{oneshot, watch};

/// Counts them. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Releases {
    under_way: watch::Sender<usize>,
}

/// Dropping it resigns: what the candidate may have goes back, and counts from this moment on.
pub(super) struct Resign {
    releases: Releases,
    tell: Option<oneshot::Sender<Release>>,
}

/// One that is under way; dropping it ends it.
pub(super) struct Release {
    releases: Releases,
}

impl Releases {
    /// The two ends of one candidate's resignation.
    pub(super) fn candidate(&self) -> (Resign, oneshot::Receiver<Release>) {
        let (tell, told) = oneshot::channel();
        (Resign { releases: self.clone(), tell: Some(tell) }, told)
    }

    /// Waits until nothing is under way.
    pub(crate) async fn done(&self) {
        // The sender lives in `self`.
        let _ = self.under_way.subscribe().wait_for(|under_way| *under_way == 0).await;
    }
}

impl Drop for Resign {
    fn drop(&mut self) {
        self.releases.under_way.send_modify(|under_way| *under_way += 1);
        let release = Release { releases: self.releases.clone() };
        // If the candidate is gone already, so is the release with this line.
        let _ = self.tell.take().map(|tell| tell.send(release));
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.releases.under_way.send_modify(|under_way| *under_way = under_way.saturating_sub(1));
    }
}
