//! The order in which tasks run that are ready at the same moment.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use fastrand::Rng;

/// How often a task yields, at most, before it continues.
const MAX_TURNS: u8 = 4;

/// The order of a seed: each time a task is woken it yields to others a number of times that the seed
/// decides. Seed 0 is the order in which tasks become ready.
#[derive(Clone, Debug, Default)]
pub(super) struct Order(Option<Arc<Mutex<Rng>>>);

impl Order {
    pub(super) fn of(seed: u64) -> Self {
        Self((seed != 0).then(|| Arc::new(Mutex::new(Rng::with_seed(seed)))))
    }

    /// Runs a future in its order among others.
    pub(super) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut turns = self.turns();
        poll_fn(|cx| {
            if turns > 0 {
                turns -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            turns = self.turns();
            future.as_mut().poll(cx)
        })
        .await
    }

    /// How often a task yields this time: not at all in half of the cases.
    fn turns(&self) -> u8 {
        let Some(rng) = &self.0 else { return 0 };
        let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
        if rng.bool() { 0 } else { rng.u8(1..=MAX_TURNS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of tasks in the order in which they end.
    fn ended(seed: u64) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (order, all) = (Order::of(seed), Arc::new(Mutex::new(Vec::new())));
            let tasks: Vec<_> = (0..5)
                .map(|n| {
                    let (order, all) = (order.clone(), Arc::clone(&all));
                    tokio::spawn(async move { order.run(async { all.lock().unwrap().push(n) }).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            all.lock().unwrap().clone()
        })
    }

    #[test]
    fn a_seed_is_an_order() {
        assert_eq!(ended(0), [0, 1, 2, 3, 4]);
        assert_eq!(ended(7), ended(7));
        let orders: std::collections::BTreeSet<_> = (1..100).map(ended).collect();
        assert!(orders.len() > 40, "{}", orders.len());
    }
}
