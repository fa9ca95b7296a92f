//! The place of one stream in what waits for a room's streams.

use std::sync::Arc;
use std::task::{Context, Poll};

use agent_room::{Inbox, StreamId};

use super::shared::Shared;

/// One stream of a room. Dropping it leaves its unread items to the next stream of its kind.
pub(super) struct Reader {
    shared: Arc<Shared>,
    id: StreamId,
}

impl Reader {
    pub(super) const fn new(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    pub(super) fn poll<T>(
        &self,
        cx: &Context<'_>,
        next: impl FnOnce(&mut Inbox, StreamId) -> Poll<Option<T>>,
    ) -> Poll<Option<T>> {
        let mut state = self.shared.lock();
        let polled = next(&mut state.inbox, self.id);
        let before = polled.is_pending().then(|| state.readers.insert(self.id, cx.waker().clone()));
        drop(state);
        // Dropping it may run code of the executor.
        drop(before);
        polled
    }

    pub(super) fn waiting(&self) -> usize {
        self.shared.lock().inbox.len(self.id)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.inbox.close(self.id);
        let waker = state.readers.remove(&self.id);
        drop(state);
        // Dropping it may run code of the executor.
        drop(waker);
    }
}
