//! The cancellation signal of a job, with its reason.

use std::sync::Arc;

use tokio::sync::SetOnce;

use agent_core::CancelReason;

/// Set at most once, for all attempts of a job: a cancelled job is never retried.
#[derive(Clone, Default)]
pub(crate) struct CancelSignal(Arc<SetOnce<CancelReason>>);

impl CancelSignal {
    pub(crate) fn set(&self, reason: CancelReason) {
        // The first reason wins.
        let _ = self.0.set(reason);
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.0.get().cloned()
    }

    pub(crate) async fn wait(&self) -> CancelReason {
        self.0.wait().await.clone()
    }
}
