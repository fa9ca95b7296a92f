//! When a room whose connection was lost may come back: a worker goes before its rooms.
//!
//! A restarted server knows no room, and makes it again for whoever comes first, even to resume a session that it does not know. It
//! asks for an agent at that moment and never again: without a worker to ask, the room stays without one. So the worker goes first
//! and has its registration confirmed, wherever the server may be another one than before.

use std::{future::Future, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// How long a room waits for the worker after the loss of its connection: a worker that comes back takes some 10 s at most.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct ReconnectGate {
    /// Whether it is open; `None`: always.
    open: Option<watch::Receiver<bool>>,
    /// Since the first wait for it.
    until: Option<Instant>,
}

impl ReconnectGate {
    pub(super) fn new(open: Option<watch::Receiver<bool>>) -> Self {
        Self { open, until: None }
    }

    /// Done when the gate is open, or when it has been waited for long enough.
    pub(super) fn wait(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + LIMIT);
        let open = self.open.clone();
        async move {
            if let Some(mut open) = open {
                // Too late, or a worker that is gone: the room is worth more than the order.
                let _ = timeout_at(until, open.wait_for(|open| *open)).await;
            }
        }
    }

    /// The room is connected again.
    pub(super) fn reconnected(&mut self) {
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_worker_is_waited_for_and_not_for_ever() {
        let (tell, known) = watch::channel(false);
        let start = Instant::now();
        let mut first = ReconnectGate::new(Some(known));
        let wait = tokio::spawn(first.wait());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!wait.is_finished());
        tell.send_replace(true);
        wait.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(3));

        // The limit counts from the first wait on, however often the room tries.
        tell.send_replace(false);
        first.wait().await;
        assert_eq!(start.elapsed(), LIMIT);
        first.reconnected();
        first.wait().await;
        assert_eq!(start.elapsed(), 2 * LIMIT);
        ReconnectGate::new(None).wait().await;
        assert_eq!(start.elapsed(), 2 * LIMIT);
    }
}
