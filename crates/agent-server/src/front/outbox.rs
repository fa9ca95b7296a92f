//! Pending commands of a worker's connection, in order, each with its due time.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::ToWorker;

pub(super) struct Outbox {
    orders: mpsc::UnboundedReceiver<ToWorker>,
    /// Received, but not due yet.
    held: VecDeque<ToWorker>,
}

impl Outbox {
    pub(super) fn new(orders: mpsc::UnboundedReceiver<ToWorker>) -> Self {
        Self { orders, held: VecDeque::new() }
    }

    /// Returns the next command when it is due; a command that ends the connection overtakes those that are
    /// not due. `None`: the backend dropped its end. Cancel-safe.
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

    /// Waits until the connection is to be cut, and ignores all other commands.
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
        // Due as soon as the preceding commands are done.
        ToWorker::Raw(_) | ToWorker::Close { .. } | ToWorker::Cut | ToWorker::HalfOpen => Instant::now(),
    }
}
