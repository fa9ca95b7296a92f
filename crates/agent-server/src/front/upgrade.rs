//! A pending upgrade, between the response and the socket.

use std::sync::{Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;

/// Where a request leaves its upgrade for [`serve`](super::serve), which completes it only after the response
/// was written.
#[derive(Default)]
pub(super) struct UpgradeSlot(Mutex<Option<OnUpgrade>>);

impl UpgradeSlot {
    pub(super) fn put(&self, upgrade: OnUpgrade) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
    }

    pub(super) fn take(&self) -> Option<OnUpgrade> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
