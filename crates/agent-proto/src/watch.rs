//! A value whose changes are awaited, as `tokio::sync::watch` is, but without a random order.
//!
//! Tasks that wait are woken in the order in which they began to wait. Tokio's channel draws that order from
//! a random number, so that a program with two waiting tasks cannot be repeated, even on virtual time.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Changes the value. When it is dropped, those who wait are woken.
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value, and waits for its changes. A clone has seen what the original has.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The sender was dropped: there are no more changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender of a watched value was dropped")]
pub struct Closed;

/// The value, locked: do not keep it over an `await`, nor while the value is changed.
pub struct Ref<'a, T>(MutexGuard<'a, State<T>>);

struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    value: T,
    /// Counts the changes.
    version: u64,
    closed: bool,
    /// In the order in which they began to wait.
    waiting: BTreeMap<u64, Waker>,
    last_waiting: u64,
}

/// A channel with this value, which its receiver has seen.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// A value without receivers.
    pub fn new(value: T) -> Self {
        let waiting = BTreeMap::new();
        let state = State { value, version: 0, closed: false, waiting, last_waiting: 0 };
        Self(Arc::new(Shared(Mutex::new(state))))
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.lock().version;
        Receiver { shared: Arc::clone(&self.0), seen }
    }

    /// The present value.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.lock())
    }

    /// Replaces the value, and returns the last one.
    pub fn send_replace(&self, value: T) -> T {
        let mut last = value;
        self.send_modify(|value| std::mem::swap(value, &mut last));
        last
    }

    /// Changes the value; the change is reported in any case.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value; the change is reported if `change` returns true, which is returned.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.0.lock();
        let changed = change(&mut state.value);
        if changed {
            state.version += 1;
            wake_all(state);
        }
        changed
    }
}

impl<T> Receiver<T> {
    /// The present value, without having seen it.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.lock())
    }

    /// The present value, which is seen now.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.lock();
        self.seen = state.version;
        Ref(state)
    }

    /// Has seen the present value.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.lock().version;
    }

    /// Waits for a value that was not seen yet, and has seen it. Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`], if there will be none.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        self.seen = Change { shared: &self.shared, seen: self.seen, waiting: None }.await?;
        Ok(())
    }

    /// Waits for a value that the predicate accepts, beginning with the present one, and has seen it.
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`Closed`], if there will be none.
    pub async fn wait_for(&mut self, mut accepts: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        loop {
            {
                let state = self.shared.lock();
                self.seen = state.version;
                if accepts(&state.value) {
                    break;
                }
            }
            self.changed().await?;
        }
        Ok(self.borrow())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        wake_all(state);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not under the lock: a waker may run anything.
fn wake_all<T>(mut state: MutexGuard<'_, State<T>>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_values().for_each(Waker::wake);
}

/// The next change.
struct Change<'a, T> {
    shared: &'a Shared<T>,
    seen: u64,
    /// The place among those who wait.
    waiting: Option<u64>,
}

impl<T> Future for Change<'_, T> {
    type Output = Result<u64, Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.lock();
        if state.version != self.seen {
            return Poll::Ready(Ok(state.version));
        }
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        let place = self.waiting.unwrap_or_else(|| {
            state.last_waiting += 1;
            state.last_waiting
        });
        state.waiting.insert(place, cx.waker().clone());
        drop(state);
        self.waiting = Some(place);
        Poll::Pending
    }
}

impl<T> Drop for Change<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.waiting {
            self.shared.lock().waiting.remove(&place);
        }
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Wake;

    use super::*;

    /// Notes its name when it is woken.
    struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn waiting_tasks_are_woken_in_their_order() {
        let (sender, receiver) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let waker = |name| Waker::from(Arc::new(Named(name, Arc::clone(&woken))));
        let mut receivers: Vec<_> = (0..4).map(|_| receiver.clone()).collect();
        let [a, b, c, d] = &mut receivers[..] else { panic!("four") };
        let mut a = pin!(a.changed());
        let mut c = pin!(c.changed());
        assert!(a.as_mut().poll(&mut Context::from_waker(&waker("a"))).is_pending());
        {
            let mut b = pin!(b.changed());
            assert!(b.as_mut().poll(&mut Context::from_waker(&waker("b"))).is_pending());
        }
        assert!(c.as_mut().poll(&mut Context::from_waker(&waker("c"))).is_pending());
        let mut d = pin!(d.changed());
        assert!(d.as_mut().poll(&mut Context::from_waker(&waker("d"))).is_pending());
        // Another poll keeps the place, and the last waker.
        assert!(a.as_mut().poll(&mut Context::from_waker(&waker("a again"))).is_pending());
        sender.send_replace(1);
        assert_eq!(*woken.lock().unwrap(), ["a again", "c", "d"]);
        assert_eq!(a.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_change_is_seen_once_and_the_end_is_an_error() {
        let (sender, mut receiver) = channel(0);
        let poll = |receiver: &mut Receiver<i32>| {
            pin!(receiver.changed()).poll(&mut Context::from_waker(Waker::noop()))
        };
        assert!(poll(&mut receiver).is_pending());
        assert!(!sender.send_if_modified(|_| false));
        assert!(poll(&mut receiver).is_pending());
        sender.send_modify(|value| *value += 1);
        sender.send_modify(|value| *value += 1);
        assert_eq!(poll(&mut receiver), Poll::Ready(Ok(())));
        assert!(poll(&mut receiver).is_pending());
        assert_eq!(*receiver.borrow(), 2);
        assert_eq!(sender.send_replace(7), 2);
        receiver.mark_unchanged();
        assert!(poll(&mut receiver).is_pending());
        let seven = |receiver: &mut Receiver<i32>| {
            let waits = pin!(receiver.wait_for(|value| *value == 7));
            waits.poll(&mut Context::from_waker(Waker::noop())).map(|found| found.map(|value| *value))
        };
        assert_eq!(seven(&mut receiver), Poll::Ready(Ok(7)));
        sender.send_replace(8);
        assert!(seven(&mut receiver).is_pending());
        drop(sender);
        assert_eq!(seven(&mut receiver), Poll::Ready(Err(Closed)));
        assert_eq!(poll(&mut receiver), Poll::Ready(Err(Closed)));
    }
}
