//! What is to be done to a worker's connection, in order, each thing when it is due.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::ToWorker;

pub(super) struct Outbox {
    orders: mpsc::UnboundedReceiver<ToWorker>,
    /// Taken already, and not due yet.
    held: VecDeque<ToWorker>,
}

impl Outbox {
    pub(super) fn new(orders: mpsc::UnboundedReceiver<ToWorker>) -> Self {
        Self { orders, held: VecDeque::new() }
    }

    /// The next thing to do, when it is due; an end of the connection overtakes what is not. `None`: the backend lets go of it.
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<ToWorker> {
        loop {
            let due = self.held.front().map(due);
            if due.is_some_and(|due| due <= Instant::now()) {
                return self.held.pop_front();
            }
            tokio::select! {
                biased;
                order = self.orders.recv() => match order? {
                    end @ (ToWorker::Cut | ToWorker::HalfOpen) => return Some(end),
                    order => self.held.push_back(order),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Waits until the connection is to be cut, and does nothing else any more.
    pub(super) async fn cut(&mut self) {
        while let Some(order) = self.orders.recv().await {
            if matches!(order, ToWorker::Cut) {
                return;
            }
        }
    }
}

fn due(order: &ToWorker) -> Instant {
    match order {
        ToWorker::Message { due, .. } => *due,
        // As soon as what was ordered before it is done.
        ToWorker::Raw(_) | ToWorker::Close { .. } | ToWorker::Cut | ToWorker::HalfOpen => Instant::now(),
    }
}
