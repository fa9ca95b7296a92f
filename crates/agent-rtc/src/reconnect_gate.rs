//! Delays the reconnect of a room until its worker is registered again.
//!
//! A restarted server has no rooms, and creates one for the first participant, even for the resume of an
//! unknown session. It dispatches agents at that moment and never again: without a registered worker the room
//! stays without an agent. So the worker registers first, wherever the server may be a new one.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long a room waits for the worker after the loss of its connection: a worker reconnects within some 10
/// s.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct ReconnectGate {
    /// Whether the gate is open; `None`: always.
    open: Option<watch::Receiver<bool>>,
    /// The deadline, counted from the first wait.
    until: Option<Instant>,
}

impl ReconnectGate {
    pub(super) fn new(open: Option<watch::Receiver<bool>>) -> Self {
        Self { open, until: None }
    }

    /// Completes when the gate is open, or after the timeout.
    pub(super) fn wait(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + LIMIT);
        let open = self.open.clone();
        async move {
            if let Some(mut open) = open {
                // Timed out, or the worker is gone: reconnecting the room is more important than the order.
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
    async fn the_wait_for_the_worker_has_a_limit() {
        let (sender, known) = watch::channel(false);
        let start = Instant::now();
        let mut first = ReconnectGate::new(Some(known));
        let wait = tokio::spawn(first.wait());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!wait.is_finished());
        sender.send_replace(true);
        wait.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(3));

        // The timeout counts from the first wait on, however often the room retries.
        sender.send_replace(false);
        first.wait().await;
        assert_eq!(start.elapsed(), LIMIT);
        first.reconnected();
        first.wait().await;
        assert_eq!(start.elapsed(), 2 * LIMIT);
        ReconnectGate::new(None).wait().await;
        assert_eq!(start.elapsed(), 2 * LIMIT);
    }
}
